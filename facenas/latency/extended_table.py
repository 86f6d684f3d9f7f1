"""A long profile's table, extended by operators that were measured on another machine only.

A table that ships tells of the operators of the space that it was profiled for. So that it reaches those of another space,
too, their times are carried over from a table that has them (facenas/latency/operator_fit.py, a ridge on the log ratios of
the operators that both have). They have no samples, say where they come from, and widen every prediction that they are in;
any machine that needs them measures them once (facenas/latency/this_machine.py).
"""

from dataclasses import replace

from facenas.errors import TableError
from facenas.latency.operator_fit import Time, carried_over
from facenas.latency.operator_times import MIN_MEASURING_DOUBT
from facenas.latency.table import LatencyTable, OperatorTime, ShortProfile
from facenas.units import significant


def extended(table: LatencyTable, other: LatencyTable) -> LatencyTable:
    """`table` with what only `other` has measured. Raises TableError where they are not of one target and input, or `table`
    has carried over operators already."""
    if (table.target, table.input_size) != (other.target, other.input_size):
        raise TableError(f"tables of {table.target} at {table.input_size} and of {other.target} at {other.input_size}")
    if table.short_profile is not None or table.other_inputs:
        raise TableError(f"the table of {table.target} is of a short profile, extended already, or of several inputs")
    here = {operator: Time(float(time.low_ns), MIN_MEASURING_DOUBT) for operator, time in table.operators.items()}
    there_ns = {operator: float(time.low_ns) for operator, time in other.operators.items() if time.samples}
    times = carried_over(there_ns, here)
    added = {operator: time for operator, time in times.items() if operator not in table.operators}
    if not added:
        raise TableError(f"the table of {table.target} has all that the other has measured")
    operators = {
        operator: OperatorTime(0, round(time.time_ns), round(time.time_ns), 0, stable=True)
        for operator, time in added.items()
    }
    doubt = significant(max(time.doubt for time in added.values()))
    about = ShortProfile(other.date, other.fingerprint.cpu, len(added), doubt, extends=True)
    return replace(table, operators={**table.operators, **operators}, short_profile=about)
