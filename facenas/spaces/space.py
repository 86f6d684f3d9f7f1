"""Search space: what each stage of a backbone may be, as plain data.

A space lists the allowed stages position by position; a backbone of the space is a path whose widths agree. The width
of its third stage decides which necks and heads go with it: one, so that a score that cannot see them has no say, or
several, so that the search chooses.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from facenas.architecture import IMAGE_CHANNELS, STAGE_COUNT, Architecture, Backbone, NeckAndHead, Stage
from facenas.errors import InputError
from facenas.graph import neck_and_head_layers, stage_layers
from facenas.operators import Operator
from facenas.units import Size


@dataclass(frozen=True)
class Space:
    """`stages[i]`: the allowed stages at position i. `necks_and_heads`: (least width of stage 3, design), ascending.

    Of the designs whose least width a third stage reaches, those with the largest go with it.
    """

    name: str
    stages: tuple[tuple[Stage, ...], ...]
    necks_and_heads: tuple[tuple[int, NeckAndHead], ...]

    def __post_init__(self) -> None:
        if len(self.stages) != STAGE_COUNT:
            raise InputError(f"space '{self.name}' lists {len(self.stages)} stages, needs {STAGE_COUNT}")
        if not self.size:
            raise InputError(f"space '{self.name}' holds no network: no chain of its stages has agreeing widths")

    def ends(self, stage3_channels: int) -> tuple[NeckAndHead, ...]:
        """The necks and heads that go with a third stage of this width."""
        reached = max(least for least, _ in self.necks_and_heads if least <= stage3_channels)
        return tuple(design for least, design in self.necks_and_heads if least == reached)

    @property
    def chooses_ends(self) -> bool:
        """Whether any backbone goes with more than one neck and head."""
        return len({least for least, _ in self.necks_and_heads}) < len(self.necks_and_heads)

    def holds(self, detector: Architecture) -> bool:
        """Whether a detector is one of the space's, which have no landmarks."""
        stages = detector.backbone.stages
        return (
            all(stage in choices for stage, choices in zip(stages, self.stages, strict=True))
            and detector.neck_and_head in self.ends(stages[2].out_channels)
            and not detector.landmarks
        )

    def with_kernels(self, kernel_sizes: Collection[int]) -> "Space":
        """The networks whose kernels are all of these sizes. Raises InputError where there is none."""
        stages = tuple(
            tuple(stage for stage in choices if set(stage.kernel_sizes) <= set(kernel_sizes)) for choices in self.stages
        )
        listed = ", ".join(map(str, sorted(kernel_sizes)))
        return Space(f"{self.name} with kernels {listed}", stages, self.necks_and_heads)

    @cached_property
    def continuations(self) -> tuple[dict[int, int], ...]:
        """For each position, how many ways lead from an input width to the end, as if one neck and head went with each."""
        counts: list[dict[int, int]] = [{} for _ in range(STAGE_COUNT)]
        for position in reversed(range(STAGE_COUNT)):
            for stage in self.stages[position]:
                ways = 1 if position == STAGE_COUNT - 1 else counts[position + 1].get(stage.out_channels, 0)
                counts[position][stage.in_channels] = counts[position].get(stage.in_channels, 0) + ways
        return tuple(counts)

    @property
    def size(self) -> int:
        """Number of networks in the space."""
        ways = {IMAGE_CHANNELS: 1}
        for choices in self.stages[:3]:
            reached: dict[int, int] = {}
            for stage in choices:
                reached[stage.out_channels] = reached.get(stage.out_channels, 0) + ways.get(stage.in_channels, 0)
            ways = reached
        return sum(count * len(self.ends(width)) * self.continuations[3].get(width, 0) for width, count in ways.items())

    def random_detectors(self, generator: np.random.Generator) -> Iterator[Architecture]:
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
            ends = self.ends(stages[2].out_channels)
            # One end is not drawn, so that spaces without a choice give the same networks as before there was any.
            end = ends[generator.integers(len(ends))] if len(ends) > 1 else ends[0]
            yield Architecture(Backbone(tuple(stages)), end)

    def operators(self, input_size: Size) -> frozenset[Operator]:
        """Every operator that a detector of the space can hold at one input size."""
        stages: set[tuple[int, Stage]] = set()
        ends: set[tuple[tuple[int, int, int], NeckAndHead]] = set()
        for detector in self.covering_detectors():
            chosen = detector.backbone.stages
            stages |= set(enumerate(chosen))
            widths = chosen[2].out_channels, chosen[3].out_channels, chosen[4].out_channels
            ends.add((widths, detector.neck_and_head))
        parts = [stage_layers(stage, position, input_size) for position, stage in stages]
        parts += [neck_and_head_layers(widths, end, input_size) for widths, end in ends]
        return frozenset(layer.operator for layers in parts for layer in layers)

    def covering_detectors(self) -> Iterator[Architecture]:
        """Detectors that together hold every operator of the space, in a fixed order.

        Every stage is in one with the first of the necks and heads that go together, and every width that a neck reads in
        one with each of the others.
        """
        before: set[int] = set()
        for least, design in self.necks_and_heads:
            seen: set[tuple[int, int]] = set()
            for position, choices in enumerate(self.stages):
                for stage in choices:
                    if least in before and (position < 2 or (position, stage.out_channels) in seen):
                        continue
                    chain = self._chain_through(position, stage, design, ())
                    if chain is not None:
                        seen.add((position, stage.out_channels))
                        yield Architecture(Backbone(chain), design)
            before.add(least)

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
        if here == 3 and design not in self.ends(chain[2].out_channels):
            return None
        channels = chain[-1].out_channels if chain else IMAGE_CHANNELS
        options = (stage,) if here == position else tuple(self._first_stage_of_widths[here].values())
        for option in options:
            if option.in_channels == channels:
                whole = self._chain_through(position, stage, design, (*chain, option))
                if whole is not None:
                    return whole
        return None
