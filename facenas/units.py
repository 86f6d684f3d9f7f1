"""Quantities with their units, as a person types them (`5ms`, `500M`, `0.3M`, `4MB`, `640x480`) and reads them.

A number may stand alone where it can only mean one thing: a latency of 5 is 5 ms, 300000 parameters are that many. 0.3 or 500
of them could be meant in millions, so these need their unit.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from facenas.errors import InputError

_NUMBER_WITH_UNIT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ]*)\s*")
_MIN_BARE_COUNT = 10_000  # fewer FLOPs, parameters or bytes than any network has: a unit was forgotten
_SECONDS: Mapping[str, float] = {"s": 1.0, "min": 60.0, "h": 3600.0}
_MILLISECONDS: Mapping[str, float] = {"": 1.0, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
_COUNTS: Mapping[str, float] = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_BYTES: Mapping[str, float] = {"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9}


@dataclass(frozen=True, order=True)
class Size:
    """Width and height of an image or network input in pixels."""

    width_px: int
    height_px: int

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.width_px * self.height_px

    @property
    def long_side_px(self) -> int:
        """The longer of the two."""
        return max(self.width_px, self.height_px)

    def __str__(self) -> str:
        return f"{self.width_px}x{self.height_px}"


DEFAULT_INPUT = Size(640, 480)
_MAX_SIDE_PX, _MAX_PIXELS = 8192, 4096 * 4096  # a network of it takes gigabytes


def _parse(text: str, units: Mapping[str, float], what: str, example: str, *, bare: bool = False) -> float:
    match = _NUMBER_WITH_UNIT.fullmatch(text)
    if match is not None and bare and float(match[1]).is_integer() and float(match[1]) >= _MIN_BARE_COUNT:
        units = {**units, "": 1.0}
    if match is None or match[2] not in units:
        raise InputError(
            f"{what} '{text}' needs a positive number and a unit ({', '.join(filter(None, units))}), for example {example}"
        )
    value = float(match[1]) * units[match[2]]
    if value <= 0:
        raise InputError(f"{what} '{text}' must be more than zero, for example {example}")
    return value


def parse_latency_ms(text: str) -> float:
    """Milliseconds from text such as `5ms`, `800us`, `0.01s`, or `5`, which is in ms. Raises InputError for other text."""
    return _parse(text, _MILLISECONDS, "latency", "5ms")


PERCENTILES = (20, 50, 90)
LOW_PERCENTILE = 20
"""What tables and predictions are of: what the hardware can do when nothing disturbs it."""


@dataclass(frozen=True)
class LatencyBudget:
    """At most so many milliseconds in so many of a hundred runs."""

    limit_ms: float
    percentile: int = LOW_PERCENTILE

    def __str__(self) -> str:
        suffix = "" if self.percentile == LOW_PERCENTILE else f"@p{self.percentile}"
        return f"{self.limit_ms:g}ms{suffix}"


def parse_latency_budget(text: str) -> LatencyBudget:
    """`5ms`, or `5ms@p90`: nine of ten runs take no longer. Raises InputError for another percentile."""
    latency, at, percentile = text.partition("@")
    if not at:
        return LatencyBudget(parse_latency_ms(latency))
    wanted = percentile.strip().removeprefix("p")
    if not latency.strip() or not percentile.strip().startswith("p") or wanted not in map(str, PERCENTILES):
        raise InputError(
            f"latency '{text}' is no budget; give a latency, or one with the percentile @p50 or @p90, for example 5ms@p90"
        )
    return LatencyBudget(parse_latency_ms(latency), int(wanted))


def as_latency_budget(given: str | float | LatencyBudget) -> LatencyBudget:
    """A budget given as it is, in milliseconds, or as text. Raises InputError for other text, or none of more than 0 ms."""
    if isinstance(given, str):
        return parse_latency_budget(given)
    budget = given if isinstance(given, LatencyBudget) else LatencyBudget(float(given))
    if not budget.limit_ms > 0:
        raise InputError(f"latency budget {budget} must be more than zero")
    return budget


def parse_duration_s(text: str) -> float:
    """Seconds from text such as `10min`, `90s`. Raises InputError where the unit is missing."""
    return _parse(text, _SECONDS, "duration", "10min")


def parse_count(text: str, what: str = "count") -> float:
    """A count of FLOPs or parameters from text such as `500M`, `0.3M`, `2G` or `300000`. Raises InputError for other text."""
    return _parse(text, _COUNTS, what, "500M", bare=True)


def parse_bytes(text: str) -> float:
    """Bytes (decimal: 1 MB = 1e6) from text such as `4MB` or `4000000`. Raises InputError for other text."""
    return _parse(text, _BYTES, "memory", "4MB", bare=True)


def significant(value: float) -> float:
    """`value` with six significant digits. For fits: 6 are more than a measurement has, and all processors agree."""
    return float(f"{value:.6g}")


def parse_size(text: str, multiple_px: int = 32) -> Size:
    """An input size such as `640x480` (width x height), both sides multiples of `multiple_px` (the coarsest stride)."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text.strip())
    if match is None:
        raise InputError(f"size '{text}' is not WIDTHxHEIGHT in pixels, for example 640x480")
    size = Size(int(match[1]), int(match[2]))
    if size.width_px % multiple_px or size.height_px % multiple_px:
        raise InputError(
            f"size '{text}': width and height must be multiples of {multiple_px}, the nearest: {_nearest(size, multiple_px)}"
        )
    if size.long_side_px > _MAX_SIDE_PX or size.pixels > _MAX_PIXELS:
        raise InputError(f"size '{text}' is larger than {_MAX_SIDE_PX} px a side or 17 megapixels; give a smaller one")
    return size


def _nearest(size: Size, multiple_px: int) -> str:
    """The sizes of such multiples below and above."""
    sides_px = size.width_px, size.height_px
    below = Size(*(max(1, side_px // multiple_px) * multiple_px for side_px in sides_px))
    above = Size(*(-(-side_px // multiple_px) * multiple_px for side_px in sides_px))
    return " or ".join(dict.fromkeys((str(below), str(above))))


def as_size(given: str | Size) -> Size:
    """An input size given as it is or as text. Raises InputError for other text."""
    return given if isinstance(given, Size) else parse_size(given)


def in_ms(value_ms: float) -> str:
    """A latency with its unit, to three or four digits."""
    digits = 3 if abs(value_ms) < 1 else 2 if abs(value_ms) < 100 else 1
    return f"{value_ms:.{digits}f} ms"


def in_millions(value: float) -> str:
    """A count such as FLOPs or parameters, in millions."""
    millions = value / 1e6
    return f"{millions:,.{3 if millions < 1 else 1}f} M"


def in_megabytes(value_bytes: float) -> str:
    """Bytes as decimal megabytes."""
    return f"{value_bytes / 1e6:.2f} MB"


def in_seconds(value_s: float) -> str:
    """A duration in seconds, minutes or hours."""
    if value_s < 90:
        return f"{value_s:.1f} s"
    return f"{value_s / 60:.1f} min" if value_s < 5400 else f"{value_s / 3600:.1f} h"


def in_percent(share: float) -> str:
    """A share of 0 to 1 in per cent."""
    return f"{100 * share:.1f} %"


@dataclass(frozen=True)
class Unit:
    """What a quantity is counted in: `size` of its values make one `symbol`; `text` prints it for a person."""

    symbol: str
    size: float
    text: Callable[[float], str]

    def in_digits(self, value: float) -> str:
        """To six digits, for messages that name a limit."""
        return f"{value / self.size:.6g} {self.symbol}".rstrip()


MILLISECONDS = Unit("ms", 1.0, in_ms)
MILLIONS = Unit("M", 1e6, in_millions)
MEGABYTES = Unit("MB", 1e6, in_megabytes)
ONES = Unit("", 1.0, "{:g}".format)
