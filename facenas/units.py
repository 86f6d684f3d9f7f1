"""Quantities with their units, as a person types them: `5ms`, `500M`, `0.3M`, `4MB`, `640x480`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from facenas.errors import InputError

_NUMBER_WITH_UNIT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ]+)\s*")
_MILLISECONDS: Mapping[str, float] = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
_COUNTS: Mapping[str, float] = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_BYTES: Mapping[str, float] = {"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9}


@dataclass(frozen=True, order=True)
class Size:
    """Width and height of an image or network input in pixels."""

    width_px: int
    height_px: int

    def __str__(self) -> str:
        return f"{self.width_px}x{self.height_px}"


def _parse(text: str, units: Mapping[str, float], what: str, example: str) -> float:
    match = _NUMBER_WITH_UNIT.fullmatch(text)
    if match is None or match[2] not in units:
        raise InputError(
            f"{what} '{text}' needs a positive number and a unit ({', '.join(units)}), for example {example}"
        )
    value = float(match[1]) * units[match[2]]
    if value <= 0:
        raise InputError(f"{what} '{text}' must be more than zero, for example {example}")
    return value


def parse_latency_ms(text: str) -> float:
    """Milliseconds from text such as `5ms`, `800us` or `0.01s`. Raises InputError where the unit is missing."""
    return _parse(text, _MILLISECONDS, "latency", "5ms")


def parse_count(text: str, what: str = "count") -> float:
    """A count of FLOPs or parameters from text such as `500M`, `0.3M` or `2G`. Raises InputError without a unit."""
    return _parse(text, _COUNTS, what, "500M")


def parse_bytes(text: str) -> float:
    """Bytes (decimal: 1 MB = 1e6) from text such as `4MB`. Raises InputError where the unit is missing."""
    return _parse(text, _BYTES, "memory", "4MB")


def significant(value: float, digits: int = 6) -> float:
    """`value` with so many significant digits. For fits: 6 are more than a measurement has, and all processors agree."""
    return float(f"{value:.{digits}g}")


def parse_size(text: str, multiple_px: int = 32) -> Size:
    """An input size such as `640x480` (width x height), both sides multiples of `multiple_px` (the coarsest stride)."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text.strip())
    if match is None:
        raise InputError(f"size '{text}' is not WIDTHxHEIGHT in pixels, for example 640x480")
    size = Size(int(match[1]), int(match[2]))
    if size.width_px % multiple_px or size.height_px % multiple_px:
        raise InputError(f"size '{text}': width and height must be multiples of {multiple_px}, for example 640x480")
    return size
