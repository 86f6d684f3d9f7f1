"""Architectures as frozen data, parsed from and printed to block strings (the notation of DamoFD's release).

A backbone is five stages, each halving the image side, each one block string:

    SuperConvK{k}BNRELU(in,out,stride,L)         L times conv kxk
    SuperResK{k}K{k2}(in,out,stride,b,L)         L residuals kxk -> k2xk2
    SuperResK1K{k}K1(in,out,stride,b,L)          L pairs of bottleneck residuals 1x1 -> kxk -> 1x1
    SuperResIDWE{e}K{k}(in,out,stride,b,L)       L pairs of inverted residuals, expansion e, depthwise kxk

A detector is a backbone with a neck and a head. These follow the backbone as a suffix,

    PAFPN(channels)Head(channels,convs) or PAFPN(channels)HeadDW(channels,convs)

which is left out where it is the one that a bare backbone stands for: the published one for a published backbone,
`DEFAULT_NECK_AND_HEAD` for every other. So `str(parse_architecture(text)) == text` for every canonical text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from facenas.errors import InputError, meant
from facenas.files import is_file, read_text

STAGE_COUNT = 5
IMAGE_CHANNELS = 3
MAX_CHANNELS = 4096
MAX_SUBLAYERS = 64


_MAX_FILE_BYTES = 1_000_000


class Family(StrEnum):
    """The four kinds of block that a stage can repeat."""

    CONV = "conv"
    RESIDUAL = "residual"
    BOTTLENECK = "bottleneck"
    INVERTED = "inverted residual"


def round_to_multiple_of_8(channels: int) -> int:
    """The multiple of 8 nearest to `channels` (halves go up), at least 8, as the release rounds widened channels."""
    return max(8, (channels + 4) // 8 * 8)


@dataclass(frozen=True, order=True)
class Stage:
    """One stage: `sublayers` blocks of one family; the stride is in the first.

    `bottleneck_channels` is b of the block string (0 for Family.CONV, which has none), `expansion` is e (0 outside
    Family.INVERTED) and `second_kernel_size` is k2 (0 outside Family.RESIDUAL).
    """

    family: Family
    in_channels: int
    out_channels: int
    stride: int
    sublayers: int
    kernel_size: int
    second_kernel_size: int = 0
    bottleneck_channels: int = 0
    expansion: int = 0

    def __post_init__(self) -> None:
        for name in ("in_channels", "out_channels"):
            if not 1 <= getattr(self, name) <= MAX_CHANNELS:
                raise InputError(f"{self}: {name} {getattr(self, name)} is outside 1..{MAX_CHANNELS}")
        if self.family is not Family.CONV and not 1 <= self.bottleneck_channels <= MAX_CHANNELS:
            raise InputError(f"{self}: bottleneck width {self.bottleneck_channels} is outside 1..{MAX_CHANNELS}")
        if not 1 <= self.sublayers <= MAX_SUBLAYERS:
            raise InputError(f"{self}: {self.sublayers} sub-layers are outside 1..{MAX_SUBLAYERS}")
        if self.stride not in (1, 2):
            raise InputError(f"{self}: stride {self.stride} must be 1 or 2")
        for kernel_size in self.kernel_sizes:
            if kernel_size not in (1, 3, 5, 7, 9, 11):
                raise InputError(f"{self}: kernel size {kernel_size} must be odd and at most 11")
        if self.family is Family.INVERTED and not 1 <= self.expansion <= 16:
            raise InputError(f"{self}: expansion {self.expansion} is outside 1..16")

    @property
    def kernel_sizes(self) -> tuple[int, ...]:
        """The kernel sizes that the block string names; the 1x1 convolutions around them are not among these."""
        return (self.kernel_size, self.second_kernel_size) if self.family is Family.RESIDUAL else (self.kernel_size,)

    @property
    def expanded_bottleneck_channels(self) -> int:
        """Width e*b of the first inverted residual, rounded to a multiple of 8."""
        return round_to_multiple_of_8(self.expansion * self.bottleneck_channels)

    @property
    def expanded_out_channels(self) -> int:
        """Width e*out of the second inverted residual, rounded to a multiple of 8."""
        return round_to_multiple_of_8(self.expansion * self.out_channels)

    def __str__(self) -> str:
        k, ends = self.kernel_size, f"{self.in_channels},{self.out_channels},{self.stride}"
        match self.family:
            case Family.CONV:
                return f"SuperConvK{k}BNRELU({ends},{self.sublayers})"
            case Family.RESIDUAL:
                name = f"SuperResK{k}K{self.second_kernel_size}"
            case Family.BOTTLENECK:
                name = f"SuperResK1K{k}K1"
            case Family.INVERTED:
                name = f"SuperResIDWE{self.expansion}K{k}"
        return f"{name}({ends},{self.bottleneck_channels},{self.sublayers})"


@dataclass(frozen=True, order=True)
class Backbone:
    """Five stages, each with stride 2; the widths of neighbours agree. The neck reads the outputs of the last three."""

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if len(self.stages) != STAGE_COUNT:
            raise InputError(f"backbone '{self}' has {len(self.stages)} stages; a detector needs {STAGE_COUNT}")
        channels = IMAGE_CHANNELS
        for number, stage in enumerate(self.stages, 1):
            if stage.in_channels != channels:
                raise InputError(f"stage {number} '{stage}' takes {stage.in_channels} channels but gets {channels}")
            if stage.stride != 2:
                raise InputError(
                    f"stage {number} '{stage}' has stride {stage.stride}; every stage must halve the side (2)"
                )
            channels = stage.out_channels

    @property
    def layers(self) -> int:
        """Layers as the release counts them: the sub-layers of all stages."""
        return sum(stage.sublayers for stage in self.stages)

    def __str__(self) -> str:
        return "".join(map(str, self.stages))


@dataclass(frozen=True, order=True)
class NeckAndHead:
    """Widths of the PAFPN neck and of the head shared by the strides; `depthwise`: each stacked conv is separable."""

    neck_channels: int
    head_channels: int
    head_convs: int
    depthwise: bool

    def __post_init__(self) -> None:
        for name in ("neck_channels", "head_channels"):
            if not 1 <= getattr(self, name) <= MAX_CHANNELS:
                raise InputError(f"'{self}': {name} {getattr(self, name)} is outside 1..{MAX_CHANNELS}")
        if not 1 <= self.head_convs <= 8:
            raise InputError(f"'{self}': {self.head_convs} stacked head convs are outside 1..8")

    def __str__(self) -> str:
        kind = "HeadDW" if self.depthwise else "Head"
        return f"PAFPN({self.neck_channels}){kind}({self.head_channels},{self.head_convs})"


@dataclass(frozen=True, order=True)
class Architecture:
    """A face detector: backbone, neck and head, with or without the five-landmark outputs."""

    backbone: Backbone
    neck_and_head: NeckAndHead
    landmarks: bool = False

    def __str__(self) -> str:
        suffix = "" if self.neck_and_head == _neck_and_head_of(self.backbone) else str(self.neck_and_head)
        return f"{self.backbone}{suffix}"


_STAGE = re.compile(
    r"(?:SuperConvK(?P<conv>\d{1,2})BNRELU|SuperResIDWE(?P<e>\d{1,2})K(?P<idw>\d{1,2})"
    r"|SuperResK1K(?P<mid>\d{1,2})K1|SuperResK(?P<first>\d{1,2})K(?P<second>\d{1,2}))\((?P<numbers>\d{1,6}(?:,\d{1,6})*)\)",
    re.ASCII,  # other scripts' digits would print back otherwise than they were given
)
_NECK_AND_HEAD = re.compile(r"PAFPN\((\d{1,5})\)Head(DW)?\((\d{1,5}),(\d{1,2})\)", re.ASCII)


def parse_stage(text: str) -> Stage:
    """One block string, for example `SuperResK3K3(24,32,2,24,4)`. Raises InputError that shows the unusable part."""
    match = _STAGE.fullmatch(text)
    if match is None:
        raise InputError(f"'{text}' is no block string; a block reads for example SuperResIDWE1K3(32,64,2,40,1)")
    return _stage_of(match)


def _stage_of(match: re.Match[str]) -> Stage:
    numbers = [int(number) for number in match["numbers"].split(",")]
    expected = 4 if match["conv"] else 5
    if len(numbers) != expected:
        fields = "(in,out,stride,L)" if match["conv"] else "(in,out,stride,b,L)"
        raise InputError(f"'{match[0]}' has {len(numbers)} numbers, needs {expected}: {fields}")
    in_channels, out_channels, stride, *bottleneck, sublayers = numbers
    ends = (in_channels, out_channels, stride, sublayers)
    if match["conv"]:
        return Stage(Family.CONV, *ends, int(match["conv"]))
    b = bottleneck[0]
    if match["idw"]:
        return Stage(Family.INVERTED, *ends, int(match["idw"]), bottleneck_channels=b, expansion=int(match["e"]))
    if match["mid"]:
        return Stage(Family.BOTTLENECK, *ends, int(match["mid"]), bottleneck_channels=b)
    return Stage(Family.RESIDUAL, *ends, int(match["first"]), int(match["second"]), b)


def parse_neck_and_head(text: str) -> NeckAndHead:
    """A neck and a head from text such as `PAFPN(16)HeadDW(64,2)`. Raises InputError that shows the unusable text."""
    match = _NECK_AND_HEAD.fullmatch(text)
    if match is None:
        raise InputError(f"'{text}' is no neck and head; they read for example PAFPN(16)HeadDW(64,2)")
    return NeckAndHead(int(match[1]), int(match[3]), int(match[4]), bool(match[2]))


def parse_architecture(text: str) -> Architecture:
    """A detector from its string; without a PAFPN...Head... suffix, the one that the bare backbone stands for.

    Raises InputError that shows where the string stops making sense.
    """
    text = "".join(text.split())
    stages, position = [], 0
    while match := _STAGE.match(text, position):
        stages.append(_stage_of(match))
        position = match.end()
    rest = text[position:]
    suffix = _NECK_AND_HEAD.fullmatch(rest)
    if not stages or (rest and suffix is None):
        where = f"at character {position + 1}: '{rest[:40]}'" if stages else f"'{text[:60]}'"
        raise InputError(
            f"architecture string breaks {where}; expected a block such as SuperResIDWE1K3(32,64,2,40,1), "
            "or the end, or PAFPN(16)HeadDW(64,2)"
        )
    backbone = Backbone(tuple(stages))
    if suffix is None:
        return Architecture(backbone, _neck_and_head_of(backbone))
    return Architecture(backbone, parse_neck_and_head(rest))


DEFAULT_NECK_AND_HEAD = NeckAndHead(neck_channels=16, head_channels=64, head_convs=2, depthwise=True)

_PUBLISHED: Mapping[str, tuple[str, NeckAndHead]] = {
    "damofd-0.5g": (
        "SuperConvK3BNRELU(3,32,2,1)SuperResIDWE1K3(32,32,2,8,1)SuperResIDWE1K7(32,64,2,40,1)"
        "SuperResIDWE1K7(64,120,2,40,2)SuperResIDWE1K5(120,160,2,120,1)",
        DEFAULT_NECK_AND_HEAD,
    ),
    "damofd-2.5g": (
        "SuperConvK3BNRELU(3,24,2,2)SuperResK3K3(24,32,2,24,4)SuperResK3K3(32,56,2,16,4)"
        "SuperResK5K5(56,88,2,8,5)SuperResK1K5K1(88,128,2,8,4)",
        NeckAndHead(24, 64, 2, depthwise=False),
    ),
    "damofd-10g": (
        "SuperConvK3BNRELU(3,56,2,2)SuperResK1K3K1(56,80,2,40,5)SuperResK1K5K1(80,112,2,32,5)"
        "SuperResK1K3K1(112,168,2,16,4)SuperResK7K7(168,256,2,8,1)",
        NeckAndHead(56, 80, 3, depthwise=False),
    ),
    "damofd-34g": (
        "SuperConvK3BNRELU(3,56,2,2)SuperResK1K3K1(56,224,2,80,5)SuperResK1K3K1(224,488,2,40,6)"
        "SuperResK1K3K1(488,624,2,72,4)SuperResK1K7K1(624,816,2,24,3)",
        NeckAndHead(128, 256, 2, depthwise=False),
    ),
}
PUBLISHED_NAMES = tuple(_PUBLISHED)


def _neck_and_head_of(backbone: Backbone) -> NeckAndHead:
    """The neck and head that a bare backbone string stands for."""
    text = str(backbone)
    return next((suffix for published, suffix in _PUBLISHED.values() if published == text), DEFAULT_NECK_AND_HEAD)


def published_detector(name: str) -> Architecture:
    """One of the four published detectors: `damofd-0.5g`, `-2.5g`, `-10g`, `-34g`. Raises InputError for other names."""
    if name not in _PUBLISHED:
        raise InputError(
            f"no published detector '{name}'; there are {', '.join(PUBLISHED_NAMES)}{meant(name, PUBLISHED_NAMES)}"
        )
    return parse_architecture(_PUBLISHED[name][0])


def resolve_architecture(text: str | Architecture) -> Architecture:
    """ARCH of the command line: a published name, a block string, or the path of a file that holds a block string."""
    if isinstance(text, Architecture):
        return text
    if not isinstance(text, str):
        raise InputError(f"an architecture is text or an `Architecture`, not {type(text).__name__}")
    if text in _PUBLISHED:
        return published_detector(text)
    if "(" not in text:
        path = Path(text)
        if not is_file(path):
            raise InputError(
                f"architecture '{text}' is no block string, no file and none of {', '.join(PUBLISHED_NAMES)}"
            )
        text = read_text(path, "architecture", _MAX_FILE_BYTES)
    return parse_architecture(text)
