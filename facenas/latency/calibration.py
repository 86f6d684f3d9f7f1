"""Calibration: from the sum of a network's operators to its latency end to end.

    latency = scale * sum + offset,   scale > 0, offset >= 0

fitted robustly to relative errors, because what disturbs a measurement only ever lengthens it. The error and the
interval come from networks that took no part: in each of `FOLDS` folds, the operators' times are taken from the other
networks' samples and the fit from the other networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from statistics import median

import numpy as np
import numpy.typing as npt

from facenas.errors import TableError
from facenas.latency.table import Calibration
from facenas.operators import Operator

FOLDS = 10
LEAST_NETWORKS = 3
_INTERVAL = (0.05, 0.95)
# Relative errors beyond this weigh less: they are disturbances rather than the operators' doing.
_ROBUST_SCALE = 0.03

FloatVector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """A whole network that was measured.

    `layers_low_ns`: for each layer its operator and its own 20th percentile, or None where no counters were read.
    """

    operators: tuple[Operator, ...]
    latency_ns: float
    layers_low_ns: tuple[float, ...] | None


def operator_costs(networks: Sequence[Measured]) -> dict[Operator, float]:
    """For every operator, the median over all places where it was counted."""
    places: dict[Operator, list[float]] = {}
    for network in networks:
        if network.layers_low_ns is not None:
            for operator, low_ns in zip(network.operators, network.layers_low_ns, strict=True):
                places.setdefault(operator, []).append(low_ns)
    return {operator: median(values) for operator, values in places.items()}


def fit(sums_ns: FloatVector, latencies_ns: FloatVector) -> tuple[float, float]:
    """Scale and offset_ns that predict `latencies_ns` from `sums_ns` best."""
    from scipy.optimize import least_squares

    def relative_errors(parameters: FloatVector) -> FloatVector:
        # Both parameters near 1: the offset in units of the median latency.
        predicted = parameters[0] * sums_ns + parameters[1] * unit_ns
        return np.asarray(predicted / latencies_ns - 1)

    unit_ns = float(np.median(latencies_ns))
    start = [float(np.median(latencies_ns / sums_ns)), 0.0]
    result = least_squares(
        relative_errors, start, bounds=([1e-6, 0.0], [np.inf, np.inf]), loss="soft_l1", f_scale=_ROBUST_SCALE
    )
    return float(result.x[0]), float(result.x[1] * unit_ns)


def _sums(networks: Sequence[Measured], costs: Mapping[Operator, float]) -> FloatVector:
    return np.array([sum(costs[operator] for operator in network.operators) for network in networks])


def held_out_predictions(networks: Sequence[Measured]) -> FloatVector:
    """For every network its latency in ns as predicted without it (only operators that no other holds are its own)."""
    everything = operator_costs(networks)
    fold_of = np.arange(len(networks)) % FOLDS
    predictions = np.zeros(len(networks))
    for fold in range(FOLDS):
        inside = fold_of == fold
        if not inside.any():
            continue
        others = list(compress(networks, ~inside))
        costs = everything | operator_costs(others)
        scale, offset_ns = fit(_sums(others, costs), np.array([network.latency_ns for network in others]))
        predictions[inside] = scale * _sums(list(compress(networks, inside)), costs) + offset_ns
    return predictions


def calibration_of(networks: Sequence[Measured], note: str) -> Calibration:
    """The calibration of a table whose operators come from the same networks. Raises TableError for fewer than 3."""
    if len(networks) < LEAST_NETWORKS:
        raise TableError(f"only {len(networks)} networks could be measured, {LEAST_NETWORKS} are needed to calibrate")
    latencies = np.array([network.latency_ns for network in networks])
    scale, offset_ns = fit(_sums(networks, operator_costs(networks)), latencies)
    ratios = latencies / held_out_predictions(networks)
    return with_ratios(scale, offset_ns, ratios, note)


def with_ratios(scale: float, offset_ns: float, ratios: FloatVector, note: str) -> Calibration:
    """A calibration whose error and interval follow from measured / predicted of networks that took no part."""
    low, high = np.quantile(ratios, _INTERVAL)
    errors_percent = 100 * np.abs(1 / ratios - 1)
    return Calibration(
        scale=scale,
        offset_ns=offset_ns,
        low_ratio=float(low),
        high_ratio=float(high),
        error_percent=float(errors_percent.mean()),
        worst_percent=float(errors_percent.max()),
        networks=len(ratios),
        note=note,
    )
