import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_tables import TINY_INPUT, made_up_cost_ns, tiny_space

from facenas.errors import TableError
from facenas.graph import inventory
from facenas.latency.calibration import Measured, calibration_of, fit, held_out_predictions, operator_costs
from facenas.latency.carriers import random_networks


def _networks(scale: float, offset_ns: float, noise: float = 0.0) -> list[Measured]:
    generator = np.random.default_rng(0)
    networks = []
    for detector in random_networks(tiny_space(), 6, seed=0):
        operators = inventory(detector, TINY_INPUT)
        lows = tuple(float(made_up_cost_ns(operator)) for operator in operators)
        latency_ns = (scale * sum(lows) + offset_ns) * (1 + noise * generator.standard_normal())
        networks.append(Measured(operators, latency_ns, lows))
    return networks


@given(st.floats(0.5, 2), st.floats(0, 50_000))
def test_scale_and_offset_are_found(scale: float, offset_ns: float) -> None:
    sums = np.array([1e5, 2e5, 5e5, 9e5, 2e6])
    found = fit(sums, scale * sums + offset_ns)
    assert found[0] * sums + found[1] == pytest.approx(scale * sums + offset_ns, rel=1e-3)


def test_one_disturbed_network_hardly_moves_the_fit() -> None:
    sums = np.linspace(1e6, 2e7, 20)
    latencies = 1.1 * sums
    latencies[7] *= 2
    scale, offset_ns = fit(sums, latencies)
    assert scale * sums + offset_ns == pytest.approx(1.1 * sums, rel=0.02)


def test_an_operator_costs_its_median_over_all_places() -> None:
    operators = _networks(1.0, 0.0)[0].operators[:1]
    networks = [Measured(operators, 10.0, (low,)) for low in (1.0, 2.0, 9.0)] + [Measured(operators, 10.0, None)]
    assert operator_costs(networks) == {operators[0]: 2.0}


def test_exact_networks_have_no_error_and_noisy_ones_have_theirs() -> None:
    exact = calibration_of(_networks(1.1, 2000.0), "note")
    assert exact.error_percent < 0.1
    assert exact.low_ratio == pytest.approx(1, abs=1e-3)
    noisy = calibration_of(_networks(1.1, 2000.0, noise=0.05), "note")
    assert noisy.error_percent > 1
    assert noisy.low_ratio < 1 < noisy.high_ratio


def test_a_network_takes_no_part_in_its_own_prediction() -> None:
    networks = _networks(1.0, 0.0)
    disturbed = [
        *networks[:-1],
        Measured(networks[-1].operators, 3 * networks[-1].latency_ns, networks[-1].layers_low_ns),
    ]
    assert held_out_predictions(disturbed)[-1] == pytest.approx(networks[-1].latency_ns, rel=1e-3)


def test_too_few_networks_are_refused() -> None:
    with pytest.raises(TableError, match="only 2 networks"):
        calibration_of(_networks(1.0, 0.0)[:2], "note")
