"""What operators cost here, from three kinds of evidence, each with its doubt: an empirical Bayes estimate.

1. A table of another machine (or of this one, earlier). Its times are carried over by a ridge fit of log ratios

       log(here / there) = f(kind, kernel, stride, channels, size, fusions, log(there)) + rest,

   fitted to the operators that were measured at both; the spread of what is left, over the doubt of the measuring, is
   the doubt of a time that is carried over: large on another instruction set, next to nothing on the same machine.
2. The runtime's counters in carriers here, with the doubt that their early and late halves show.
   Both are normal in the logarithm, so they are joined by the inverses of their variances.
3. Whole networks timed end to end. With c what a counter itself takes, d the operators' relative deviations from (1) and
   (2), doubt s, and e the noise,

       latency = scale * sum((t - c) * (1 + d)) + offset + noise,    d ~ N(0, s^2),  noise ~ N(0, (e * latency)^2),

   has a closed solution (ridge), given scale, offset and c, which are fitted robustly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from facenas.arrays import Float64Array
from facenas.latency.calibration import ROBUST_SCALE, fit
from facenas.operators import Kind, Operator

CONTEXT_DOUBT = 0.05
"""An operator's time depends on its neighbours by about so much (relative standard deviation)."""

END_TO_END_NOISE = 0.015
"""Of a network's latency, a low quantile of a dozen runs (relative standard deviation)."""

_USUAL_COUNTER_NS = 3_000.0  # about what reading a counter may take
_MIN_DOUBT = 0.01
_RIDGE = 1.0
_MIN_COMMON = 20
_UNCARRIED_DOUBT = 0.7  # where next to nothing was measured at both: another machine is half to twice as fast


@dataclass(frozen=True)
class Time:
    """An operator's nanoseconds and their doubt, a relative standard deviation."""

    time_ns: float
    doubt: float


def carried_over(there_ns: Mapping[Operator, float], here: Mapping[Operator, Time]) -> dict[Operator, Time]:
    """What the operators of another table cost here, from the ratios of those that were measured at both."""
    common = [operator for operator in there_ns if operator in here and there_ns[operator] > 0 < here[operator].time_ns]
    if len(common) < _MIN_COMMON:
        ratio = float(np.median([here[entry].time_ns / there_ns[entry] for entry in common])) if common else 1.0
        return {operator: Time(ratio * time_ns, _UNCARRIED_DOUBT) for operator, time_ns in there_ns.items()}
    ratios = np.log([here[operator].time_ns / there_ns[operator] for operator in common])
    features = _features(common, there_ns)
    center, spread = features.mean(0), features.std(0) + 1e-9

    def standardised(operators: Sequence[Operator]) -> Float64Array:
        return np.column_stack([np.ones(len(operators)), (_features(operators, there_ns) - center) / spread])

    x = standardised(common)
    penalty = _RIDGE * np.eye(x.shape[1])
    penalty[0, 0] = 0.0
    inverse = np.linalg.inv(x.T @ x + penalty)
    weights = inverse @ x.T @ ratios
    # Left out in turn, in closed form: the residual over one minus the leverage.
    left_out = (ratios - x @ weights) / (1 - np.einsum("ij,jk,ik->i", x, inverse, x))
    measuring = float(np.median([here[operator].doubt for operator in common]))
    doubt = sqrt(max(_MIN_DOUBT**2, float(np.mean(left_out**2)) - measuring**2))
    operators = list(there_ns)
    factors = np.exp(standardised(operators) @ weights)
    return {
        operator: Time(float(factor) * there_ns[operator], doubt)
        for operator, factor in zip(operators, factors, strict=True)
    }


def _features(operators: Sequence[Operator], there_ns: Mapping[Operator, float]) -> Float64Array:
    """What the ratio of two machines, or of two inputs on one, may depend on: [operators, features]."""
    return np.array(
        [
            [
                operator.kind is Kind.DEPTHWISE,
                operator.kind is Kind.UPSAMPLE,
                operator.add,
                operator.relu,
                operator.stride,
                log(operator.kernel_size),
                log(operator.in_channels),
                log(operator.out_channels),
                log(operator.in_channels) ** 2,
                log(operator.out_channels) ** 2,
                log(operator.height_px * operator.width_px),
                log(max(there_ns[operator], 1.0)),
                log(max(there_ns[operator], 1.0)) ** 2,
            ]
            for operator in operators
        ],
        np.float64,
    )


def beside(there_ns: Mapping[Operator, float], here: Mapping[Operator, Time]) -> dict[Operator, Time]:
    """The times of the operators of both: what was measured here and what is carried over joined, or the one there is."""
    times = carried_over(there_ns, here)
    for operator, time_here in here.items():
        both = operator in times and times[operator].time_ns > 0 < time_here.time_ns
        times[operator] = joined(times[operator], time_here) if both else time_here
    return times


def joined(one: Time, other: Time) -> Time:
    """Two independent estimates of one time, by the inverses of their variances, in the logarithm."""
    weights = one.doubt**-2, other.doubt**-2
    mean = (weights[0] * log(one.time_ns) + weights[1] * log(other.time_ns)) / sum(weights)
    return Time(float(np.exp(mean)), sum(weights) ** -0.5)


@dataclass(frozen=True, eq=False)
class WholeNetworks:
    """Networks timed end to end: `counts` [networks, operators], how often each holds each; `latencies_ns` [networks]."""

    counts: Float64Array
    latencies_ns: Float64Array

    def without(self, index: int) -> "WholeNetworks":
        """All but one."""
        return WholeNetworks(np.delete(self.counts, index, 0), np.delete(self.latencies_ns, index))


@dataclass(frozen=True, eq=False)
class Fit:
    """`times_ns` [operators] as all evidence together has it; latency_ns = scale * sum + offset_ns."""

    times_ns: Float64Array
    scale: float
    offset_ns: float

    def predict_ns(self, counts: Float64Array) -> Float64Array:
        """The latencies of networks, counts [networks, operators]."""
        return np.asarray(self.scale * (counts @ self.times_ns) + self.offset_ns)


def fit_networks(times_ns: Float64Array, doubts: Float64Array, networks: WholeNetworks) -> Fit:
    """Operators' times corrected by whole networks, and the scale and offset that go with them."""
    times_ns = np.maximum(times_ns - _counter_ns(times_ns, networks), 0.0)
    scale, offset_ns = fit(networks.counts @ times_ns, networks.latencies_ns)
    expected_ns = scale * (networks.counts @ times_ns) + offset_ns
    shares = scale * networks.counts * times_ns / expected_ns[:, None]
    off = networks.latencies_ns / expected_ns - 1
    variances = doubts**2
    # (shares V shares' + noise) in the space of networks, of which there are fewer than operators.
    inner = (shares * variances) @ shares.T + END_TO_END_NOISE**2 * np.eye(len(off))
    deviations = variances * (shares.T @ np.linalg.solve(inner, off))
    corrected_ns = times_ns * np.clip(1 + deviations, 0.5, 2.0)
    return Fit(corrected_ns, *fit(networks.counts @ corrected_ns, networks.latencies_ns))


def _counter_ns(times_ns: Float64Array, networks: WholeNetworks) -> float:
    """By how much every layer was told too long; not far from what is usual, or the offset could stand for it."""
    from scipy.optimize import least_squares

    sums_ns, layers = networks.counts @ times_ns, networks.counts @ (times_ns > 0)
    unit_ns = float(np.median(networks.latencies_ns))

    def errors(parameters: Float64Array) -> Float64Array:
        scale, offset, counter = parameters
        predicted_ns = scale * (sums_ns - counter * _USUAL_COUNTER_NS * layers) + offset * unit_ns
        return np.append(predicted_ns / networks.latencies_ns - 1, END_TO_END_NOISE * counter)

    start = [float(np.median(networks.latencies_ns / sums_ns)), 0.0, 0.0]
    bounds = [1e-6, 0.0, 0.0], [np.inf, np.inf, np.inf]
    found = least_squares(errors, start, bounds=bounds, loss="soft_l1", f_scale=ROBUST_SCALE)
    return float(found.x[2]) * _USUAL_COUNTER_NS


def held_out_ns(times_ns: Float64Array, doubts: Float64Array, networks: WholeNetworks) -> Float64Array:
    """Every network's latency as it is predicted by what all other networks say."""
    predictions = [
        fit_networks(times_ns, doubts, networks.without(index)).predict_ns(networks.counts[index : index + 1])[0]
        for index in range(len(networks.latencies_ns))
    ]
    return np.array(predictions)
