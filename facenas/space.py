"""Search spaces: what each stage of a backbone may be, as plain data with the reason for every limit.

A space lists the allowed stages position by position; a backbone of the space is a path whose widths agree, and the
width of its third stage decides the neck and the head (the score cannot see them, so they must not be searched).

The score alone degenerates: its unlimited optimum is an 8-channel-wide stack of 7x7 kernels (PAPER.md). So every space
carries shape limits openly: widths that do not shrink with depth, a least width per stage, a bottleneck of at least a
fixed share of the output, few kernel sizes and a depth cap.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from facenas.architecture import IMAGE_CHANNELS, STAGE_COUNT, Backbone, Detector, Family, NeckAndHead, Stage
from facenas.errors import InputError
from facenas.graph import inventory
from facenas.operators import Operator
from facenas.units import Size


@dataclass(frozen=True)
class Space:
    """`stages[i]`: the allowed stages at position i. `necks_and_heads`: (least width of stage 3, design), ascending."""

    name: str
    stages: tuple[tuple[Stage, ...], ...]
    necks_and_heads: tuple[tuple[int, NeckAndHead], ...]

    def __post_init__(self) -> None:
        if len(self.stages) != STAGE_COUNT:
            raise InputError(f"space '{self.name}' lists {len(self.stages)} stages, needs {STAGE_COUNT}")
        if not self.size:
            raise InputError(f"space '{self.name}' holds no network: no chain of its stages has agreeing widths")

    def neck_and_head(self, stage3_channels: int) -> NeckAndHead:
        """The neck and the head that go with a third stage of this width."""
        return [design for least, design in self.necks_and_heads if least <= stage3_channels][-1]

    def detector(self, stages: Iterable[Stage]) -> Detector:
        """The detector of five chosen stages, with the neck and the head of this space."""
        backbone = Backbone(tuple(stages))
        return Detector(backbone, self.neck_and_head(backbone.stages[2].out_channels))

    @cached_property
    def continuations(self) -> tuple[dict[int, int], ...]:
        """For each position, how many ways lead from an input width to the end of the backbone."""
        counts: list[dict[int, int]] = [{} for _ in range(STAGE_COUNT)]
        for position in reversed(range(STAGE_COUNT)):
            for stage in self.stages[position]:
                ways = 1 if position == STAGE_COUNT - 1 else counts[position + 1].get(stage.out_channels, 0)
                counts[position][stage.in_channels] = counts[position].get(stage.in_channels, 0) + ways
        return tuple(counts)

    @property
    def size(self) -> int:
        """Number of networks in the space."""
        return self.continuations[0].get(IMAGE_CHANNELS, 0)

    def random_detectors(self, generator: np.random.Generator) -> Iterator[Detector]:
        """Detectors drawn evenly over widths, then over blocks, so that small ones are as frequent as large ones."""
        while True:
            stages: list[Stage] = []
            channels = IMAGE_CHANNELS
            for position in range(STAGE_COUNT):
                following = self.continuations[position + 1] if position + 1 < STAGE_COUNT else None
                options = [
                    stage
                    for stage in self.stages[position]
                    if stage.in_channels == channels and (following is None or following.get(stage.out_channels))
                ]
                widths = sorted({stage.out_channels for stage in options})
                width = widths[generator.integers(len(widths))]
                families = sorted({stage.family for stage in options if stage.out_channels == width})
                family = families[generator.integers(len(families))]
                options = [stage for stage in options if stage.out_channels == width and stage.family is family]
                stages.append(options[generator.integers(len(options))])
                channels = width
            yield self.detector(stages)

    def operators(self, input_size: Size) -> frozenset[Operator]:
        """Every operator that a detector of the space can hold at one input size."""
        return frozenset().union(*(inventory(detector, input_size) for detector in self.covering_detectors()))

    def covering_detectors(self) -> Iterator[Detector]:
        """Detectors that together hold every stage of the space under every neck and head, in a fixed order."""
        for _, design in self.necks_and_heads:
            for position, choices in enumerate(self.stages):
                for stage in choices:
                    chain = self._chain_through(position, stage, design, ())
                    if chain is not None:
                        yield self.detector(chain)

    @cached_property
    def _first_stage_of_widths(self) -> tuple[dict[tuple[int, int], Stage], ...]:
        """For each position, one stage for every pair of input and output widths."""
        return tuple(
            {(stage.in_channels, stage.out_channels): stage for stage in reversed(choices)} for choices in self.stages
        )

    def _chain_through(
        self, position: int, stage: Stage, design: NeckAndHead, chain: tuple[Stage, ...]
    ) -> tuple[Stage, ...] | None:
        """`chain` continued to five stages with `stage` at `position` and `design` as neck and head, if there is a way."""
        here = len(chain)
        if here == STAGE_COUNT:
            return chain
        if here == 3 and self.neck_and_head(chain[2].out_channels) != design:
            return None
        channels = chain[-1].out_channels if chain else IMAGE_CHANNELS
        options = (stage,) if here == position else tuple(self._first_stage_of_widths[here].values())
        for option in options:
            if option.in_channels == channels:
                whole = self._chain_through(position, stage, design, (*chain, option))
                if whole is not None:
                    return whole
        return None


def _widening(ins: Iterable[int], outs: Iterable[int]) -> list[tuple[int, int]]:
    """Pairs of input and output widths in which the output is at least a third wider."""
    return [(i, o) for i in ins for o in outs if 3 * o >= 4 * i]


def _convs(widths: Iterable[tuple[int, int]], depths: Iterable[int]) -> list[Stage]:
    """Plain 3x3 convolutions."""
    return [Stage(Family.CONV, i, o, 2, depth, 3) for i, o in widths for depth in depths]


def _residuals(widths: Iterable[tuple[int, int]], depths: Iterable[int]) -> list[Stage]:
    """3x3-3x3 residuals with inner widths of half the output and of all of it, rounded up to multiples of 16."""
    inner = ((i, o, b) for i, o in widths for b in sorted({-(-o // 32) * 16, o}))
    return [Stage(Family.RESIDUAL, i, o, 2, depth, 3, 3, b) for i, o, b in inner for depth in depths]


def facenas_edge() -> Space:
    """The default: from about 4 to 50 ms on one core of a server CPU at 640x480, the range of phones and Jetsons.

    The limits answer what the score does when it is left alone, and what training showed (the same short training of
    networks that take 12 ms: AP hard 0.22 for plain convolutions, 0.20 for 3x3-3x3 residuals, 0.11 and 0.14 for the
    1x1-3x3-1x1 bottlenecks that the score preferred):

    - It hardly sees width, so its optimum is as narrow as allowed: every stage is at least a third wider than the one
      before, and has a least width. Runtimes compute channels in blocks of 16, so other widths (but the least stem) only
      waste time.
    - It counts kernel sizes and layers, and prefers them to width: kernels are 3x3, and a stage ends at two residuals or
      three convolutions. So a larger budget can only be spent on width.
    - Bottlenecks count five layers in two residuals for few multiply-accumulates, and depthwise stages more still, yet
      trained alike both stayed behind plain 3x3 convolutions of equal latency. The backbone has neither.
    - Layers at half and quarter resolution are the dearest and, by the score's weights, bought first, with width: with a
      second layer stage 1 rises from 2.5 to about 11, an artefact of ln(3/3) = 0. Stages 1 and 2 are one convolution.
    - It cannot see neck and head: they follow from the width of stage 3.
    """
    outs = (
        (8, 16, 32),
        (16, 32, 48, 64),
        (32, 48, 64, 80, 96),
        (48, 64, 80, 96, 128, 160),
        (64, 80, 96, 128, 160, 192, 256),
    )
    stages = [_convs([(IMAGE_CHANNELS, width) for width in outs[0]], (1,)), _convs(_widening(*outs[:2]), (1,))]
    for ins, widths in pairwise(outs[1:]):
        pairs = _widening(ins, widths)
        stages.append(_convs(pairs, (1, 2, 3)) + _residuals(pairs, (1, 2)))
    # The head at stride 8 would be most of a small net if it did not grow with the features that it reads.
    necks_and_heads = (
        (0, NeckAndHead(16, 32, 2, depthwise=True)),
        (48, NeckAndHead(16, 48, 2, depthwise=True)),
        (64, NeckAndHead(32, 64, 2, depthwise=True)),
    )
    return Space("facenas-edge", tuple(tuple(choices) for choices in stages), necks_and_heads)


SPACE_NAMES = ("facenas-edge", "damofd-0.5g", "damofd-2.5g")


def load_space(name: str) -> Space:
    """The space of that name, or of a space file whose path ends in .json. Raises InputError that lists the names."""
    from facenas.released_spaces import damofd_0_5g, damofd_2_5g
    from facenas.space_file import read_space

    match name:
        case "facenas-edge":
            return facenas_edge()
        case "damofd-0.5g":
            return damofd_0_5g()
        case "damofd-2.5g":
            return damofd_2_5g()
        case _ if name.endswith(".json"):
            return read_space(Path(name))
        case _:
            raise InputError(f"no search space '{name}'; there are {', '.join(SPACE_NAMES)}, and files ending in .json")
