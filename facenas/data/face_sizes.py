"""How large the faces of a data set are: the shares per octave that stage weights and figures by size are based on.

The size of a face is sqrt(area) in pixels after its photo is scaled to a long side of 640. The five octave bins
[0,6) [6,12) [12,24) [24,48) [48,inf) correspond to the five stages of a backbone, strides 2 to 32.
"""

from collections.abc import Iterable

import numpy as np

from facenas.arrays import Float64Array, FloatArray, IntArray
from facenas.data.annotations import LabelledPhoto
from facenas.errors import InputError

LONG_SIDE_PX = 640
OCTAVE_EDGES_PX = (0.0, 6.0, 12.0, 24.0, 48.0, float("inf"))
OCTAVE_NAMES = ("0-6 px", "6-12 px", "12-24 px", "24-48 px", "48 px and more")


def face_sizes_px(boxes: FloatArray, width_px: int, height_px: int, long_side_px: int = LONG_SIDE_PX) -> Float64Array:
    """sqrt(area) of boxes [n, 4] (x1 y1 x2 y2) of a photo, in pixels after scaling its long side; float64 [n]."""
    sides = np.maximum(boxes[:, 2:].astype(np.float64) - boxes[:, :2], 0)
    sizes: Float64Array = np.sqrt(sides.prod(axis=1)) * (long_side_px / max(width_px, height_px))
    return sizes


def face_size_distribution(photos: Iterable[LabelledPhoto], long_side_px: int = LONG_SIDE_PX) -> tuple[float, ...]:
    """The share of faces (ignored ones aside) in each of the five octave bins; they add up to one.

    Raises InputError where there is no face.
    """
    sizes = [face_sizes_px(photo.labels.face_boxes, photo.width_px, photo.height_px, long_side_px) for photo in photos]
    counts = octave_counts(np.concatenate([*sizes, np.zeros(0)]))
    if not counts.sum():
        raise InputError("no face to take a size distribution of; give labelled photos with faces")
    return tuple((counts / counts.sum()).tolist())


def octave_counts(sizes_px: Float64Array) -> IntArray:
    """How many faces of sizes [n] are in each of the five octave bins."""
    counts: IntArray = np.histogram(sizes_px, bins=np.array(OCTAVE_EDGES_PX))[0]
    return counts
