"""The three kinds of evidence on operators' times, each by itself."""

import numpy as np
import pytest
from helpers.made_up_machine import operators_of
from hypothesis import given
from hypothesis import strategies as st

from facenas.latency.operator_fit import (
    Time,
    WholeNetworks,
    carried_over,
    fit_networks,
    held_out_ns,
    joined,
)
from facenas.operators import Operator
from facenas.spaces.named import load_space
from facenas.units import Size

COSTS = operators_of(load_space("facenas-edge"), Size(128, 96))


def test_a_ratio_that_depends_on_size_and_channels_is_carried_over() -> None:
    def ratio(operator: Operator) -> float:
        return 0.5 * float((operator.out_channels / 16) ** 0.2) * (1.3 if operator.stride == 2 else 1.0)

    here = {operator: Time(ratio(operator) * cost, 0.02) for operator, cost in list(COSTS.items())[::2]}
    found = carried_over(COSTS, here)
    assert set(found) == set(COSTS)
    off = [abs(found[operator].time_ns / (ratio(operator) * cost) - 1) for operator, cost in COSTS.items()]
    assert np.median(off) < 0.01
    assert max(off) < 0.1
    assert found[next(iter(COSTS))].doubt < 0.03


def test_the_doubt_is_what_the_fit_cannot_explain() -> None:
    generator = np.random.default_rng(0)
    here = {
        operator: Time(cost * float(np.exp(0.3 * generator.standard_normal())), 0.02)
        for operator, cost in COSTS.items()
    }
    assert next(iter(carried_over(COSTS, here).values())).doubt == pytest.approx(0.3, rel=0.2)


def test_with_next_to_nothing_in_common_the_doubt_is_large() -> None:
    few = {operator: Time(3 * cost, 0.02) for operator, cost in list(COSTS.items())[:4]}
    found = carried_over(COSTS, few)
    assert all(found[operator].time_ns == pytest.approx(3 * cost) for operator, cost in COSTS.items())
    assert all(time.doubt > 0.5 for time in found.values())


@given(st.floats(10.0, 1e6), st.floats(10.0, 1e6), st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_two_estimates_meet_between_them_nearer_to_the_surer(
    one_ns: float, other_ns: float, one_doubt: float, other_doubt: float
) -> None:
    both = joined(Time(one_ns, one_doubt), Time(other_ns, other_doubt))
    assert min(one_ns, other_ns) * 0.999 <= both.time_ns <= max(one_ns, other_ns) * 1.001
    assert both.doubt <= min(one_doubt, other_doubt) * 1.001
    nearer = one_ns if one_doubt < other_doubt else other_ns
    farther = other_ns if one_doubt < other_doubt else one_ns
    if abs(one_doubt - other_doubt) > 1e-3:
        assert abs(np.log(both.time_ns / nearer)) <= abs(np.log(both.time_ns / farther)) + 1e-9


def _networks(times_ns: np.ndarray, count: int, seed: int) -> WholeNetworks:
    counts = np.random.default_rng(seed).integers(0, 3, (count, len(times_ns))).astype(float)
    return WholeNetworks(counts, 1.1 * counts @ times_ns + 50_000)


def test_whole_networks_correct_operators_that_counters_told_wrongly() -> None:
    truth = np.random.default_rng(0).uniform(20_000, 300_000, 12)
    told = truth * np.exp(0.1 * np.random.default_rng(1).standard_normal(12))
    networks, others = _networks(truth, 40, 2), _networks(truth, 30, 3)
    doubts = np.full(12, 0.1)
    fit = fit_networks(told, doubts, networks)
    sure = fit_networks(told, np.full(12, 1e-6), networks)

    def worst(predicted_ns: np.ndarray) -> float:
        return float(np.abs(predicted_ns / others.latencies_ns - 1).max())

    assert worst(fit.predict_ns(others.counts)) < 0.01 < worst(sure.predict_ns(others.counts))


def test_a_network_that_is_held_out_does_not_predict_itself() -> None:
    truth = np.random.default_rng(0).uniform(20_000, 300_000, 12)
    networks = _networks(truth, 20, 2)
    spoilt = networks.latencies_ns.copy()
    spoilt[5] *= 1.5
    left_out = held_out_ns(truth, np.full(12, 0.05), WholeNetworks(networks.counts, spoilt))
    assert left_out[5] == pytest.approx(networks.latencies_ns[5], rel=0.05)


def test_what_the_counters_themselves_take_is_taken_out() -> None:
    """Every layer was told 2.5 microseconds too long, so that networks of small layers seemed a third too slow."""
    truth = np.random.default_rng(0).uniform(3_000, 12_000, 12) * np.repeat([1, 20], 6)
    counts = np.random.default_rng(2).integers(0, 3, (40, 12)).astype(float)
    counts[::2, 6:] = 0  # half of the networks hold small layers only
    networks = WholeNetworks(counts, counts @ truth)
    told = truth + 2_500
    fit = fit_networks(told, np.full(12, 0.05), networks)
    assert fit.times_ns == pytest.approx(truth, rel=0.1)
    assert fit.predict_ns(counts) == pytest.approx(networks.latencies_ns, rel=0.01)


def test_a_layer_that_costs_nothing_stays_so() -> None:
    truth = np.random.default_rng(0).uniform(20_000, 300_000, 12) * np.arange(12).astype(bool)
    fit = fit_networks(truth + 2_000 * (truth > 0), np.full(12, 0.05), _networks(truth, 40, 2))
    assert fit.times_ns[0] == 0
