"""Prediction: the latency of a whole detector from a table, with its 90 % interval and where every part is from.

    latency = scale * sum(low_ns) + offset

An operator that the table lacks is interpolated between two that it has, a smaller and a larger one of the same kind,
kernel, stride and feature size; as cost grows with channels, its true cost lies between theirs, and the interval of the
prediction widens by that doubt. There is no extrapolation. What a short profile carried over from another machine's table
widens it, too, and so does an input between those that were measured (facenas/latency/input_sizes.py).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from math import exp, fsum, log
from typing import Any

from facenas.architecture import Architecture
from facenas.errors import TableError
from facenas.graph import inventory
from facenas.latency.provenance import TableFacts
from facenas.latency.table import LatencyTable
from facenas.operators import Operator
from facenas.shown import Rows, Shown
from facenas.units import Size

_DEAREST = 10
_NINETY_PERCENT = 1.645  # standard deviations to each side that hold 90 % of a normal distribution
_BETWEEN_INPUTS = 0.03  # what a cost may be off by in the middle between two inputs


class Source(StrEnum):
    """Where an operator's cost comes from."""

    TABLE = "table"
    CARRIED_OVER = "carried over"
    INTERPOLATED = "interpolated"


@dataclass(frozen=True)
class OperatorCost:
    """Calibrated cost of one operator; it lies between `low_us` and `high_us` (equal to it where it was measured)."""

    operator: Operator
    latency_us: float
    low_us: float
    high_us: float
    source: Source


@dataclass(frozen=True, repr=False)
class Prediction(Shown):
    """Latency of a whole detector in milliseconds with its 90 % interval, and its operators in execution order.

    It is the 20th percentile of the runs, what the hardware can do; `median_ms` and `p90_ms` are half and nine of ten of
    them, None where the table does not tell. `table`: what must be said of the table on this machine.
    """

    latency_ms: float
    low_ms: float
    high_ms: float
    provenance: str
    operators: tuple[OperatorCost, ...]
    median_ms: float | None = None
    p90_ms: float | None = None
    table: TableFacts | None = None

    def line(self) -> str:
        """The latency with its interval."""
        target = "" if self.table is None else f" on {self.table.target}"
        return (
            f"{self.latency_ms:.2f} ms{target}, between {self.low_ms:.2f} and {self.high_ms:.2f} ms ({self.provenance})"
        )

    def shown(self) -> tuple[Rows, ...]:
        """The latency, and the operators that take most of it."""
        tail = (self.median_ms, self.p90_ms)
        row = (
            "" if self.table is None else self.table.target,
            f"{self.latency_ms:.2f} ms",
            f"{self.low_ms:.2f} to {self.high_ms:.2f} ms",
            ", ".join("not known" if value is None else f"{value:.2f} ms" for value in tail),
            self.provenance if self.table is None else f"{self.table.provenance} {self.table.where}",
        )
        times = Counter(cost.operator for cost in self.operators)
        costs = {cost.operator: cost for cost in self.operators}
        dearest = sorted(costs.values(), key=lambda cost: -cost.latency_us * times[cost.operator])[:_DEAREST]
        rows = [
            (
                str(cost.operator),
                str(times[cost.operator]),
                f"{cost.latency_us * times[cost.operator]:.0f} µs",
                cost.source.value,
            )
            for cost in dearest
        ]
        columns = ("device", "latency", "90 % interval", "50th, 90th percentile", "provenance")
        return (
            Rows("predicted latency", columns, (row,)),
            Rows("dearest operators", ("operator", "times", "together", "source"), tuple(rows)),
        )

    def to_json(self) -> dict[str, Any]:
        """What `facenas predict --json` prints."""
        milliseconds = {
            name: getattr(self, name) for name in ("latency_ms", "low_ms", "high_ms", "median_ms", "p90_ms")
        }
        operators = [
            {
                "operator": str(cost.operator),
                **{name: round(getattr(cost, name), 2) for name in ("latency_us", "low_us", "high_us")},
                "source": cost.source.value,
            }
            for cost in self.operators
        ]
        return {
            **{name: None if value is None else round(value, 4) for name, value in milliseconds.items()},
            "provenance": self.provenance,
            "operators": operators,
            "table": None if self.table is None else asdict(self.table),
        }


class OperatorCosts:
    """The calibrated cost of any operator of a table's target at one input (default: that of the table's operators); a
    prediction is their sum and `offset_ms`. Raises TableError where the table does not cover the input."""

    def __init__(self, table: LatencyTable, input_size: Size | None = None) -> None:
        self.table, self.input_size = table, input_size or table.input_size
        self.offset_ms = table.calibration.offset_ns / 1e6
        self._shares: dict[int, tuple[float, ...]] = {}  # by how many times smaller than the input is what is written
        nearer = max(table.inputs.shares(self.input_size))
        self._between = _BETWEEN_INPUTS * 4 * nearer * (1 - nearer)
        self._groups: dict[Operator, list[Operator]] = {}
        for operator in table.operators:
            self._groups.setdefault(_without_channels(operator), []).append(operator)

    def cost(self, operator: Operator) -> OperatorCost:
        """Raises TableError, with the nearest operators and the command to profile, where the table cannot tell."""
        home = self.table.inputs.at_home(operator, self.input_size)
        if home in self.table.operators:
            cost_us, doubt = self._measured_us(home), self._doubt(home)
            source = Source.CARRIED_OVER if doubt else Source.INTERPOLATED if self._between else Source.TABLE
            low_us, high_us = cost_us / exp(doubt), cost_us * exp(doubt)
        else:
            low_us, cost_us, high_us = self._between_channels_us(home)
            source = Source.INTERPOLATED
        return OperatorCost(operator, cost_us, low_us * (1 - self._between), high_us * (1 + self._between), source)

    def _between_channels_us(self, operator: Operator) -> tuple[float, float, float]:
        """The costs of a smaller one, of this one and of a larger one."""
        group = self._groups.get(_without_channels(operator), [])
        smaller = [other for other in group if _fits_into(other, operator)]
        larger = [other for other in group if _fits_into(operator, other)]
        if not smaller or not larger:
            raise TableError(self._unknown(operator, group))
        below = max(smaller, key=_channel_product)
        above = min(larger, key=_channel_product)
        low_us, high_us = sorted((self._measured_us(below), self._measured_us(above)))
        small, wanted, large = (entry.in_values * entry.out_channels for entry in (below, operator, above))
        share = (wanted - small) / (large - small)
        return low_us, low_us + share * (high_us - low_us), high_us

    def reaches(self, operators: Iterable[Operator], *, measured: bool = False) -> bool:
        """Whether the table can tell the costs of all these operators; `measured`: without any that was carried over."""
        try:
            costs = [self.cost(operator) for operator in operators]
        except TableError:
            return False
        return not measured or all(cost.source is not Source.CARRIED_OVER for cost in costs)

    def _measured_us(self, operator: Operator) -> float:
        time, inputs = self.table.operators[operator], self.table.inputs
        times_ns, reduction = (time.low_ns, *time.other_ns), inputs.reduction(operator)
        if reduction not in self._shares:
            self._shares[reduction] = inputs.shares(self.input_size, reduction)
        time_ns = fsum(share * each for share, each in zip(self._shares[reduction], times_ns, strict=True) if share)
        return self.table.calibration.scale * time_ns / 1e3

    def _doubt(self, operator: Operator) -> float:
        """Half of the 90 % interval of the logarithm of a cost; 0 for one that was measured where the table is of."""
        short = self.table.short_profile
        return 0.0 if short is None or self.table.operators[operator].samples else _NINETY_PERCENT * short.doubt

    def _unknown(self, operator: Operator, group: list[Operator]) -> str:
        same_kind = group or [other for other in self.table.operators if other.kind is operator.kind]
        nearest = sorted(same_kind, key=lambda other: (_shape_distance(other, operator), other))[:3]
        listed = "; ".join(map(str, nearest)) or "none of its kind"
        return (
            f"the latency table for {self.table.target} at {self.table.inputs} does not reach to operator "
            f"'{operator}' (nearest: {listed}); measure its network or its space: facenas profile --device "
            f"{self.table.target} --input {self.table.input_size} --also ARCH, or --space SPACE"
        )


def _without_channels(operator: Operator) -> Operator:
    return replace(operator, in_channels=0, out_channels=0)


def _fits_into(small: Operator, large: Operator) -> bool:
    return small.in_channels <= large.in_channels and small.out_channels <= large.out_channels


def _channel_product(operator: Operator) -> int:
    """Of two operators that fit into a third, or that it fits into, the one whose number is nearer to its own is nearer."""
    return operator.in_channels * operator.out_channels


def _shape_distance(one: Operator, other: Operator) -> float:
    """For words only: how unlike two operators of a kind are, channels, kernel, stride, size and fusions together."""
    names = ("in_channels", "out_channels", "kernel_size", "stride", "height_px")
    fusions = (one.add != other.add) + (one.relu != other.relu)
    return sum(abs(log(getattr(one, name) / getattr(other, name))) for name in names) + fusions


def predict(
    detector: Architecture, table: LatencyTable, input_size: Size, costs: OperatorCosts | None = None
) -> Prediction:
    """Predict the latency of a detector on the table's target. Raises TableError where the table cannot tell.

    `costs`, if given, must be those of `table` at that input; it saves preparing them for every one of many detectors.
    """
    if not table.inputs.covers(input_size):
        raise TableError(
            f"the latency table for {table.target} is for input {table.inputs}, not {input_size}; make one: "
            f"facenas profile --device {table.target} --input {input_size}"
        )
    if costs is None or costs.input_size != input_size:
        costs = OperatorCosts(table, input_size)
    operators = tuple(costs.cost(operator) for operator in inventory(detector, input_size))
    latency_ms, low_ms, high_ms = (
        fsum(getattr(cost, name) for cost in operators) / 1e3 + costs.offset_ms
        for name in ("latency_us", "low_us", "high_us")
    )
    ratios = {percentile: table.ratio_to(percentile) if table.tells(percentile) else None for percentile in (50, 90)}
    median_ms, p90_ms = (None if ratio is None else ratio * latency_ms for ratio in ratios.values())
    return Prediction(
        latency_ms=latency_ms,
        low_ms=low_ms * table.calibration.low_ratio,
        high_ms=high_ms * table.calibration.high_ratio,
        provenance=table.provenance,
        operators=operators,
        median_ms=median_ms,
        p90_ms=p90_ms,
    )
