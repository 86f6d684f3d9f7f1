"""The spaces of the DamoFD release's detectors, for comparing searches with the release's own.

They hold the published networks and limits of the kind that the release's budgets imply. What the release's mutations
can reach beyond the published networks is not known to the last detail, so these are neighbourhoods of the published
networks in the release's block families, not copies of its space.
"""

from collections.abc import Iterable
from itertools import pairwise

from facenas.architecture import IMAGE_CHANNELS, Family, NeckAndHead, Stage, round_to_multiple_of_8
from facenas.space import Space


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
