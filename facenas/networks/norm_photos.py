"""The photos that a slice's norms are estimated on: random crops of them, as training cuts and colours them, but without
labels, so any photos of the kind that the detector is meant for will do."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facenas.data.augment import augment
from facenas.data.folder import choose_readable, photos_below
from facenas.data.image import Photo, read_image
from facenas.data.labels import Labels
from facenas.data.synthetic import draw_photo
from facenas.errors import InputError
from facenas.graph import LANDMARK_COUNT
from facenas.networks.network import preprocessed

NORM_CROPS = 64
MIN_PHOTOS = 16
_CROP_PX = 256
_BATCH = 16
_SYNTHETIC = "synthetic"
_SEED = 0


@dataclass(frozen=True)
class NormPhotos:
    """`crops` crops, each of the next of `photos` (by their paths below `folder`) in turn; synthetic ones where there is
    no folder; `problems`: of photos that could not be read, why; others took their places."""

    folder: Path | None
    photos: tuple[str, ...]
    crops: int
    problems: tuple[str, ...] = ()

    def batches(self) -> Iterator[Tensor]:
        """The crops, preprocessed: float [n, 3, 256, 256] each. Raises InputError for a photo that cannot be read."""
        for first in range(0, self.crops, _BATCH):
            numbers = range(first, min(first + _BATCH, self.crops))
            yield preprocessed(torch.from_numpy(np.stack([self._crop(number) for number in numbers])))

    def _crop(self, number: int) -> Photo:
        if self.folder is None:
            photo, _, _ = draw_photo(640, 480, np.random.default_rng([_SEED, number]))
        else:
            photo = read_image(self.folder / self.photos[number % len(self.photos)])
        none = Labels(np.zeros((0, 4), np.float32), np.zeros((0, LANDMARK_COUNT, 3), np.float32), np.zeros(0, bool))
        return augment(photo, none, _CROP_PX, np.random.default_rng((_SEED, number))).image

    def to_json(self) -> dict[str, Any]:
        """What a slice's origin keeps of it."""
        source = _SYNTHETIC if self.folder is None else self.folder.resolve().name
        photos = self.crops if self.folder is None else len(self.photos)
        return {"photos": source, "count": photos, "crops": self.crops, "seed": _SEED}


def choose_norm_photos(folder: Path | None, crops: int = NORM_CROPS) -> NormPhotos:
    """As many photos of `folder` and its folders as there are crops, drawn with one seed (all of them, several times, where
    there are fewer), or synthetic ones where it is None.

    Raises InputError where the folder is absent or holds fewer than 16 photos, or fewer than 16 crops are asked for.
    """
    if crops < MIN_PHOTOS:
        raise InputError(f"{crops} crops are too few for the norms of a slice; ask for {NORM_CROPS}")
    if folder is None:
        return NormPhotos(None, (), crops)
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; give a folder of photos for the norms, or none for synthetic ones")
    photos = photos_below(folder)
    if len(photos) < MIN_PHOTOS:
        raise InputError(
            f"{folder} holds {len(photos)} photos, the norms of a slice need {MIN_PHOTOS} or more; add photos, labels are"
            " not needed"
        )
    order = np.random.default_rng((_SEED, 5)).permutation(len(photos)).tolist()
    chosen, problems = choose_readable(folder, [photos[index] for index in order], crops)
    if len(chosen) < MIN_PHOTOS:
        raise InputError(
            f"{folder} holds {len(chosen)} photos that can be read, not {MIN_PHOTOS}; first: {problems[0]}"
        )
    return NormPhotos(folder, tuple(chosen), crops, tuple(problems))
