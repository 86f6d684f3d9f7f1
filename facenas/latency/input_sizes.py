"""One table for all input sizes: operators are measured at a few, and between two of these a cost is linear in the pixels.

    cost(p) = cost(p0) + (p - p0) / (p1 - p0) * (cost(p1) - cost(p0)),    p0 <= p <= p1 of measured inputs

p counts the pixels that an operator writes; where the hardware computes a row in blocks of `block_px`, those of whole blocks.
By blocks of 2 Vela's estimates of networks between five inputs are off by 1.37 % in the mean, by single pixels by 1.52 % (39
networks at ten inputs); by blocks of 2x2 by 1.37 %, too, but by up to 7 % instead of 5.

The same place in a network at another input is another operator only by the size of its features, so a table names its
operators as they are at one input, its `home`. Nothing is extrapolated. Small inputs lie closest, as costs bend there: by a
line from 192x160 to 320x256 networks at 224x192 and 256x192 were off by +6 and +7 % in each of two sessions on one core, those
at larger inputs by -4 to +2 %. What rows of odd lengths cost a runtime is seen by no such line, and counting whole blocks of
4 to 32 pixels on CPUs makes predictions worse (fp32) or no better than noise (int8 with AMX, whose tiles have 16 rows).
"""

from dataclasses import dataclass, replace

from facenas.errors import TableError
from facenas.operators import Operator
from facenas.units import DEFAULT_INPUT, Size, parse_size


@dataclass(frozen=True)
class Inputs:
    """The inputs that a table was measured at: its `home` and others, in any order; and how many pixels of a row the hardware
    computes at once."""

    home: Size
    others: tuple[Size, ...] = ()
    block_px: int = 1

    @property
    def all(self) -> tuple[Size, ...]:
        """Home first."""
        return self.home, *self.others

    def covers(self, input_size: Size) -> bool:
        """Whether the costs at an input can be told: it is `home`, or its pixels lie between those of two measured ones."""
        pixels = [size.pixels for size in self.all]
        return input_size == self.home or (bool(self.others) and min(pixels) <= input_size.pixels <= max(pixels))

    def shares(self, input_size: Size, reduction: int = 1) -> tuple[float, ...]:
        """What an operator's cost at each of `all` counts for its cost at an input: not negative, sum 1, at most two above 0.

        What the operator writes is `reduction` times smaller than the input. Raises TableError where that is not covered.
        """
        if not self.covers(input_size):
            raise TableError(f"input {input_size} is outside of what was measured, {self}")
        if input_size in self.all:
            return tuple(float(size == input_size) for size in self.all)
        blocks = [self._blocks(size, reduction) for size in self.all]
        # Rounding up may lead beyond the last that was measured, by one column of blocks.
        here = min(max(self._blocks(input_size, reduction), min(blocks)), max(blocks))
        order = sorted(range(len(blocks)), key=blocks.__getitem__)
        above = next(index for index in order if blocks[index] >= here)
        below = next(index for index in reversed(order) if blocks[index] <= here)
        shares = [0.0] * len(blocks)
        if blocks[above] == here:
            shares[above] = 1.0
        else:
            shares[above] = (here - blocks[below]) / (blocks[above] - blocks[below])
            shares[below] = 1 - shares[above]
        return tuple(shares)

    def _blocks(self, size: Size, reduction: int) -> int:
        """How many blocks an operator writes at an input."""
        return -(-size.width_px // (reduction * self.block_px)) * -(-size.height_px // reduction)

    def reduction(self, operator: Operator) -> int:
        """How many times smaller than the input is what an operator writes, that is named as at home."""
        return max(1, self.home.width_px // operator.out_width_px)

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


_LEAST, _LARGEST = Size(192, 160), Size(960, 736)
ALL_INPUTS = Inputs(DEFAULT_INPUT, (_LEAST, Size(256, 192), Size(320, 256), Size(448, 320), _LARGEST))
"""What a target is profiled at: predictions reach from 192x160 to 960x736, at any aspect."""
ESTIMATED_INPUTS = Inputs(DEFAULT_INPUT, (_LEAST, Size(320, 256), Size(448, 320), _LARGEST, Size(288, 224)))
"""The same for estimates, which jump: by Vela's, the Ethos-U85 copies the picture of 320x256 for a third of a network's time,
that of 288x224 for a tenth."""

_TIMED = ("224x192", "960x736", "288x224", "192x160", "512x384", "448x320", "416x320", "256x192", "800x608", "320x256")


def timed_inputs(inputs: Inputs, count: int) -> list[Size]:
    """Where `count` whole networks are timed: at home, and where there are others half of them elsewhere, and half of those
    between inputs that operators are measured at, so that the error of a table tells what is lost in between."""
    elsewhere = [size for size in map(parse_size, _TIMED) if inputs.others and inputs.covers(size)]
    return [
        elsewhere[place // 2 % len(elsewhere)] if place % 2 and elsewhere else inputs.home for place in range(count)
    ]
