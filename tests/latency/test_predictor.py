from dataclasses import replace

import numpy as np
import pytest
from helpers.tiny_tables import TINY_INPUT, made_up_cost_ns, tiny_space, tiny_table

from facenas.architecture import NeckAndHead
from facenas.errors import TableError
from facenas.graph import inventory
from facenas.latency.predictor import OperatorCosts, Source, predict
from facenas.operators import Kind, Operator
from facenas.units import Size


def test_a_prediction_is_the_calibrated_sum_with_its_interval() -> None:
    table = tiny_table()
    detector = next(iter(tiny_space().random_detectors(np.random.default_rng(0))))
    prediction = predict(detector, table, TINY_INPUT)
    total_ns = sum(made_up_cost_ns(operator) for operator in inventory(detector, TINY_INPUT))
    expected_ms = (1.02 * total_ns + 3000) / 1e6
    assert prediction.latency_ms == pytest.approx(expected_ms)
    assert prediction.low_ms == pytest.approx(0.95 * expected_ms)
    assert prediction.high_ms == pytest.approx(1.06 * expected_ms)
    assert prediction.provenance == "measured"
    assert {cost.source for cost in prediction.operators} == {Source.TABLE}


def test_a_search_may_add_up_operators_and_offset() -> None:
    costs = OperatorCosts(tiny_table())
    detector = next(iter(tiny_space().random_detectors(np.random.default_rng(1))))
    each_us = [costs.cost(operator).latency_us for operator in inventory(detector, TINY_INPUT)]
    total_ms = sum(each_us) / 1e3 + costs.offset_ms
    assert total_ms == pytest.approx(predict(detector, tiny_table(), TINY_INPUT).latency_ms)


def _stem(out_channels: int, kernel_size: int = 3) -> Operator:
    return Operator(Kind.CONV, 3, out_channels, kernel_size, 2, 96, 128, relu=True)


def test_an_operator_between_two_measured_ones_is_interpolated_and_says_so() -> None:
    costs = OperatorCosts(tiny_table())
    between = costs.cost(_stem(40))
    below, above = costs.cost(_stem(32)), costs.cost(_stem(48))
    assert between.source is Source.INTERPOLATED
    assert below.latency_us < between.latency_us < above.latency_us
    assert (between.low_us, between.high_us) == (below.latency_us, above.latency_us)


def test_an_interpolated_operator_widens_the_interval() -> None:
    detector = next(iter(tiny_space().random_detectors(np.random.default_rng(0))))
    stages = list(detector.backbone.stages)
    stages[0], stages[1] = replace(stages[0], out_channels=40), replace(stages[1], in_channels=40)
    odd = replace(detector, backbone=replace(detector.backbone, stages=tuple(stages)))
    prediction = predict(odd, tiny_table(), TINY_INPUT)
    assert prediction.low_ms < 0.95 * prediction.latency_ms
    assert prediction.high_ms > 1.06 * prediction.latency_ms
    assert {cost.source for cost in prediction.operators} == {Source.TABLE, Source.INTERPOLATED}


@pytest.mark.parametrize("operator", [_stem(8), _stem(64), _stem(32, kernel_size=5)])
def test_outside_the_measured_range_is_an_error_that_names_neighbours_and_the_cure(operator: Operator) -> None:
    with pytest.raises(
        TableError, match=r"nearest: conv\+relu 3->.*facenas profile --device cpu --input 128x96 --also"
    ):
        OperatorCosts(tiny_table()).cost(operator)


def test_another_head_or_input_size_is_an_error() -> None:
    detector = next(iter(tiny_space().random_detectors(np.random.default_rng(0))))
    wide = replace(detector, neck_and_head=NeckAndHead(256, 256, 2, depthwise=False))
    with pytest.raises(TableError, match="does not reach"):
        predict(wide, tiny_table(), TINY_INPUT)
    with pytest.raises(TableError, match="not 640x480"):
        predict(detector, tiny_table(), Size(640, 480))
