"""Search space: what each stage of a backbone may be, as plain data.

A space lists the allowed stages position by position; a backbone of the space is a path whose widths agree, and the
width of its third stage decides the neck and the head (the score cannot see them, so they must not be searched).
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from facenas.architecture import IMAGE_CHANNELS, STAGE_COUNT, Backbone, Detector, NeckAndHead, Stage
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

    def with_kernels(self, kernel_sizes: Collection[int]) -> "Space":
        """The networks whose kernels are all of these sizes. Raises InputError where there is none."""
        stages = tuple(
            tuple(stage for stage in choices if set(stage.kernel_sizes) <= set(kernel_sizes)) for choices in self.stages
        )
        listed = ", ".join(map(str, sorted(kernel_sizes)))
        return Space(f"{self.name} with kernels {listed}", stages, self.necks_and_heads)

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
