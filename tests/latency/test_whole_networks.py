"""Tables of runtimes that tell no times of layers: whole networks, timed end to end, say what their operators cost."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.made_up_machine import made_up_table
from helpers.tiny_tables import tiny_table

from facenas.architecture import Architecture
from facenas.arrays import Float64Array
from facenas.devices.targets import resolve_target
from facenas.errors import TableError
from facenas.graph import build_graph
from facenas.latency.carriers import random_networks
from facenas.latency.input_sizes import Inputs
from facenas.latency.operator_times import network_to_visit
from facenas.latency.predictor import predict
from facenas.latency.profile_plan import Plan
from facenas.latency.profiler import profile
from facenas.latency.provenance import facts_of
from facenas.latency.short_profile import ShortPlan, short_profile
from facenas.latency.table import WHOLE_NETWORKS, LatencyTable, load_table
from facenas.latency.timed_networks import recover_operators, timed_networks
from facenas.latency.whole_networks import recover
from facenas.operators import Kind, Operator
from facenas.runtimes.local_agent import LocalAgent, Measurement
from facenas.runtimes.runtime import why_unavailable
from facenas.spaces.named import load_space
from facenas.units import Size

CPU = resolve_target("cpu")
SPACE, HOME, OTHER, BETWEEN = load_space("facenas-edge"), Size(320, 256), Size(192, 160), Size(256, 192)
PLAN = Plan(1, 60, seconds=0.0, least_rounds=2, published=False, counters=False)


def cost_ns(operator: Operator) -> float:
    """What no sum of works says exactly: kernels differ, wide layers are better used, and some operators are odd."""
    rate = {Kind.CONV: 60.0, Kind.DEPTHWISE: 12.0, Kind.UPSAMPLE: 30.0}[operator.kind] * (0.7 + 0.1 * operator.stride)
    rate *= min(1.0, 0.6 + operator.out_channels / 160)
    odd = 1 + 0.1 * np.sin(operator.in_channels + 3.0 * operator.out_channels + operator.kernel_size)
    return float(3_000.0 + odd * (operator.macs / rate + (operator.in_values + operator.out_values) / 25))


class Timer(LocalAgent):
    """Answers like a runtime that tells no times of layers."""

    def __init__(self, noise: float = 0.004) -> None:
        super().__init__(CPU)
        self._noise, self._generator = noise, np.random.default_rng(0)

    def measure(
        self, detector: Architecture, input_size: Size, *, runs: int, layers: bool, quiet_ns: int = 0
    ) -> Measurement:
        assert not layers
        factors = 1 + self._noise * np.abs(self._generator.standard_normal(runs))
        return Measurement(tuple((latency_ns(detector, input_size) * factors).astype(int).tolist()), {}, ())


def latency_ns(detector: Architecture, input_size: Size) -> float:
    return 80_000 + sum(map(cost_ns, build_graph(detector, input_size).operators))


def off_percent(table: LatencyTable, input_size: Size) -> Float64Array:
    """By how much predictions of networks that took no part are off."""
    unseen = random_networks(SPACE, 60, seed=2)
    predicted = np.array([predict(each, table, input_size).latency_ms for each in unseen])
    return np.asarray(100 * np.abs(predicted / np.array([latency_ns(each, input_size) / 1e6 for each in unseen]) - 1))


@pytest.fixture(scope="module")
def table_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "t.json"
    profile(Timer(), SPACE, HOME, path, plan=replace(PLAN, other_inputs=(OTHER,)))
    return path


def test_unseen_networks_are_predicted_at_home_and_at_other_inputs(table_file: Path) -> None:
    table = load_table(table_file)
    assert set(table.operators) >= SPACE.operators(HOME)
    for size, most in ((HOME, 5.0), (OTHER, 5.0), (BETWEEN, 8.0)):
        off = off_percent(table, size)
        assert (off <= most).mean() >= 0.95, size
        assert off.mean() <= 2.5, size


def test_the_table_says_how_it_was_made_and_how_wrong_it_is(table_file: Path) -> None:
    table = load_table(table_file)
    assert (table.provenance, table.method) == ("measured", WHOLE_NETWORKS)
    assert '"method": "whole networks"' in table_file.read_text()
    assert "by whole networks" in facts_of(table, table.fingerprint).words
    assert 0.1 < table.calibration.error_percent < 2.5
    truth = latency_ns(random_networks(SPACE, 1, seed=2)[0], HOME) / 1e6
    prediction = predict(random_networks(SPACE, 1, seed=2)[0], table, HOME)
    assert prediction.low_ms < truth < prediction.high_ms
    assert all(time.samples for time in table.operators.values())


def test_an_unknown_method_in_a_file_is_refused(table_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(table_file.read_text().replace("whole networks", "guessing"))
    with pytest.raises(TableError, match="method 'guessing' is none of"):
        load_table(path)


def test_left_out_networks_are_predicted_and_every_operator_says_its_doubt() -> None:
    inputs, detectors = Inputs(HOME), random_networks(SPACE, 150, seed=1)
    timed = [
        (network_to_visit(each, HOME, layers=False), np.full(9, latency_ns(each, HOME), np.int64)) for each in detectors
    ]
    found = recover_operators(timed, inputs)
    whole = found.timed.whole
    assert np.abs(found.held_out_ns / whole.latencies_ns - 1).mean() < 0.01
    solved = recover(found.timed.operators, whole)
    assert ((solved.doubts > 0) & (solved.doubts <= solved.strength)).all()
    assert (solved.doubts < 0.8 * solved.strength).any()


def test_a_burst_that_hits_single_networks_spoils_no_operator() -> None:
    inputs, detectors = Inputs(HOME), random_networks(SPACE, 150, seed=1)
    generator = np.random.default_rng(0)
    taken = [latency_ns(each, HOME) * (1.4 if generator.random() < 0.05 else 1.0) for each in detectors]
    timed = [
        (network_to_visit(each, HOME, layers=False), np.full(9, time_ns, np.int64))
        for each, time_ns in zip(detectors, taken, strict=True)
    ]
    found = recover_operators(timed, inputs)
    true_ns = np.array([latency_ns(each, HOME) for each in detectors])
    assert np.median(np.abs(found.held_out_ns / true_ns - 1)) < 0.02


def test_a_table_of_another_machine_lends_the_operators_that_nobody_timed() -> None:
    inputs = Inputs(HOME)
    detectors = random_networks(SPACE, 120, seed=1)
    operators = {operator: 2.5 * cost_ns(operator) for operator in SPACE.operators(HOME)}
    odd = Operator(Kind.CONV, 72, 88, 3, 1, 20, 16, relu=True)  # nobody timed it
    prior = replace(made_up_table(tiny_table(), operators | {odd: 2.5 * cost_ns(odd)}), input_size=HOME)
    timed = [
        (network_to_visit(each, HOME, layers=False), np.full(9, latency_ns(each, HOME), np.int64)) for each in detectors
    ]
    found = recover_operators(timed, inputs, prior)
    assert found.times[odd].samples == 0
    assert found.times[odd].low_ns == pytest.approx(cost_ns(odd), rel=0.25)
    assert odd not in recover_operators(timed, inputs).times


def test_a_network_timed_in_zero_seconds_is_refused_by_name() -> None:
    detectors = random_networks(SPACE, 4, seed=1)
    timed = [(network_to_visit(each, HOME, layers=False), np.zeros(3, np.int64)) for each in detectors]
    with pytest.raises(TableError, match="timed in zero seconds"):
        timed_networks(timed, Inputs(HOME), sorted(SPACE.operators(HOME)))


def test_a_short_profile_needs_no_counters_either() -> None:
    target = resolve_target("cpu-litert")
    if reason := why_unavailable(target):
        pytest.skip(reason)
    plan = ShortPlan(seconds=0.0, other_inputs=(OTHER,))
    table = short_profile(target, SPACE, HOME, None, plan=plan, agent=Timer())
    assert (table.method, table.short_profile is not None) == (WHOLE_NETWORKS, True)
    assert set(table.operators) >= SPACE.operators(HOME)
    for size in (HOME, OTHER):
        off = off_percent(table, size)
        assert (off <= 10).mean() >= 0.95, size
        assert off.mean() <= 3.5, size
    again = short_profile(target, SPACE, HOME, table, plan=plan, agent=Timer())
    assert off_percent(again, HOME).mean() <= off_percent(table, HOME).mean() + 0.5


def test_too_few_networks_make_no_table(tmp_path: Path) -> None:
    class Failing(Timer):
        def measure(self, *words: object, **more: object) -> Measurement:
            return Measurement((0,) * 3, {}, ())

    with pytest.raises(TableError, match="zero seconds"):
        profile(Failing(), SPACE, HOME, tmp_path / "t.json", plan=PLAN)
    assert not (tmp_path / "t.json").exists()
