r"""SAR-Score and DDSAR-Score: how expressive a backbone is for faces, in closed form, without weights or data.

DamoFD (ICLR 2023), as its released code computes it. With d0 = 3 image channels, h the side of the square input,
and for every convolution l its input channels c_l, the side h_l that enters it and its kernel size k_l,

    SAR_i = ln( ln(h_i^2 d0) + sum_l h_l^2 d0 ln(c_l / d0) ) + alpha * sum_l k_l
    DDSAR = sum_i weight_i * SAR_i

where h_i is the side that enters stage i. The weights follow the distribution of face sizes over the stages. The score
says nothing about the neck and the head, and maximised without limits it degenerates to deep, narrow nets with large
kernels (see `facenas.spaces.named`), so alpha is always recorded beside a score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, log

from facenas.architecture import IMAGE_CHANNELS, STAGE_COUNT, Backbone, Family, Stage
from facenas.errors import InputError

PAPER_STAGE_WEIGHTS = (0.20, 0.27, 0.25, 0.18, 0.10)
DEFAULT_ALPHA = 0.25
DEFAULT_RESOLUTION_PX = 224


@dataclass(frozen=True)
class ScoreSettings:
    """What a score depends on beside the backbone; stored with every search result."""

    alpha: float = DEFAULT_ALPHA
    resolution_px: int = DEFAULT_RESOLUTION_PX
    stage_weights: tuple[float, ...] = PAPER_STAGE_WEIGHTS

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 10:
            raise InputError(f"alpha {self.alpha} is outside 0..10; the release uses 0.25 (0.5G) and 0.005")
        if self.resolution_px < 32 or self.resolution_px % 2**STAGE_COUNT:
            raise InputError(f"resolution {self.resolution_px} must be a multiple of 32; the release uses 224")
        if len(self.stage_weights) != STAGE_COUNT or any(not 0 <= weight <= 1 for weight in self.stage_weights):
            raise InputError(f"stage weights {self.stage_weights} must be {STAGE_COUNT} numbers in 0..1")


def _conv_terms(stage: Stage, in_channels: int) -> tuple[tuple[int, ...], int, int]:
    """The c_l of one sub-layer, the position after which its stride halves the side, and its kernel sum.

    As released: the second inverted residual is charged with the widths of the first (e*b), not with e*out.
    """
    b, out, k = stage.bottleneck_channels, stage.out_channels, stage.kernel_size
    match stage.family:
        case Family.CONV:
            return (in_channels,), 1, k
        case Family.RESIDUAL:
            return (in_channels, b), 1, k + stage.second_kernel_size
        case Family.BOTTLENECK:
            return (in_channels, b, b, out, b, b), 2, 2 * k + 4
        case Family.INVERTED:
            expanded = stage.expanded_bottleneck_channels
            return (in_channels, expanded, expanded, b, expanded, expanded), 2, 2 * k + 4


def sar_score(stage: Stage, entering_side_px: int, alpha: float) -> float:
    """SAR-Score of one stage whose input is `entering_side_px` pixels wide and high."""
    d0 = IMAGE_CHANNELS
    side_px, in_channels = entering_side_px, stage.in_channels
    regions, kernel_sum = log(entering_side_px**2 * d0), 0
    for index in range(stage.sublayers):
        channels, stride_position, kernels = _conv_terms(stage, in_channels)
        for position, c in enumerate(channels):
            if index == 0 and position == stride_position:
                side_px //= stage.stride
            regions += side_px**2 * d0 * log(c / d0)
        if index == 0 and stride_position == len(channels):
            side_px //= stage.stride
        kernel_sum += kernels
        in_channels = stage.out_channels
    if regions <= 0:
        raise InputError(f"stage '{stage}' has no SAR-Score: widths below {d0} channels make the logarithm undefined")
    # Logarithms differ in their last bit from one processor's library to the other's; searches are to be the same.
    return round(log(regions) + alpha * kernel_sum, 12)


def sar_scores(backbone: Backbone, settings: ScoreSettings) -> tuple[float, ...]:
    """The five SAR-Scores, stage by stage."""
    return tuple(
        sar_score(stage, settings.resolution_px >> index, settings.alpha) for index, stage in enumerate(backbone.stages)
    )


def ddsar_score(sar: Sequence[float], stage_weights: Sequence[float] = PAPER_STAGE_WEIGHTS) -> float:
    """DDSAR-Score: the weighted sum of the five SAR-Scores."""
    return fsum(weight * score for weight, score in zip(stage_weights, sar, strict=True))
