"""DDSAR's stage weights, learnt from the AP of slices instead of published: what each stage's SAR-Score is worth.

    AP(network) = intercept + gain * sum over stages of weight * SAR,   weights >= 0, their sum 1

by non-negative least squares. SAR is taken with alpha 0, the logarithm alone: the kernel sums that alpha adds count layers
a second time. A stage whose score is the same for all networks (stage 1, one convolution on the image) gets no weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facenas.architecture import STAGE_COUNT, Architecture
from facenas.arrays import Float64Array
from facenas.scoring.ddsar import ScoreSettings, ddsar_score, sar_scores

SAR_SETTINGS = ScoreSettings(alpha=0.0)
_DIGITS = 6


@dataclass(frozen=True)
class StageWeights:
    """`weights` of the five stages, all 0 where no stage explains anything (`gain` is then 0); `gain`: AP a unit of
    score."""

    intercept: float
    gain: float
    weights: tuple[float, ...]

    def __call__(self, detector: Architecture) -> float:
        """The AP of a network by its score."""
        return self.intercept + self.gain * ddsar_score(sar_scores(detector.backbone, SAR_SETTINGS), self.weights)


def fit_stage_weights(detectors: Sequence[Architecture], precision: Float64Array) -> StageWeights:
    """The weights by AP [detectors]."""
    from scipy.optimize import nnls

    sar = np.array([sar_scores(detector.backbone, SAR_SETTINGS) for detector in detectors])
    mean, level = sar.mean(axis=0), float(precision.mean())
    varying = np.ptp(sar, axis=0) > 0
    worth, _ = nnls((sar - mean) * varying, precision - level)
    gain = float(worth.sum())
    if gain < 10.0**-_DIGITS:
        return StageWeights(round(level, _DIGITS), 0.0, (0.0,) * STAGE_COUNT)
    weights = tuple(round(float(each) / gain, 4) for each in worth)
    return StageWeights(round(level - float(mean @ worth), _DIGITS), round(gain, _DIGITS), weights)
