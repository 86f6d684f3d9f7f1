"""From carriers whose layers were counted, and whole networks timed end to end, to the times of operators at every input.

What the counters say at home and elsewhere is joined with what another table says, and corrected by the whole networks
(facenas/latency/operator_fit.py). A counter's reading takes time itself: ONNX Runtime's layers came out 2.5 microseconds
longer each than they are, a tenth of an int8 network at 192x160.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facenas.arrays import Float64Array, IntArray
from facenas.latency.input_sizes import Inputs
from facenas.latency.journal import Visit
from facenas.latency.operator_fit import CONTEXT_DOUBT, beside, fit_networks, held_out_ns
from facenas.latency.operator_times import (
    Network,
    end_to_end_samples,
    measured_times,
    operator_time,
    samples_by_operator,
)
from facenas.latency.table import LatencyTable, OperatorTime
from facenas.latency.timed_networks import timed_networks
from facenas.operators import Operator


@dataclass(frozen=True, eq=False)
class OperatorsCounted:
    """`times` of every operator; a network is predicted by scale * sum + offset_ns. `held_out_ns` [networks]: each network
    that was timed end to end, predicted by all others; `samples`: its runs. `carried_over`: the doubts of the operators that
    only the other table has."""

    times: Mapping[Operator, OperatorTime]
    scale: float
    offset_ns: float
    held_out_ns: Float64Array
    samples: tuple[IntArray, ...]
    carried_over: tuple[float, ...]


def count_operators(
    visits: Sequence[Visit], networks: Sequence[Network], inputs: Inputs, prior: LatencyTable | None = None
) -> OperatorsCounted:
    """What the visits say, beside a `prior` table. Raises TableError where too few networks were timed end to end."""
    places = samples_by_operator(visits, networks, inputs, inputs.home)
    at_home = measured_times(places)
    if prior is not None:
        at_home = beside({operator: float(time.low_ns) for operator, time in prior.operators.items()}, at_home)
    there_ns = {operator: time.time_ns for operator, time in at_home.items()}
    elsewhere = [
        beside(there_ns, measured_times(samples_by_operator(visits, networks, inputs, other)))
        for other in inputs.others
    ]
    timed = timed_networks(end_to_end_samples(visits, networks), inputs, list(at_home))
    ordered = [each[operator] for each in (at_home, *elsewhere) for operator in at_home]
    times_ns = np.array([time.time_ns for time in ordered])
    doubts = np.hypot([time.doubt for time in ordered], CONTEXT_DOUBT)
    result = fit_networks(times_ns, doubts, timed.whole)
    corrected_ns = result.times_ns.reshape(1 + len(elsewhere), len(at_home))
    return OperatorsCounted(
        {
            operator: _operator_time(places.get(operator), times_ns)
            for operator, times_ns in zip(at_home, corrected_ns.T, strict=True)
        },
        result.scale,
        result.offset_ns,
        held_out_ns(times_ns, doubts, timed.whole),
        timed.samples,
        tuple(time.doubt for operator, time in at_home.items() if operator not in places),
    )


def _operator_time(counted: Sequence[IntArray] | None, times_ns: Float64Array) -> OperatorTime:
    """An operator's times at all inputs as the table holds them: what was counted beside, no samples where it is carried
    over."""
    low_ns, *other_ns = (round(float(time_ns)) for time_ns in times_ns)
    if counted is None:
        return OperatorTime(0, low_ns, low_ns, 0, stable=True, other_ns=tuple(other_ns))
    return replace(operator_time(counted), low_ns=low_ns, other_ns=tuple(other_ns))
