"""What is learnt from slices: true additive models and true stage weights come back, noise is called noise."""

from collections.abc import Callable

import numpy as np
import pytest
from helpers.tiny_elastic import TINY_SPACE
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from facenas.accuracy.additive_model import choices_of, coded, fit_additive, free_numbers, open_choices
from facenas.accuracy.appraisal import random_members
from facenas.accuracy.left_out import judge_model, tau_with_interval
from facenas.accuracy.stage_weights import SAR_SETTINGS, fit_stage_weights
from facenas.architecture import Architecture
from facenas.scoring.ddsar import sar_scores
from facenas.spaces.elastic_space import elastic_space

EDGE = elastic_space("facenas-elastic")
MEMBERS = list(random_members(EDGE, 160, seed=1))


def additive_truth(detector: Architecture) -> float:
    had = choices_of(detector)
    return 0.4 + 0.02 * (had["stage 2 width"] >= 48) + 0.01 * had["stage 4 depth"] - 0.005 * (had["neck width"] >= 32)


def scored_truth(detector: Architecture) -> float:
    return float(-1.0 + 0.2 * np.array([0, 0.2, 0.5, 0.3, 0.0]) @ np.array(sar_scores(detector.backbone, SAR_SETTINGS)))


def of(truth: Callable[[Architecture], float]) -> np.ndarray:
    return np.array([truth(member) for member in MEMBERS])


def test_an_additive_truth_comes_back_value_by_value() -> None:
    model = fit_additive(MEMBERS, of(additive_truth), EDGE)
    assert model.values["stage 2 width"] == pytest.approx({"24": 0, "32": 0, "48": 0.02, "64": 0.02}, abs=1e-3)
    assert model.values["stage 4 depth"] == pytest.approx({"1": 0, "2": 0.01, "3": 0.02, "4": 0.03}, abs=1e-3)
    assert model.values["neck width"]["48"] == pytest.approx(-0.005, abs=1e-3)
    for member in (EDGE.smallest, EDGE.largest, EDGE.middle):
        assert model(member) == pytest.approx(additive_truth(member), abs=2e-3)


def test_the_numbers_are_those_of_the_choices() -> None:
    assert free_numbers(TINY_SPACE) == 14
    assert coded([TINY_SPACE.smallest], TINY_SPACE).tolist() == [[0.0] * 13]
    assert coded([TINY_SPACE.largest], TINY_SPACE).tolist() == [[1.0] * 13]
    for name, values in open_choices(EDGE).items():
        assert {choices_of(member)[name] for member in MEMBERS} == set(values)


def test_true_stage_weights_come_back() -> None:
    model = fit_stage_weights(MEMBERS, of(scored_truth))
    assert model.weights == pytest.approx((0, 0.2, 0.5, 0.3, 0), abs=1e-3)
    assert model.gain == pytest.approx(0.2, abs=1e-4)
    assert [model(member) for member in MEMBERS] == pytest.approx(of(scored_truth), abs=1e-3)


def test_no_weight_is_negative_and_where_the_score_misleads_all_are_zero() -> None:
    model = fit_stage_weights(MEMBERS, -of(scored_truth))
    assert min(model.weights) >= 0
    constant = fit_stage_weights(MEMBERS, np.full(len(MEMBERS), 0.3))
    assert (constant.weights, constant.gain, constant(MEMBERS[0])) == ((0.0,) * 5, 0.0, 0.3)


def test_of_slices_left_out_a_true_model_is_right_and_noise_is_not() -> None:
    flops = np.geomspace(1, 4, len(MEMBERS))
    right = judge_model(fit_stage_weights, MEMBERS, of(scored_truth), flops)
    assert right.error < 1e-3
    assert right.all.tau > 0.99
    assert right.equal_flops.pairs < right.all.pairs <= len(MEMBERS) * (len(MEMBERS) - 1) // 2
    noise = np.random.default_rng(0).normal(0.5, 0.02, len(MEMBERS))
    wrong = judge_model(fit_stage_weights, MEMBERS, noise, flops)
    assert 0.018 < wrong.error < 0.024
    assert wrong.all.low < 0.1
    assert wrong.error_90 > wrong.error


@given(st.integers(0, 2**32 - 1), st.integers(3, 30))
def test_tau_is_kendalls(seed: int, count: int) -> None:
    one, other = np.random.default_rng(seed).normal(size=(2, count))
    found = tau_with_interval(one, other, np.ones((count, count), bool))
    assert found.tau == pytest.approx(kendalltau(one, other).statistic, abs=1e-3)
    assert found.low - 1e-9 <= found.high
    assert found.pairs == count * (count - 1) // 2


def test_tau_over_some_pairs_only() -> None:
    one, other = np.array([1.0, 2.0, 3.0]), np.array([2.0, 1.0, 3.0])
    pairs = np.zeros((3, 3), bool)
    pairs[0, 1] = True
    assert tau_with_interval(one, other, pairs).tau == -1
    assert tau_with_interval(one, other, np.zeros((3, 3), bool)).pairs == 0
