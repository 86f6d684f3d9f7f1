import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenas.arrays import Float64Array, IntArray
from facenas.latency.calibration import calibration_by, fit

SUMS_NS = np.linspace(1e6, 2e7, 20)


def _samples(latencies_ns: Float64Array) -> list[IntArray]:
    return [np.full(4, latency_ns).astype(np.int64) for latency_ns in latencies_ns]


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


def test_exact_networks_have_no_error_and_noisy_ones_have_theirs() -> None:
    exact = calibration_by(SUMS_NS, _samples(SUMS_NS), (1.0, 0.0), 0.007, "note")
    assert exact.error_percent < 0.1
    assert (exact.low_ratio, exact.high_ratio) == pytest.approx((0.993, 1.007), abs=1e-3)  # what sessions drift
    noise = 1 + 0.05 * np.random.default_rng(0).standard_normal(len(SUMS_NS))
    noisy = calibration_by(SUMS_NS, _samples(SUMS_NS * noise), (1.0, 0.0), 0.007, "note")
    assert noisy.error_percent > 1
    assert noisy.low_ratio < 1 < noisy.high_ratio
    assert noisy.networks == 20


def test_a_fit_is_kept_to_six_digits() -> None:
    noise = 1 + 0.05 * np.random.default_rng(0).standard_normal(len(SUMS_NS))
    numbers = vars(calibration_by(SUMS_NS, _samples(SUMS_NS * noise), (1.0, 1 / 3), 0.007, "note"))
    assert all(value == float(f"{value:.6g}") for value in numbers.values() if isinstance(value, float))


def test_what_drifts_during_a_profile_widens_the_interval() -> None:
    steady = calibration_by(SUMS_NS, _samples(SUMS_NS), (1.0, 0.0), 0.007, "note")
    drifting = [(latency * np.repeat([1, 1.05], (3, 6))).astype(np.int64) for latency in SUMS_NS]
    drifted = calibration_by(SUMS_NS, drifting, (1.0, 0.0), 0.007, "note")
    assert drifted.high_ratio - drifted.low_ratio > steady.high_ratio - steady.low_ratio + 0.04
