"""How a detector is trained: the numbers, in one frozen record that is stored beside the weights."""

from dataclasses import dataclass
from typing import Literal

from facenas.data.augment import CROP_SCALES
from facenas.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """A training recipe. Steps follow from epochs: one epoch shows every photo once, as one random crop.

    The learning rate rises linearly over `warmup_share` of all steps and then falls as a cosine to 1 % of its peak.
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

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise InputError(f"recipe: {name} {getattr(self, name)} must be more than zero")
        if self.size_px < 64 or self.size_px % 32:
            raise InputError(f"recipe: crop size {self.size_px} px must be a multiple of 32, at least 64")
        if not 0 <= self.average_decay < 1:
            raise InputError(f"recipe: average_decay {self.average_decay} is outside 0..1")

    def steps(self, photos: int) -> int:
        """Optimiser steps of the whole training on a set of that many photos."""
        return max(1, self.epochs * photos // self.batch_size)
