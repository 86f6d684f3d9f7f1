"""One table for all input sizes: operators are measured at a few, and between two of these a cost is linear in the pixels.

    cost(p) = cost(p0) + (p - p0) / (p1 - p0) * (cost(p1) - cost(p0)),    p0 <= p <= p1 the pixels of measured inputs

The same place in a network at another input is another operator only by the size of its features, so a table names its
operators as they are at one input, its `home`. Nothing is extrapolated. What rows of odd lengths cost a runtime is seen by
no such line: measured on one core, networks at inputs in between are off by 2.7 % in the mean, mostly noise.
"""

from dataclasses import dataclass, replace

from facenas.errors import TableError
from facenas.operators import Operator
from facenas.units import DEFAULT_INPUT, Size, parse_size


@dataclass(frozen=True)
class Inputs:
    """The inputs that a table was measured at: its `home` and others, in any order."""

    home: Size
    others: tuple[Size, ...] = ()

    @property
    def all(self) -> tuple[Size, ...]:
        """Home first."""
        return self.home, *self.others

    def covers(self, input_size: Size) -> bool:
        """Whether the costs at an input can be told: it is `home`, or its pixels lie between those of two measured ones."""
        pixels = [size.pixels for size in self.all]
        return input_size == self.home or (bool(self.others) and min(pixels) <= input_size.pixels <= max(pixels))

    def shares(self, input_size: Size) -> tuple[float, ...]:
        """What the cost at each of `all` counts for the cost at an input: not negative, sum 1, at most two above 0.

        Raises TableError where the table does not cover it.
        """
        if not self.covers(input_size):
            raise TableError(f"input {input_size} is outside of what was measured, {self}")
        order = sorted(range(len(self.all)), key=lambda index: self.all[index].pixels)
        above = next(index for index in order if self.all[index].pixels >= input_size.pixels)
        below = next(index for index in reversed(order) if self.all[index].pixels <= input_size.pixels)
        shares = [0.0] * len(self.all)
        if self.all[above].pixels == input_size.pixels:
            shares[above] = 1.0
        else:
            between = self.all[above].pixels - self.all[below].pixels
            shares[above] = (input_size.pixels - self.all[below].pixels) / between
            shares[below] = 1 - shares[above]
        return tuple(shares)

    def at_home(self, operator: Operator, input_size: Size) -> Operator:
        """The operator of the same place where the network's input is `home` instead of `input_size`."""
        return moved(operator, input_size, self.home)

    def __str__(self) -> str:
        sizes = sorted(self.all, key=lambda size: size.pixels)
        return str(self.home) if not self.others else f"{sizes[0]} to {sizes[-1]}"


def moved(operator: Operator, before: Size, after: Size) -> Operator:
    """The operator of the same place of a network whose input has another size; both are multiples of the coarsest stride."""
    if before == after:
        return operator
    return replace(
        operator,
        width_px=operator.width_px * after.width_px // before.width_px,
        height_px=operator.height_px * after.height_px // before.height_px,
    )


ALL_INPUTS = Inputs(DEFAULT_INPUT, (Size(192, 160), Size(320, 256), Size(448, 320), Size(960, 736)))
"""What a target is profiled at: predictions reach from 192x160 to 960x736, at any aspect."""

_TIMED = ("256x192", "960x736", "288x224", "192x160", "512x384", "448x320", "416x320", "800x608", "320x256")


def timed_inputs(inputs: Inputs, count: int) -> list[Size]:
    """Where `count` whole networks are timed: at home, and where there are others half of them elsewhere, and half of those
    between inputs that operators are measured at, so that the error of a table tells what is lost in between."""
    elsewhere = [size for size in map(parse_size, _TIMED) if inputs.others and inputs.covers(size)]
    return [
        elsewhere[place // 2 % len(elsewhere)] if place % 2 and elsewhere else inputs.home for place in range(count)
    ]
