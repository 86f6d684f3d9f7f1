"""The elastic space: detectors that are slices of one largest network, so that one training serves them all.

A member takes the first channels and the first residuals of the largest network. `facenas-elastic` holds 1.0e8 members of
0.09 to 2.95 million parameters. At 640x480, by the shipped `cpu` table (one AMD core, fp32; extended by operators alike
where it does not reach), they take 4.4 to 55 ms; an Intel core with AMX needs about 0.62 of that, 16-bit runtimes half.
Below 4.4 ms lies only a smaller input: image, stem, neck and head alone take 2.4 ms. Its choices, with the reasons
(figures: mean AP of 123 slices of an earlier supernet, 82,000 crops, and networks trained alone):

- Stages 1 and 2 are one 3x3 convolution each, 8 or 16 and 24 to 64 channels. Stage 2 counts most: from 16 to 32 channels
  AP rises by .021, to 48 by .011 more, so 16 is gone. A stem of 32 makes stage 2 take 2.6 times as long; 8 to 16 is worth
  .007.
- Stages 3, 4 and 5 are 3x3-3x3 residuals (`facenas_edge` in named.py says why no other block): one with an inner width of
  16 costs what a plain convolution does, and a residual that is left out leaves the identity, so depths can share weights.
  Learnt stage weights put over half of the score on stage 3, which is where small faces are seen, so it has depth, too;
  each residual of stages 4 and 5 brings .003 to .007, so they go to four.
- Inner widths are chosen independently of the stage's, from a quarter to twice of it: the inner width of stage 4 is worth
  as much as its depth. Widths do not narrow, or a search would ask for it only to please its score.
- Neck and head are choices of their own. A neck of 24 takes as long as one of 32; one head convolution instead of two
  saves 0.4 to 0.6 ms, a tenth of a small network.
- All widths but the two least are multiples of 16, the block of channels that runtimes compute. The lists are short, so
  that latency tables need hold 510 operators only.
- Costs and scores are sums over stages given the width before each, and neck and head depend on the widths of stages 3, 4
  and 5 alone: a search's states are (width of stage 3, current width), and before the last choice these three widths.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from facenas.architecture import IMAGE_CHANNELS, STAGE_COUNT, Architecture, Backbone, Family, NeckAndHead, Stage
from facenas.errors import InputError
from facenas.spaces.space import Space

ELASTIC_NAMES = ("facenas-elastic",)


@dataclass(frozen=True)
class StageChoices:
    """What one stage may be, each tuple ascending: 3x3-3x3 residuals, or one 3x3 convolution where it has no inner widths."""

    widths: tuple[int, ...]
    inner_widths: tuple[int, ...] = ()
    depths: tuple[int, ...] = (1,)

    def stage(self, in_channels: int, width: int, inner_width: int, depth: int) -> Stage:
        """The stage of one choice of each."""
        if self.inner_widths:
            return Stage(Family.RESIDUAL, in_channels, width, 2, depth, 3, 3, inner_width)
        return Stage(Family.CONV, in_channels, width, 2, depth, 3)

    def stages(self, in_channels: int) -> Iterator[Stage]:
        """All stages on that many channels that a member may have."""
        for width in self.widths:
            for inner_width in self.inner_widths or (width,):
                if _widths_fit(in_channels, width, inner_width):
                    yield from (self.stage(in_channels, width, inner_width, depth) for depth in self.depths)


def _widths_fit(in_channels: int, width: int, inner_width: int) -> bool:
    """A stage does not narrow, and its inner width is a quarter to twice its width."""
    return in_channels <= width and width <= 4 * inner_width <= 8 * width


@dataclass(frozen=True)
class ElasticSpace:
    """Choices of the five stages, the neck's and the head's widths and the head's depth, each tuple ascending.

    The last of each makes the largest member and the first the smallest. With `landmarks` the largest has their outputs, which
    come after the others: a member may have them, or be the slice that ends before. Raises InputError where one of the three
    is no member.
    """

    name: str
    stages: tuple[StageChoices, ...]
    neck_channels: tuple[int, ...]
    head_channels: tuple[int, ...]
    head_convs: tuple[int, ...]
    landmarks: bool = False

    def __post_init__(self) -> None:
        if len(self.stages) != STAGE_COUNT:
            raise InputError(f"space '{self.name}' lists {len(self.stages)} stages, needs {STAGE_COUNT}")
        for detector in (self.largest, self.middle, self.smallest):
            self.require(detector)

    @property
    def largest(self) -> Architecture:
        """The member that all others are slices of."""
        return self._member(lambda values: values[-1])

    @property
    def smallest(self) -> Architecture:
        """The member with the first of every choice."""
        return self._member(lambda values: values[0])

    @property
    def middle(self) -> Architecture:
        """The member with the middle (the lower of two) of every choice."""
        return self._member(lambda values: values[(len(values) - 1) // 2])

    @cached_property
    def ends(self) -> tuple[NeckAndHead, ...]:
        """All necks and heads, any of which goes with any backbone."""
        return tuple(
            NeckAndHead(neck, head, convs, depthwise=True)
            for neck in self.neck_channels
            for head in self.head_channels
            for convs in self.head_convs
        )

    @cached_property
    def space(self) -> Space:
        """The members as a search takes them."""
        widths = ((IMAGE_CHANNELS,), *(choices.widths for choices in self.stages[:-1]))
        stages = tuple(
            tuple(stage for width in entering for stage in choices.stages(width))
            for entering, choices in zip(widths, self.stages, strict=True)
        )
        return Space(self.name, stages, tuple((0, end) for end in self.ends))

    @property
    def size(self) -> int:
        """Number of members."""
        return self.space.size

    @property
    def digest(self) -> str:
        """SHA-256 of the choices, whatever the space is called: weights are for the very choices they were trained on."""
        stages = [[choices.widths, choices.inner_widths, choices.depths] for choices in self.stages]
        choices = [stages, self.neck_channels, self.head_channels, self.head_convs]
        return hashlib.sha256(json.dumps(choices).encode()).hexdigest()

    def random_member(self, generator: np.random.Generator) -> Architecture:
        """A member with every choice drawn evenly, drawn again until the widths fit."""
        while True:
            detector = self._member(lambda values: values[int(generator.integers(len(values)))])
            if all(_stage_fits(stage) for stage in detector.backbone.stages):
                return detector

    def require(self, detector: Architecture) -> None:
        """Raises InputError that names the first choice that makes the detector no member of the space."""
        for number, (stage, choices) in enumerate(zip(detector.backbone.stages, self.stages, strict=True), 1):
            inner = stage.bottleneck_channels
            if choices.stage(stage.in_channels, stage.out_channels, inner or 1, stage.sublayers) != stage:
                blocks = "3x3-3x3 residuals" if choices.inner_widths else "one 3x3 convolution"
                raise InputError(f"stage {number} of '{detector}' is '{stage}'; in space '{self.name}' it is {blocks}")
            self._require_choice(detector, f"stage {number} with width", stage.out_channels, choices.widths)
            self._require_choice(detector, f"stage {number} with depth", stage.sublayers, choices.depths)
            if choices.inner_widths:
                self._require_choice(detector, f"stage {number} with inner width", inner, choices.inner_widths)
            if not _stage_fits(stage):
                raise InputError(
                    f"stage {number} of '{detector}' is in no member of space '{self.name}': there, no stage narrows, and"
                    " inner widths are a quarter to twice the stage's width"
                )
        end = detector.neck_and_head
        self._require_choice(detector, "a neck of width", end.neck_channels, self.neck_channels)
        self._require_choice(detector, "a head of width", end.head_channels, self.head_channels)
        self._require_choice(detector, "a head of depth", end.head_convs, self.head_convs)
        landmarks = detector.landmarks and not self.landmarks
        if not end.depthwise or landmarks:
            what = "landmarks" if landmarks else "a head of plain convolutions"
            raise InputError(f"no member of space '{self.name}' has {what}, as '{detector}' does")

    def _require_choice(self, detector: Architecture, what: str, value: int, values: Sequence[int]) -> None:
        if value not in values:
            listed = ", ".join(map(str, values))
            raise InputError(f"'{detector}' has {what} {value}; space '{self.name}' has {listed}")

    def _member(self, pick: Callable[[Sequence[int]], int]) -> Architecture:
        channels, stages = IMAGE_CHANNELS, []
        for choices in self.stages:
            width = pick(choices.widths)
            inner_width = pick(choices.inner_widths) if choices.inner_widths else 0
            stages.append(choices.stage(channels, width, inner_width, pick(choices.depths)))
            channels = width
        neck, head, convs = (pick(values) for values in (self.neck_channels, self.head_channels, self.head_convs))
        end = NeckAndHead(neck, head, convs, depthwise=True)
        return Architecture(Backbone(tuple(stages)), end, landmarks=self.landmarks)


def _stage_fits(stage: Stage) -> bool:
    return _widths_fit(stage.in_channels, stage.out_channels, stage.bottleneck_channels or stage.out_channels)


def elastic_space(name: str, *, landmarks: bool = False) -> ElasticSpace:
    """The elastic space of that name, of a supernet with landmarks or without. Raises InputError that lists the names."""
    if name != "facenas-elastic":
        raise InputError(
            f"no elastic space '{name}' that a supernet is trained on; there is {', '.join(ELASTIC_NAMES)}"
        )
    blocks_of_16 = tuple(range(16, 193, 16))
    return ElasticSpace(
        name,
        (
            StageChoices((8, 16)),
            StageChoices((24, 32, 48, 64)),
            StageChoices((32, 48, 64, 80), blocks_of_16[:4], (1, 2)),
            StageChoices(blocks_of_16[2:8], blocks_of_16[:6], (1, 2, 3, 4)),
            StageChoices(blocks_of_16[3:], blocks_of_16[1:8], (1, 2, 3, 4)),
        ),
        neck_channels=(16, 32, 48),
        head_channels=(32, 48, 64),
        head_convs=(1, 2, 3),
        landmarks=landmarks,
    )
