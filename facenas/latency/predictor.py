"""Prediction: the latency of a whole detector from a table, with its 90 % interval and where every part is from.

    latency = scale * sum(low_ns) + offset

An operator that the table lacks is interpolated between two that it has, a smaller and a larger one of the same kind,
kernel, stride and feature size; as cost grows with channels, its true cost lies between theirs, and the interval of the
prediction widens by that doubt. There is no extrapolation. What a short profile carried over from another machine's table
widens it, too.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import exp, fsum, log
from typing import Any

from facenas.architecture import Detector
from facenas.errors import TableError
from facenas.graph import inventory
from facenas.latency.table import LatencyTable
from facenas.operators import Operator
from facenas.units import Size

_NINETY_PERCENT = 1.645  # standard deviations to each side that hold 90 % of a normal distribution


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


@dataclass(frozen=True)
class Prediction:
    """Latency of a whole detector in milliseconds with its 90 % interval, and its operators in execution order."""

    latency_ms: float
    low_ms: float
    high_ms: float
    provenance: str
    operators: tuple[OperatorCost, ...]

    def to_json(self) -> dict[str, Any]:
        """What `facenas predict --json` prints."""
        operators = [
            {"operator": str(cost.operator), "latency_us": round(cost.latency_us, 2), "source": cost.source.value}
            for cost in self.operators
        ]
        return {
            "latency_ms": round(self.latency_ms, 4),
            "low_ms": round(self.low_ms, 4),
            "high_ms": round(self.high_ms, 4),
            "provenance": self.provenance,
            "operators": operators,
        }


class OperatorCosts:
    """The calibrated cost of any operator of a table's target; a prediction is their sum and `offset_ms`."""

    def __init__(self, table: LatencyTable) -> None:
        self.table = table
        self.offset_ms = table.calibration.offset_ns / 1e6
        self._groups: dict[Operator, list[Operator]] = {}
        for operator in table.operators:
            self._groups.setdefault(_without_channels(operator), []).append(operator)

    def cost(self, operator: Operator) -> OperatorCost:
        """Raises TableError, with the nearest operators and the command to profile, where the table cannot tell."""
        if operator in self.table.operators:
            cost_us, doubt = self._measured_us(operator), self._doubt(operator)
            source = Source.CARRIED_OVER if doubt else Source.TABLE
            return OperatorCost(operator, cost_us, cost_us / exp(doubt), cost_us * exp(doubt), source)
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
        return OperatorCost(operator, low_us + share * (high_us - low_us), low_us, high_us, Source.INTERPOLATED)

    def _measured_us(self, operator: Operator) -> float:
        return self.table.calibration.scale * self.table.operators[operator].low_ns / 1e3

    def _doubt(self, operator: Operator) -> float:
        """Half of the 90 % interval of the logarithm of a cost; 0 for one that was measured where the table is of."""
        short = self.table.short_profile
        return 0.0 if short is None or self.table.operators[operator].samples else _NINETY_PERCENT * short.doubt

    def _unknown(self, operator: Operator, group: list[Operator]) -> str:
        same_kind = group or [other for other in self.table.operators if other.kind is operator.kind]
        nearest = sorted(same_kind, key=lambda other: (_shape_distance(other, operator), other))[:3]
        listed = "; ".join(map(str, nearest)) or "none of its kind"
        return (
            f"the latency table for {self.table.target} at {self.table.input_size} does not reach to operator "
            f"'{operator}' (nearest: {listed}); add its network: facenas profile --device {self.table.target} "
            f"--input {self.table.input_size} --also ARCH"
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
    detector: Detector, table: LatencyTable, input_size: Size, costs: OperatorCosts | None = None
) -> Prediction:
    """Predict the latency of a detector on the table's target. Raises TableError where the table cannot tell.

    `costs`, if given, must be those of `table`; it saves preparing them for every one of many detectors.
    """
    if input_size != table.input_size:
        raise TableError(
            f"the latency table for {table.target} is for input {table.input_size}, not {input_size}; make one: "
            f"facenas profile --device {table.target} --input {input_size}"
        )
    costs = costs or OperatorCosts(table)
    operators = tuple(costs.cost(operator) for operator in inventory(detector, input_size))
    latency_ms, low_ms, high_ms = (
        fsum(getattr(cost, name) for cost in operators) / 1e3 + costs.offset_ms
        for name in ("latency_us", "low_us", "high_us")
    )
    return Prediction(
        latency_ms=latency_ms,
        low_ms=low_ms * table.calibration.low_ratio,
        high_ms=high_ms * table.calibration.high_ratio,
        provenance=table.provenance,
        operators=operators,
    )
