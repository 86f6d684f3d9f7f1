"""Inputs that a search may choose from: all of a shape, or some that are named.

Convolutions halve an input five times, so sides are multiples of 32 and few are exactly 4:3; a size counts as of a shape
where it is off by at most `MAX_OFF`. What falls beside the picture is filled with black.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from facenas.errors import InputError
from facenas.latency.input_sizes import ALL_INPUTS
from facenas.units import Size, as_size, parse_size

MAX_OFF = 0.04
_MULTIPLE_PX = 32


@dataclass(frozen=True)
class AnyInput:
    """All inputs of a shape, `aspect` times as wide as high, with a long side of `most_px` at most."""

    aspect: float = 4 / 3
    most_px: int | None = None

    def sizes(self, least_px: int, most_px: int) -> tuple[Size, ...]:
        """Those with a long side of `least_px` to `most_px` that a profile covers, largest first. Raises InputError where there
        is none."""
        most = min(most_px, self.most_px or most_px)
        if most < least_px:
            raise InputError(
                f"the camera's picture has a long side of {most} px, less than the least input that is searched, {least_px} px;"
                " give its shape instead (--aspect 4:3), and pictures are made larger"
            )
        found = []
        for long_px in range(_MULTIPLE_PX, most + 1, _MULTIPLE_PX):
            short = long_px / max(self.aspect, 1 / self.aspect)
            short_px = max(_MULTIPLE_PX, round(short / _MULTIPLE_PX) * _MULTIPLE_PX)
            if long_px >= least_px and abs(short_px / short - 1) <= MAX_OFF:
                found.append(Size(long_px, short_px) if self.aspect >= 1 else Size(short_px, long_px))
        found = [size for size in found if ALL_INPUTS.covers(size)]
        if not found:
            raise InputError(
                f"no input is within {MAX_OFF:.0%} of an aspect of {self.aspect:.3g}: sides are multiples of {_MULTIPLE_PX} px,"
                f" the longer one here {least_px} to {most} px, with as many pixels as {ALL_INPUTS}; give another aspect,"
                " such as 4:3 or 16:9, or a size"
            )
        return tuple(reversed(found))

    def __str__(self) -> str:
        limit = "" if self.most_px is None else f" up to {self.most_px} px"
        return f"any of aspect {self.aspect:.3g}{limit}"


AskedInput = str | Size | AnyInput | Sequence[str | Size] | None
"""One input, several, all of a shape, or nothing said."""


def as_text(asked: AskedInput) -> str:
    """As `parse_input` reads it, or in words."""
    if asked is None or isinstance(asked, str | Size | AnyInput):
        return "any" if asked is None else str(asked)
    return ",".join(map(str, asked))


def parse_input(text: str, aspect: str | None = None, camera: str | None = None) -> Size | tuple[Size, ...] | AnyInput:
    """`640x480`, several with commas between, or `any`, of the shape of an aspect (`16:9`) or a camera (`1920x1080`), whose
    pictures are not made larger. Raises InputError for other words."""
    if aspect is not None and camera is not None:
        raise InputError(f"--aspect {aspect} and --camera {camera} both give the shape; keep one")
    sensor = None if camera is None else parse_size(camera, multiple_px=1)
    if text.strip() == "any":
        if sensor is not None:
            return AnyInput(sensor.width_px / sensor.height_px, sensor.long_side_px)
        return AnyInput() if aspect is None else AnyInput(parse_aspect(aspect))
    if aspect is not None:
        raise InputError(f"--aspect {aspect} is for --input any; drop it, or the size {text}")
    sizes = tuple(parse_size(part) for part in text.split(","))
    for size in sizes:
        if sensor is not None and (size.width_px > sensor.width_px or size.height_px > sensor.height_px):
            raise InputError(f"--input {size} is larger than the camera's picture of {sensor}; give one that is not")
    return sizes[0] if len(sizes) == 1 else sizes


def parse_aspect(text: str) -> float:
    """Width over height of `4:3`. Raises InputError for other words."""
    match = re.fullmatch(r"([1-9][0-9]{0,4}):([1-9][0-9]{0,4})", text.strip())
    if match is None:
        raise InputError(f"--aspect '{text}' is not WIDTH:HEIGHT, for example 16:9")
    return int(match[1]) / int(match[2])


def as_inputs(given: str | Size | Sequence[str | Size]) -> tuple[Size, ...]:
    """One input or several, none twice, largest first. Raises InputError for other text, or none."""
    listed = given.split(",") if isinstance(given, str) else [given] if isinstance(given, Size) else list(given)
    sizes = dict.fromkeys(as_size(each) for each in listed)
    if not sizes:
        raise InputError("no input is named; give at least one size, for example 640x480")
    return tuple(sorted(sizes, key=lambda size: (-size.pixels, size)))
