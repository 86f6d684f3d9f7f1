"""Axes of a chart: a range of values laid over a range of pixels, with ticks at round numbers."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from facenas.errors import InputError


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high`; `label` names quantity and unit. A logarithmic axis needs `low` above zero."""

    label: str
    low: float
    high: float
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where a value stands on the axis: 0 at `low`, 1 at `high`."""
        if self.logarithmic:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> tuple[float, ...]:
        """At most about `most` round values on the axis."""
        if self.logarithmic:
            return _log_ticks(self.low, self.high, most)
        step = _round_up((self.high - self.low) / max(1, most))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return tuple(round(index * step, 12) for index in range(first, last + 1))


def axis_over(label: str, values: Iterable[float], *, from_zero: bool = False, logarithmic: bool = False) -> Axis:
    """An axis that holds all values with some air; linear ones end at round numbers."""
    values = tuple(values)
    low, high = min(values), max(values)
    if logarithmic:
        return Axis(label, low / 1.1, high * 1.1, logarithmic=True)
    if from_zero:
        low = min(0.0, low)
    if low == high:
        low, high = low - (0 if from_zero else abs(low) or 1.0), high + (abs(high) or 1.0)
    step = _round_up((high - low) / 5)
    return Axis(label, math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step)


def tick_text(value: float) -> str:
    """A tick's number, without needless digits; thousands as k, millions as M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= 10 * size or (abs(value) >= size and value % (size / 10) == 0):
            return f"{value / size:g}{unit}"
    return f"{value:.6g}"


def _round_up(step: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not below `step`."""
    if not math.isfinite(step):
        raise InputError("the numbers are too large to be drawn; make the file that they are from again")
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def _log_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for factors in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [round(factor * 10.0**power, 12) for power in powers for factor in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= most:
            break
    return tuple(ticks[:: math.ceil(len(ticks) / most) or 1])
