"""What every anchor is to learn of a picture's faces: dense targets, from the labels and the assigner."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from facenas.arrays import BoolArray, FloatArray
from facenas.data.labels import Labels
from facenas.graph import ANCHORS_PER_CELL, STRIDES
from facenas.training.assigner import IGNORED, anchor_centres, assign


@dataclass(frozen=True, eq=False)
class AnchorTargets:
    """Targets of the a anchors (2 a cell) x c cells of all levels, of one picture, or of n with n as the first axis.

    boxes float32 [a, c, 4] in pixels; positive bool [a, c]: anchors that learn a face; counted bool [a, c]: those that are
    not ignored; landmarks float32 [a, c, 5, 2] as offsets in strides; known bool [a, c, 5].
    """

    boxes: FloatArray
    positive: BoolArray
    counted: BoolArray
    landmarks: FloatArray
    known: BoolArray


def strides_of_cells(size_px: int) -> FloatArray:
    """float32 [cells]: the stride of every cell, in the order of `anchor_centres`."""
    return np.repeat(np.array(STRIDES, np.float32), [(size_px // stride) ** 2 for stride in STRIDES])


def make_targets(labels: Labels, size_px: int) -> AnchorTargets:
    """The targets of one picture."""
    assigned = assign(labels.boxes, labels.ignore, size_px)
    positive = assigned >= 0
    cells = assigned.shape[1]
    boxes = np.zeros((ANCHORS_PER_CELL, cells, 4), np.float32)
    landmarks = np.zeros((ANCHORS_PER_CELL, cells, 5, 2), np.float32)
    known = np.zeros((ANCHORS_PER_CELL, cells, 5), bool)
    faces = assigned[positive]
    boxes[positive] = labels.boxes[faces]
    cell = np.nonzero(positive)[1]
    centre, stride = anchor_centres(size_px)[cell], strides_of_cells(size_px)[cell]
    landmarks[positive] = (labels.landmarks[faces, :, :2] - centre[:, None]) / stride[:, None, None]
    known[positive] = labels.landmarks[faces, :, 2] > 0
    return AnchorTargets(boxes, positive, assigned != IGNORED, landmarks, known)


def stack_targets(each: Sequence[AnchorTargets]) -> AnchorTargets:
    """The targets of several pictures as those of a batch."""
    return AnchorTargets(*(np.stack([getattr(one, field.name) for one in each]) for field in fields(AnchorTargets)))
