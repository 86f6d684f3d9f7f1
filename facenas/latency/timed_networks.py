"""From networks that were timed end to end to the times of their operators at every input of a table.

facenas/latency/whole_networks.py solves for them; here visits become its counts, and its answer a table's entries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facenas.arrays import BoolArray, Float64Array, IntArray
from facenas.errors import TableError
from facenas.latency.calibration import MIN_NETWORKS
from facenas.latency.input_sizes import Inputs, moved
from facenas.latency.operator_fit import Time, WholeNetworks, carried_over
from facenas.latency.operator_times import Network, is_stable
from facenas.latency.table import LatencyTable, OperatorTime
from facenas.latency.whole_networks import recover
from facenas.operators import Operator
from facenas.runtimes.timing import low_quantile

_QUARTILES_APART = 1.349  # standard deviations between the quartiles of a normal distribution


@dataclass(frozen=True, eq=False)
class TimedNetworks:
    """Networks with the nanoseconds of their runs, and `counts` [networks, inputs * operators] of `operators` as at home,
    divided between inputs where a network's lies between two."""

    operators: tuple[Operator, ...]
    networks: tuple[Network, ...]
    samples: tuple[IntArray, ...]
    counts: Float64Array

    @property
    def whole(self) -> WholeNetworks:
        """What a fit needs of them."""
        return WholeNetworks(self.counts, np.array([low_quantile(samples) for samples in self.samples]))


def timed_networks(
    timed: Sequence[tuple[Network, IntArray]], inputs: Inputs, operators: Sequence[Operator]
) -> TimedNetworks:
    """Those whose operators are all among `operators`. Raises TableError where they are too few."""
    columns = {operator: index for index, operator in enumerate(operators)}
    reductions = [inputs.reduction(operator) for operator in operators]
    counts, known = [], []
    for network, samples in timed:
        if low_quantile(samples) <= 0:
            raise TableError(f"{network.key} was timed in zero seconds; the clock there is too coarse to profile by")
        places = [columns.get(inputs.at_home(each, network.input_size)) for each in network.graph.operators]
        if None not in places:
            held = np.bincount(np.array(places, np.intp), minlength=len(columns))
            shares = {each: inputs.shares(network.input_size, each) for each in set(reductions)}
            counts.append((np.array([shares[each] for each in reductions]).T * held).ravel())
            known.append((network, samples))
    if len(known) < MIN_NETWORKS:
        raise TableError(f"only {len(known)} networks could be measured, {MIN_NETWORKS} are needed to calibrate")
    networks, taken = zip(*known, strict=True)
    return TimedNetworks(tuple(operators), networks, taken, np.array(counts, np.float64))


@dataclass(frozen=True, eq=False)
class OperatorsRecovered:
    """`times` of every operator; `doubts` of them at home, relative standard deviations; a network is predicted by their sum
    and `offset_ns`; `held_out_ns` [networks]: by the networks of the other folds, `judged` where these hold all its
    operators."""

    times: Mapping[Operator, OperatorTime]
    doubts: Mapping[Operator, float]
    offset_ns: float
    held_out_ns: Float64Array
    judged: BoolArray
    timed: TimedNetworks

    @property
    def judged_samples(self) -> list[IntArray]:
        """Those of the networks that are `judged`."""
        return [samples for samples, judged in zip(self.timed.samples, self.judged, strict=True) if judged]


def recover_operators(
    timed: Sequence[tuple[Network, IntArray]], inputs: Inputs, prior: LatencyTable | None = None
) -> OperatorsRecovered:
    """The times of all operators of these networks, and carried over those of `prior` that they lack, a table of the same
    inputs (one of others says nothing here). Raises TableError where the networks are too few."""
    operators = sorted(
        {inputs.at_home(each, network.input_size) for network, _ in timed for each in network.graph.operators}
    )
    prior_ns = {} if prior is None or prior.inputs != inputs else _rows_ns(prior)
    networks = timed_networks(timed, inputs, operators)
    everywhere = [moved(operator, inputs.home, size) for size in inputs.all for operator in operators]
    known = np.array([prior_ns[operator] for operator in operators]).T if prior_ns.keys() >= set(operators) else None
    found = recover(everywhere, networks.whole, None if known is None else known.ravel())
    shape = len(inputs.all), len(operators)
    times_ns, doubts = found.times_ns.reshape(shape), found.doubts.reshape(shape)
    holders = networks.counts.reshape(-1, *shape).sum(1) > 0
    times = {
        operator: _operator_time(row, doubt, [networks.samples[index] for index in np.flatnonzero(holds)])
        for operator, row, doubt, holds in zip(operators, times_ns.T, doubts[0], holders.T, strict=True)
    }
    all_doubts = dict(zip(operators, doubts[0].tolist(), strict=True))
    if lacking := prior_ns.keys() - times.keys():
        carried = [
            carried_over(
                {operator: row[place] for operator, row in prior_ns.items()},
                {each: Time(*pair) for each, *pair in zip(operators, times_ns[place], doubts[place], strict=True)},
            )
            for place in range(len(inputs.all))
        ]
        for operator in sorted(lacking):
            row_ns = np.array([each[operator].time_ns for each in carried])
            times[operator], all_doubts[operator] = _operator_time(row_ns, 0.0, []), carried[0][operator].doubt
    return OperatorsRecovered(times, all_doubts, found.offset_ns, found.held_out_ns, found.judged, networks)


def _rows_ns(table: LatencyTable) -> dict[Operator, tuple[float, ...]]:
    """Every operator's times at all inputs."""
    return {operator: (float(time.low_ns), *map(float, time.other_ns)) for operator, time in table.operators.items()}


def _operator_time(times_ns: Float64Array, doubt: float, holders: Sequence[IntArray]) -> OperatorTime:
    """Its samples are the runs of the networks that hold it, and its spread is that of what the solution does not know."""
    low_ns, *other_ns = (round(float(time_ns)) for time_ns in times_ns)
    if not holders:
        return OperatorTime(0, low_ns, low_ns, 0, stable=True, other_ns=tuple(other_ns))
    over_low = float(np.median([np.median(samples) / low_quantile(samples) for samples in holders]))
    spread_ns = round(_QUARTILES_APART * doubt * low_ns)
    samples = sum(map(len, holders))
    return OperatorTime(samples, low_ns, round(over_low * low_ns), spread_ns, is_stable(holders), tuple(other_ns))
