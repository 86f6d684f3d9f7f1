"""Calibration: the photos that the value ranges of an int8 network are taken from.

They come from the user's folder, chosen with a seed and without regard to the order of the file system; the choice is
stored in the artefact. Without a folder they are drawn, and called synthetic.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from facenas.exporters.artefact import Description

from facenas.arrays import FloatArray
from facenas.data.folder import photos_below
from facenas.data.image import read_image
from facenas.data.synthetic import draw_photo
from facenas.errors import InputError

SYNTHETIC = "synthetic"
DEFAULT_COUNT = 128
MIN_COUNT = 8


@dataclass(frozen=True)
class CalibrationPhotos:
    """Photos by their path below `folder`; without a folder, `count` drawn ones."""

    folder: Path | None
    photos: tuple[str, ...]
    count: int
    seed: int

    def images(self, description: Description) -> Iterator[FloatArray]:
        """What the network is fed for each photo: float32 [1, 3, height, width]. Raises InputError for an unusable photo."""
        size = description.input_size
        for index in range(self.count):
            if self.folder is None:
                photo, _, _ = draw_photo(size.width_px, size.height_px, np.random.default_rng([self.seed, index]))
            else:
                photo = read_image(self.folder / self.photos[index])
            yield description.network_input(photo)

    def to_json(self) -> dict[str, Any]:
        """What an artefact's description keeps of it."""
        source = SYNTHETIC if self.folder is None else str(self.folder)
        return {"source": source, "seed": self.seed, "count": self.count, "photos": list(self.photos)}


def choose_calibration(folder: Path | None, count: int = DEFAULT_COUNT, seed: int = 0) -> CalibrationPhotos:
    """`count` photos of `folder` and its folders, chosen with `seed`, or as many synthetic ones where it is None.

    Raises InputError where the folder is absent or holds too few photos.
    """
    if count < MIN_COUNT:
        raise InputError(
            f"{count} calibration photos are too few for the ranges of an int8 network; ask for {MIN_COUNT}"
        )
    if folder is None:
        return CalibrationPhotos(None, (), count, seed)
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; give a folder of photos for calibration")
    photos = photos_below(folder)
    if len(photos) < count:
        cure = f", or ask for fewer with --calibration-count {len(photos)}" if len(photos) >= MIN_COUNT else ""
        raise InputError(f"{folder} holds {len(photos)} photos, calibration needs {count}; add photos{cure}")
    chosen = np.random.default_rng(seed).choice(len(photos), count, replace=False)
    return CalibrationPhotos(folder, tuple(photos[index] for index in sorted(chosen.tolist())), count, seed)
