"""How large the faces of a data set are: the shares per octave that stage weights and figures by size are based on.

The size of a face is sqrt(area) in pixels after its photo is scaled to a long side of 640. The five octave bins
[0,6) [6,12) [12,24) [24,48) [48,inf) correspond to the five stages of a backbone, strides 2 to 32.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from facenas.arrays import Float64Array, FloatArray, IntArray
from facenas.data.annotations import LabelledPhoto
from facenas.errors import InputError
from facenas.units import Size

LONG_SIDE_PX = 640
OCTAVE_EDGES_PX = (0.0, 6.0, 12.0, 24.0, 48.0, float("inf"))
OCTAVE_NAMES = ("0-6 px", "6-12 px", "12-24 px", "24-48 px", "48 px and more")
_SPREAD = 500


def face_sizes_px(boxes: FloatArray, width_px: int, height_px: int, long_side_px: int = LONG_SIDE_PX) -> Float64Array:
    """sqrt(area) of boxes [n, 4] (x1 y1 x2 y2) of a photo, in pixels after scaling its long side; float64 [n]."""
    sides = np.maximum(boxes[:, 2:].astype(np.float64) - boxes[:, :2], 0)
    sizes: Float64Array = np.sqrt(sides.prod(axis=1)) * (long_side_px / max(width_px, height_px))
    return sizes


@dataclass(frozen=True)
class FaceSizes:
    """Sizes of faces, sqrt(area) over the long side of their photo: whose faces a detector is for."""

    relative: tuple[float, ...]

    def shares(self, long_side_px: int = LONG_SIDE_PX) -> tuple[float, ...]:
        """The share of faces in each of the five octave bins where photos have this long side; they add up to one."""
        counts = octave_counts(np.array(self.relative) * long_side_px)
        return tuple((counts / counts.sum()).round(6).tolist())


def face_sizes_of(photos: Iterable[LabelledPhoto], place: str = "the photos") -> FaceSizes:
    """Those of the labelled photos of a `place`, ignored faces aside. Raises InputError where there is no face."""
    sizes = [face_sizes_px(each.labels.face_boxes, each.width_px, each.height_px, 1) for each in photos]
    relative = np.concatenate([*sizes, np.zeros(0)])
    if not len(relative):
        raise InputError(
            f"{place} hold no face to take sizes of; give labelled photos with faces, or sizes such as 20px..200px@1920x1080"
        )
    return FaceSizes(tuple(relative.tolist()))


def face_sizes_between(least_px: float, most_px: float, picture: Size) -> FaceSizes:
    """As many faces in each octave from `least_px` to `most_px` of pictures of that size. Raises InputError where that
    cannot be."""
    if not 0 < least_px <= most_px <= picture.long_side_px:
        raise InputError(
            f"faces of {least_px:g} to {most_px:g} px in pictures of {picture} cannot be; give the least first, above 0 and no"
            " larger than the picture"
        )
    relative = np.geomspace(least_px, most_px, 2 * _SPREAD + 1)[1::2] / picture.long_side_px
    return FaceSizes(tuple(relative.tolist()))


def octave_counts(sizes_px: Float64Array) -> IntArray:
    """How many faces of sizes [n] are in each of the five octave bins."""
    counts: IntArray = np.histogram(sizes_px, bins=np.array(OCTAVE_EDGES_PX))[0]
    return counts
