"""How far landmarks are off, by the size of the face.

    error of a face = mean over its known points of |found - true| / sqrt(area of its box)

of each face that counts and is found: the detection that overlaps it most, by half (IoU) or more, and has a score of at least
`MIN_SCORE`. Sizes are the octaves of sqrt(area) in pixels at a long side of 640, as in `facenas.data.face_sizes`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facenas.arrays import Float64Array, FloatArray
from facenas.data.face_sizes import OCTAVE_EDGES_PX, OCTAVE_NAMES, face_sizes_px
from facenas.pipeline.faces import Faces, pairwise_iou

MIN_SCORE = 0.3
_MATCH_IOU = 0.5


@dataclass(frozen=True)
class LandmarkError:
    """Mean error of `faces` faces as a share of their size, and the same by octave (None where there was no face)."""

    mean: float
    faces: int
    by_size: Mapping[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        return {"mean": self.mean, "faces": self.faces, "by_size": dict(self.by_size)}


def face_errors(faces: Faces, boxes: FloatArray, landmarks: FloatArray, size_px: tuple[int, int]) -> Float64Array:
    """float64 [k, 2]: size in pixels at a long side of 640 and error of each face of one photo that can be told.

    boxes float32 [n, 4], landmarks float32 [n, 5, 3] (x, y, known): the true ones that count; size_px: the photo's sides.
    """
    none = np.zeros((0, 2))
    if faces.landmarks is None or not len(boxes) or not len(faces):
        return none
    overlap = pairwise_iou(boxes, faces.boxes) * (faces.scores >= MIN_SCORE)
    best = overlap.argmax(axis=1)
    known = landmarks[:, :, 2] > 0
    told = np.flatnonzero((overlap.max(axis=1) >= _MATCH_IOU) & known.any(axis=1))
    away = np.linalg.norm(faces.landmarks[best[told]] - landmarks[told, :, :2], axis=2)
    mean = (away * known[told]).sum(axis=1) / known[told].sum(axis=1)
    sides = np.sqrt((boxes[told, 2:] - boxes[told, :2]).prod(axis=1).astype(np.float64))
    return np.column_stack([face_sizes_px(boxes[told], *size_px), mean / np.maximum(sides, 1e-9)])


def landmark_error(errors: Sequence[Float64Array]) -> LandmarkError | None:
    """Of all photos' `face_errors`; None where no face could be told."""
    rows = np.concatenate([np.zeros((0, 2)), *errors])
    if not len(rows):
        return None
    octave = np.digitize(rows[:, 0], OCTAVE_EDGES_PX[1:-1])
    by_size = {
        name: round(float(rows[octave == index, 1].mean()), 5) if (octave == index).any() else None
        for index, name in enumerate(OCTAVE_NAMES)
    }
    return LandmarkError(round(float(rows[:, 1].mean()), 5), len(rows), by_size)
