"""Calibration: from the sum of a network's operators to its latency end to end.

    latency = scale * sum + offset,   scale > 0, offset >= 0

fitted robustly to relative errors, because what disturbs a measurement only ever lengthens it. The error and the interval
come from cross-validation: each network is predicted by what the others say.
"""

from collections.abc import Sequence

import numpy as np

from facenas.arrays import Float64Array, IntArray
from facenas.latency.table import Calibration
from facenas.runtimes.timing import low_quantile

FOLDS = 10
MIN_NETWORKS = 3
_INTERVAL = (0.05, 0.95)
# Relative errors beyond this weigh less: they are disturbances rather than the operators' doing.
ROBUST_SCALE = 0.03


def fit(sums_ns: Float64Array, latencies_ns: Float64Array) -> tuple[float, float]:
    """Scale and offset_ns that predict `latencies_ns` from `sums_ns` best."""
    from scipy.optimize import least_squares

    def relative_errors(parameters: Float64Array) -> Float64Array:
        # Both parameters near 1: the offset in units of the median latency.
        predicted = parameters[0] * sums_ns + parameters[1] * unit_ns
        return np.asarray(predicted / latencies_ns - 1)

    unit_ns = float(np.median(latencies_ns))
    start = [float(np.median(latencies_ns / sums_ns)), 0.0]
    result = least_squares(
        relative_errors, start, bounds=([1e-6, 0.0], [np.inf, np.inf]), loss="soft_l1", f_scale=ROBUST_SCALE
    )
    return float(result.x[0]), float(result.x[1] * unit_ns)


def calibration_by(
    predictions_ns: Float64Array, samples_ns: Sequence[IntArray], fitted: tuple[float, float], drift: float, note: str
) -> Calibration:
    """The calibration whose scale and offset are `fitted`, with its error from what networks were predicted to take by others.

    The interval is to hold what somebody else will measure at another time, so it is that of the latencies of the earlier and
    of the later two thirds of the samples, as two measurements of each network, and wider by `drift`, that of whole sessions.
    """
    latencies_ns = np.array([low_quantile(samples) for samples in samples_ns])
    scale, offset_ns = fitted
    thirds = [len(samples) // 3 for samples in samples_ns]
    parts = (
        (samples[: len(samples) - third], samples[third:]) for samples, third in zip(samples_ns, thirds, strict=True)
    )
    twice_ns = np.array([[low_quantile(early), low_quantile(late)] for early, late in parts])
    low, high = np.quantile(twice_ns / predictions_ns[:, None], _INTERVAL)
    errors_percent = 100 * np.abs(predictions_ns / latencies_ns - 1)
    pairs_ms = np.column_stack([predictions_ns, latencies_ns]).round(-2) / 1e6
    runs = np.concatenate([samples / low_quantile(samples) for samples in samples_ns])
    return Calibration(
        scale=scale,
        offset_ns=offset_ns,
        low_ratio=float(low) - drift,
        high_ratio=float(high) + drift,
        error_percent=float(errors_percent.mean()),
        worst_percent=float(errors_percent.max()),
        networks=len(predictions_ns),
        note=note,
        drift=drift,
        pairs_ms=tuple((float(predicted), float(measured)) for predicted, measured in pairs_ms),
        p50_ratio=float(np.quantile(runs, 0.5)),
        p90_ratio=float(np.quantile(runs, 0.9)),
    ).rounded()
