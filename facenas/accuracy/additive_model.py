"""AP of a network as a sum: one value for each choice of its stages, neck and head, on top of that of the least choices.

    AP(network) = base + sum over choices of value[choice][what the network has]

Fitted by ridge regression on slices of a supernet, each choice coded as "this value or more", so that neighbours share
what they have in common. The ridge is the one of least error where each slice is left out in turn, in closed form:

    rest_i / (1 - H_ii),   H = 1/n + U diag(s^2 / (s^2 + ridge)) U',   X - mean = U diag(s) V'

Log-odds of AP instead of AP give the same error on slices left out (.0120 both, 60 slices of `facenas-elastic`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np

from facenas.architecture import Architecture, NeckAndHead, Stage
from facenas.arrays import Float64Array
from facenas.spaces.elastic_space import ElasticSpace

_RIDGES = np.geomspace(0.03, 300, 17)
_DIGITS = 6


@dataclass(frozen=True)
class AdditiveModel:
    """`values`: AP that each value of each choice (`stage 2 width`, "48") adds to the least one's, which adds 0."""

    base: float
    values: Mapping[str, Mapping[str, float]]

    def __call__(self, detector: Architecture) -> float:
        """The AP of a member of the space."""
        stages = (self.of_stage(position, stage) for position, stage in enumerate(detector.backbone.stages))
        return self.base + fsum([*stages, self.of_end(detector.neck_and_head)])

    def of_stage(self, position: int, stage: Stage) -> float:
        """What a stage at `position` 0 to 4 adds."""
        return self._worth(stage_choices(position, stage))

    def of_end(self, end: NeckAndHead) -> float:
        """What a neck and a head add."""
        return self._worth(end_choices(end))

    def _worth(self, had: Mapping[str, int]) -> float:
        return fsum(self.values[name][str(value)] for name, value in had.items() if name in self.values)


def mixed(models: Sequence[tuple[float, AdditiveModel]]) -> AdditiveModel:
    """The weighted sum of models of the same choices."""
    values = {
        name: {value: fsum(weight * model.values[name][value] for weight, model in models) for value in listed}
        for name, listed in models[0][1].values.items()
    }
    return AdditiveModel(fsum(weight * model.base for weight, model in models), values)


def stage_choices(position: int, stage: Stage) -> dict[str, int]:
    """What a stage has of each of its choices, by the choice's name."""
    what = {"width": stage.out_channels, "inner width": stage.bottleneck_channels, "depth": stage.sublayers}
    return {f"stage {position + 1} {name}": value for name, value in what.items()}


def end_choices(end: NeckAndHead) -> dict[str, int]:
    """What a neck and a head have of each of their choices."""
    return {"neck width": end.neck_channels, "head width": end.head_channels, "head depth": end.head_convs}


def choices_of(detector: Architecture) -> dict[str, int]:
    """What a network has of each choice, by the choice's name."""
    had = end_choices(detector.neck_and_head)
    for position, stage in enumerate(detector.backbone.stages):
        had |= stage_choices(position, stage)
    return had


def open_choices(space: ElasticSpace) -> dict[str, tuple[int, ...]]:
    """The choices of which the space has several values, and these, ascending."""
    values: dict[str, tuple[int, ...]] = {}
    for number, stage in enumerate(space.stages, 1):
        values[f"stage {number} width"] = stage.widths
        values[f"stage {number} inner width"] = stage.inner_widths
        values[f"stage {number} depth"] = stage.depths
    values |= {"neck width": space.neck_channels, "head width": space.head_channels, "head depth": space.head_convs}
    return {name: listed for name, listed in values.items() if len(listed) > 1}


def free_numbers(space: ElasticSpace) -> int:
    """How many numbers a model of the space has, its base included."""
    return 1 + sum(len(values) - 1 for values in open_choices(space).values())


def coded(detectors: Sequence[Architecture], space: ElasticSpace) -> Float64Array:
    """[detectors, numbers but the base]: for every value of every choice but its least, 1 where there is that or more."""
    steps = [(name, value) for name, values in open_choices(space).items() for value in values[1:]]
    had = [choices_of(detector) for detector in detectors]
    return np.array([[float(each[name] >= value) for name, value in steps] for each in had])


def ridge(x: Float64Array, y: Float64Array) -> tuple[float, Float64Array]:
    """Intercept and coefficients [columns] of y [n] on x [n, columns]; the ridge is the one of least left-out error."""
    mean, level = x.mean(axis=0), float(y.mean())
    u, s, vt = np.linalg.svd(x - mean, full_matrices=False)
    along = u.T @ (y - level)
    errors = []
    for strength in _RIDGES:
        kept = s**2 / (s**2 + strength)
        rest = (y - level - u @ (kept * along)) / (1 - 1 / len(y) - (u**2 @ kept))
        errors.append(np.square(rest).mean())
    strength = _RIDGES[int(np.argmin(errors))]
    coefficients: Float64Array = vt.T @ (s / (s**2 + strength) * along)
    return level - float(mean @ coefficients), coefficients


def fit_additive(detectors: Sequence[Architecture], precision: Float64Array, space: ElasticSpace) -> AdditiveModel:
    """The model of AP [detectors] of members of a space."""
    base, coefficients = ridge(coded(detectors, space), precision)
    steps = iter(coefficients.tolist())
    values = {}
    for name, listed in open_choices(space).items():
        sums = np.cumsum([0.0, *(next(steps) for _ in listed[1:])]).tolist()
        values[name] = {str(value): round(total, _DIGITS) for value, total in zip(listed, sums, strict=True)}
    return AdditiveModel(round(base, _DIGITS), values)
