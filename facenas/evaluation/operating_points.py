"""What a detector finds at a least score: precision, recall and F1 = 2 P R / (P + R), and which score to take."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facenas.arrays import Float64Array

_LISTED = tuple(step / 10 for step in range(1, 10))


@dataclass(frozen=True)
class OperatingPoint:
    """Of faces with scores >= `min_score`: the share that is right, and the share of all faces that is found."""

    min_score: float
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Their harmonic mean, 0 where nothing is found."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def operating_points(curve: Float64Array, least: float, spread: float) -> tuple[OperatingPoint, ...]:
    """Points of a curve [n, 2] (precision and recall at falling thresholds, equally spaced from 1 to 0 of scores that were
    stretched from `least` and `spread`): at 0.1 to 0.9, as far as there are scores, and where F1 is greatest."""
    steps = len(curve)
    scores = least + spread * (1 - np.arange(1, steps + 1) / steps)
    f1 = np.array([OperatingPoint(0.0, *row).f1 for row in curve])
    if not f1.any():
        return ()
    # Of thresholds that are as good the highest: nothing is lost by it.
    wanted = {round(float(scores[f1.argmax()]), 3), *(score for score in _LISTED if scores[-1] <= score <= scores[0])}
    found = []
    for score in sorted(wanted):
        row = curve[min(int(np.searchsorted(-scores, -score + 5e-4)), steps - 1)]
        found.append(OperatingPoint(score, round(float(row[0]), 4), round(float(row[1]), 4)))
    return tuple(found)


def suggested(points: Sequence[OperatingPoint]) -> OperatingPoint | None:
    """The point of greatest F1, None where there is none."""
    return max(points, key=lambda point: point.f1, default=None)
