"""How a detector is trained: the numbers, in one frozen record that is stored beside the weights."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from facenas.data.augment import CROP_SCALES
from facenas.errors import InputError, meant

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("cosine", "steps")
SGD_LEARNING_RATE = 0.02
SGD_WEIGHT_DECAY = 5e-4
FINE_TUNING_SHARE = 0.15  # of the rates from random weights: a detector that is trained already is adapted, not undone
SUPERNET_GRADIENT_NORM = 20.0  # a step sums the losses of three networks

# What each number may be: more is a slip that costs the machine its memory, or never ends.
_WHOLE = {
    "epochs": (1, 1_000_000),
    "cycles": (1, 1_000),
    "size_px": (0, 2048),
    "batch_size": (1, 65_536),
    "seed": (0, 2**63 - 1),
    "pasted_faces": (0, 100),
}
_REAL = {
    "learning_rate": (0.0, 100.0),
    "weight_decay": (0.0, 100.0),
    "momentum": (0.0, 1.0),
    "warmup_share": (0.0, 1.0),
    "gradient_norm": (0.0, 1e9),
    "average_decay": (0.0, 1.0),
    "crop_scales": (0.01, 100.0),
    "min_face_px": (0.0, 1e4),
    "step_shares": (0.0, 1.0),
    "mosaic_share": (0.0, 1.0),
    "rotation_degrees": (0.0, 180.0),
    "teacher_share": (0.0, 1.0),
}


@dataclass(frozen=True)
class Recipe:
    """A training recipe. Steps follow from epochs: one epoch shows every photo once, as one random crop.

    The learning rate rises linearly over `warmup_share` of all steps and then falls, as a cosine to 1 % of its peak or
    by a factor of ten at each of `step_shares` of all steps (the release's 440 and 544 of 640 epochs).
    `batch_size` is that of all processes together. `mosaic_share` of the samples are four half-sized ones side by side;
    `pasted_faces`: up to so many small faces of another photo are put into a sample; every second sample is turned by up to
    `rotation_degrees` to either side. `teacher`: name and hash of the
    detector that is learnt from (empty: none); of the losses `teacher_share` is then by its answers, the rest by labels.
    `photos_on_device`: crops are made by torch of photos in the memory of the device; drawn from the same distributions,
    they are others than those that the host makes. `cycles`: the whole schedule is gone through so often, each time from the
    best weights so far.
    """

    epochs: int = 12
    size_px: int = 256
    batch_size: int = 16
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    momentum: float = 0.9
    warmup_share: float = 0.05
    gradient_norm: float = 10.0
    average_decay: float = 0.998
    crop_scales: tuple[float, ...] = CROP_SCALES
    min_face_px: float = 3.0
    seed: int = 0
    schedule: Literal["cosine", "steps"] = "cosine"
    step_shares: tuple[float, ...] = (0.6875, 0.85)
    mosaic_share: float = 0.0
    pasted_faces: int = 0
    rotation_degrees: float = 0.0
    teacher: str = ""
    teacher_share: float = 0.5
    photos_on_device: bool = False
    cycles: int = 1

    def __post_init__(self) -> None:
        for name, (least, most) in _WHOLE.items():
            value = getattr(self, name)
            if type(value) is not int or value > most:
                raise InputError(f"recipe: {name} {value} must be a whole number, {least} to {most:,}")
            if value < least:
                raise InputError(
                    f"recipe: {name} {value} must be {'more than zero' if least == 1 else f'{least} or more'}"
                )
        for name, (low, high) in _REAL.items():
            values = getattr(self, name)
            for value in values if isinstance(values, tuple) else (values,):
                if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                    raise InputError(f"recipe: {name} {value} is outside {low:g}..{high:g}")
        for name in ("learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise InputError(f"recipe: {name} {getattr(self, name)} must be more than zero")
        if self.size_px % 32 or self.size_px < 64:
            raise InputError(f"recipe: crop size {self.size_px} px must be a multiple of 32, at least 64")
        if self.average_decay == 1:
            raise InputError(f"recipe: average_decay {self.average_decay} is outside 0..1")
        if not self.crop_scales:
            raise InputError("recipe: crop_scales are none; give at least one")
        for name, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in choices:
                given = getattr(self, name)
                raise InputError(f"recipe: no {name} '{given}'; there are {', '.join(choices)}{meant(given, choices)}")

    def steps_of_cycle(self, photos: int) -> int:
        """Optimiser steps of once through the schedule on a set of that many photos."""
        return max(1, self.epochs * photos // self.batch_size)

    def steps(self, photos: int) -> int:
        """Optimiser steps of the whole training, where no cycle ends it early."""
        return self.cycles * self.steps_of_cycle(photos)

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Names of the numbers that differ in a stored recipe; one that it lacks is newer and had its default."""
        other = _plain(asdict(Recipe())) | dict(stored)
        return sorted(name for name, value in _plain(asdict(self)).items() if other[name] != value)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they come back from JSON."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def default_rate_and_decay(optimizer: str, *, fine_tuning: bool = False) -> tuple[float, float]:
    """Learning rate and weight decay that suit an optimiser, from random weights or from a detector that is trained already.
    Raises InputError for an optimiser that there is not.
    """
    if optimizer not in OPTIMIZERS:
        raise InputError(f"no optimizer '{optimizer}'; there are {', '.join(OPTIMIZERS)}{meant(optimizer, OPTIMIZERS)}")
    share = FINE_TUNING_SHARE if fine_tuning else 1.0
    if optimizer == "sgd":
        return share * SGD_LEARNING_RATE, SGD_WEIGHT_DECAY
    return share * Recipe.learning_rate, Recipe.weight_decay


def fine_tuning_recipe() -> Recipe:
    """The default recipe at the low rate for a detector that is trained already."""
    return Recipe(learning_rate=default_rate_and_decay("adamw", fine_tuning=True)[0])


@dataclass(frozen=True)
class Pace:
    """What a training does when, none of which changes its samples or steps: validate every so many epochs, write its
    state after `save_seconds` and a line of its curve every `log_steps`; and where it stops before its last step: after
    `max_seconds`, or at `until_step`. `compiled`: torch makes kernels for the network, which takes minutes once.
    `tensorboard`: the curve is also written for TensorBoard."""

    validate_epochs: int = 1
    save_seconds: float = 60.0
    log_steps: int = 20
    max_seconds: float | None = None
    until_step: int | None = None
    compiled: bool = False
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.max_seconds is not None and not 0 <= self.max_seconds < math.inf:
            raise InputError(f"a training cannot stop after {self.max_seconds} s; give a time of zero or more")
