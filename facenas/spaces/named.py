"""The search spaces that there are by name, each with the reason for its limits.

The score alone degenerates: its unlimited optimum is an 8-channel-wide stack of 7x7 kernels. So every space carries shape
limits openly: widths that do not shrink with depth, a least width per stage, a bottleneck of at least a fixed share of the
output, few kernel sizes and a depth cap.

`damofd-0.5g` and `damofd-2.5g` are for comparing searches with the release's own: they hold the published networks and
limits of the kind that the release's budgets imply. What the release's mutations can reach beyond the published networks
is not known to the last detail, so these are neighbourhoods of the published networks in the release's block families,
not copies of its space.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from facenas.architecture import IMAGE_CHANNELS, Family, NeckAndHead, Stage, round_to_multiple_of_8
from facenas.errors import InputError, meant
from facenas.spaces import DEFAULT_SPACE
from facenas.spaces.elastic_space import ELASTIC_NAMES, elastic_space
from facenas.spaces.file import read_space
from facenas.spaces.space import Space


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
    """For CPUs and small boards: from about 4 to 40 ms on one core of a server CPU at 640x480, the range of phones and Jetsons.

    The limits answer what the score does when it is left alone, and what short trainings showed (networks of equal
    latency, 17,700 crops; figures are AP hard, those of one budget beside each other, and two seeds of one network
    differ by 0.04 on average: hints, not proof):

    - It hardly sees width, so its optimum is as narrow as allowed: every stage is at least a third wider than the one
      before, and has a least width. Runtimes compute channels in blocks of 16, so other widths (but the least stem) only
      waste time.
    - It counts kernel sizes and layers, and prefers them to width: kernels are 3x3, and a stage ends at two residuals or
      three convolutions. So a larger budget can only be spent on width.
    - Bottlenecks count five layers in two residuals for few multiply-accumulates, and depthwise stages more still, yet
      both stayed behind plain 3x3 convolutions (0.11 and 0.14 against 0.22). The backbone has neither.
    - By its weights it buys layers at high resolution first, where they are dearest: with a second layer stage 1 rises
      from 2.5 to about 11, an artefact of ln(3/3) = 0. Two residuals in stage 3 leave little time for wider and later
      stages (12 ms: 0.20 against 0.20 to 0.23). So stages 1 to 3 are one convolution each, and stage 4 is one residual or
      two convolutions.
    - It cannot see neck and head: they follow from the width of stage 3. A head of 32 channels saves 0.4 of 6 ms and seems
      too narrow (0.12 and 0.16 against 0.18 with 48), so there is none.
    """
    outs = (
        (8, 16, 32),
        (16, 32, 48, 64),
        (32, 48, 64, 80, 96),
        (48, 64, 80, 96, 128, 160),
        (64, 80, 96, 128, 160, 192, 256),
    )
    widths = [_widening(*pair) for pair in pairwise(outs)]
    stages = (
        _convs([(IMAGE_CHANNELS, width) for width in outs[0]], (1,)),
        _convs(widths[0], (1,)),
        _convs(widths[1], (1,)),
        _convs(widths[2], (1, 2)) + _residuals(widths[2], (1,)),
        _convs(widths[3], (1, 2, 3)) + _residuals(widths[3], (1, 2)),
    )
    # The head at stride 8 would be most of a small net if it did not grow with the features that it reads.
    necks_and_heads = (
        (0, NeckAndHead(16, 48, 2, depthwise=True)),
        (64, NeckAndHead(32, 64, 2, depthwise=True)),
    )
    return Space("facenas-edge", tuple(tuple(choices) for choices in stages), necks_and_heads)


def facenas_orin() -> Space:
    """For GPUs: from about 1 to 15 ms on a modelled Jetson Orin Nano in fp16 at 640x480, where `facenas-edge` ends at 2.

    - All widths but the image's are multiples of 16: tensor cores compute 8 or 16 channels at a time, so other widths
      only waste time there.
    - Kernels are plain 3x3, which the fast algorithms are made for; a depthwise stage is bound by memory and leaves tensor
      cores idle. Neck and head are plain convolutions for the same reason.
    - Every kernel pays a launch, some microseconds whatever it computes, so depth costs a GPU more than width: a stage ends
      at four convolutions or residuals, and widths go to 768.
    - The score hardly sees width (see `facenas_edge`), so every stage is at least a third wider than the one before; stages
      1 and 2 stay shallow, because a second layer at their resolution is what the score overrates most.
    """
    outs = (
        (16, 32, 48, 64),
        (32, 64, 96, 128),
        (64, 96, 128, 192, 256),
        (96, 128, 192, 256, 384, 512),
        (128, 192, 256, 384, 512, 768),
    )
    widths = [_widening(*pair) for pair in pairwise(outs)]
    stages = (
        _convs([(IMAGE_CHANNELS, width) for width in outs[0]], (1,)),
        _convs(widths[0], (1, 2)),
        _convs(widths[1], (1, 2, 4)) + _residuals(widths[1], (1, 2, 3)),
        _convs(widths[2], (1, 2, 4)) + _residuals(widths[2], (1, 2, 4)),
        _convs(widths[3], (1, 2, 4)) + _residuals(widths[3], (1, 2, 4)),
    )
    necks_and_heads = (
        (0, NeckAndHead(32, 64, 2, depthwise=False)),
        (96, NeckAndHead(64, 96, 2, depthwise=False)),
        (192, NeckAndHead(128, 128, 3, depthwise=False)),
    )
    return Space("facenas-orin", tuple(tuple(choices) for choices in stages), necks_and_heads)


def _not_narrowing(ins: Iterable[int], outs: Iterable[int]) -> list[tuple[int, int]]:
    """Pairs of input and output widths in which the output is at least as wide."""
    return [(i, o) for i in ins for o in outs if o >= i]


def damofd_0_5g() -> Space:
    """Inverted residuals around DamoFD-0.5G and the network that its search starts from.

    - Without limits the score's optimum under the release's budget is 8 channels wide with kernels of 7x7, so widths do
      not narrow with depth and every stage has a least width, about half of the published one.
    - Bottlenecks are 1/4 to 1 of the output, as the published net has from 1/4 (stage 2) to 3/4 (stage 5).
    - Expansion 1 and 4, kernels up to 7x7, as in the published networks. A stage ends at 4 sub-layers, because the
      score counts kernel sizes; the release's budget of 14 layers holds beside it and must be given (`--layers 14`).
    - Stage 1 is one 3x3 convolution, as published.
    """
    outs = ((16, 24, 32), (16, 24, 32), (32, 48, 64), (64, 80, 96, 120), (96, 128, 160))
    stages = [[Stage(Family.CONV, IMAGE_CHANNELS, width, 2, 1, 3) for width in outs[0]]]
    for before, here in pairwise(outs):
        stages.append(
            [
                Stage(Family.INVERTED, i, o, 2, sublayers, kernel, 0, b, expansion)
                for i, o in _not_narrowing(before, here)
                for b in sorted({round_to_multiple_of_8(o * twelfths // 12) for twelfths in (3, 4, 6, 8, 9, 12)})
                for expansion in (1, 4)
                for kernel in (3, 5, 7)
                for sublayers in (1, 2, 3, 4)
            ]
        )
    necks_and_heads = ((0, NeckAndHead(16, 64, 2, depthwise=True)),)
    return Space("damofd-0.5g", tuple(tuple(choices) for choices in stages), necks_and_heads)


def damofd_2_5g() -> Space:
    """Residual blocks and residual bottlenecks around DamoFD-2.5G.

    - Every stage is at least as wide as the one before, with a least width of about two thirds of the published one.
    - Bottlenecks are 8 to 48 channels: no share of the output could be a limit here, as the published net has 8 of 128.
      So this space invites narrow, deep networks: what it ranks first should be trained before it is believed.
    - Kernels of 3x3 and 5x5 and at most 5 sub-layers, as published, because the score counts kernel sizes.
    - Stage 1 is one or two 3x3 convolutions; the published net has two.
    """
    outs = ((16, 24), (24, 32, 40), (40, 48, 56, 64), (64, 72, 88, 104), (88, 104, 128, 144))
    stages = [[Stage(Family.CONV, IMAGE_CHANNELS, width, 2, depth, 3) for width in outs[0] for depth in (1, 2)]]
    for before, here in pairwise(outs):
        stages.append(
            [
                Stage(family, i, o, 2, sublayers, kernel, kernel if family is Family.RESIDUAL else 0, b)
                for i, o in _not_narrowing(before, here)
                for family in (Family.RESIDUAL, Family.BOTTLENECK)
                for b in (8, 16, 24, 32, 48)
                for kernel in (3, 5)
                for sublayers in (1, 2, 3, 4, 5)
            ]
        )
    necks_and_heads = ((0, NeckAndHead(24, 64, 2, depthwise=False)),)
    return Space("damofd-2.5g", tuple(tuple(choices) for choices in stages), necks_and_heads)


_FIXED_NAMES = ("facenas-edge", "facenas-orin", "damofd-0.5g", "damofd-2.5g")
SPACE_NAMES = tuple(dict.fromkeys((DEFAULT_SPACE, *ELASTIC_NAMES, *_FIXED_NAMES)))


def load_space(name: str) -> Space:
    """The space of that name, or of a space file whose path ends in .json. Raises InputError that lists the names."""
    match name:
        case "facenas-edge":
            return facenas_edge()
        case "facenas-orin":
            return facenas_orin()
        case "damofd-0.5g":
            return damofd_0_5g()
        case "damofd-2.5g":
            return damofd_2_5g()
        case _ if name in ELASTIC_NAMES:
            return elastic_space(name).space
        case _ if name.endswith(".json"):
            return read_space(Path(name))
        case _:
            known = ", ".join(SPACE_NAMES)
            raise InputError(
                f"no search space '{name}'; there are {known}, and files ending in .json{meant(name, SPACE_NAMES)}"
            )
