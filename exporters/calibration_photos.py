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
from facenas.data.folder import choose_readable, photos_below, unread_below
from facenas.data.image import Photo, read_image
from facenas.data.synthetic import draw_photo
from facenas.errors import InputError
from facenas.units import Size

SYNTHETIC = "synthetic"
DEFAULT_COUNT = 128
MIN_COUNT = 8


@dataclass(frozen=True)
class CalibrationPhotos:
    """Photos by their path below `folder`; without a folder, `count` drawn ones. `problems`: of photos that were chosen and
    could not be read, why; others took their places."""

    folder: Path | None
    photos: tuple[str, ...]
    count: int
    seed: int
    problems: tuple[str, ...] = ()

    def pictures(self, size: Size) -> Iterator[Photo]:
        """Each photo, a drawn one of that size. Raises InputError for one that cannot be read any more."""
        for index in range(self.count):
            if self.folder is None:
                yield draw_photo(size.width_px, size.height_px, np.random.default_rng([self.seed, index]))[0]
            else:
                yield read_image(self.folder / self.photos[index])

    def images(self, description: Description) -> Iterator[FloatArray]:
        """What the network is fed for each photo: float32 [1, 3, height, width]. Raises InputError for an unusable photo."""
        return map(description.network_input, self.pictures(description.input_size))

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
        unread = unread_below(folder)
        found = f"{folder} holds {len(photos)} photos, calibration needs {count}; add photos{cure}"
        raise InputError(found if unread is None else f"{found} ({unread})")
    generator = np.random.default_rng(seed)
    drawn = sorted(generator.choice(len(photos), count, replace=False).tolist())
    others = generator.permutation(sorted(set(range(len(photos))) - set(drawn))).tolist()
    chosen, problems = choose_readable(folder, [photos[index] for index in (*drawn, *others)], count)
    if len(chosen) < count:
        raise InputError(f"{folder} holds {len(chosen)} photos that can be read, not {count}; first: {problems[0]}")
    return CalibrationPhotos(folder, tuple(sorted(chosen)), count, seed, tuple(problems))
