"""The labels of one picture, or of many: what travels together from a label file to a training target."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facenas.arrays import BoolArray, FloatArray, IndexArray


@dataclass(frozen=True, eq=False)
class Labels:
    """n labelled faces.

    boxes: float32 [n, 4], x1 y1 x2 y2 in pixels of their picture, EXIF orientation applied.
    landmarks: float32 [n, 5, 3], x, y in pixels and 1 where the point is known, 0 where not (x and y are then 0).
    ignore: bool [n], true for a region that is neither face nor background (left out of losses and figures).
    """

    boxes: FloatArray
    landmarks: FloatArray
    ignore: BoolArray

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def face_boxes(self) -> FloatArray:
        """float32 [faces, 4]: the boxes that are not ignored."""
        return self.boxes[~self.ignore]

    def take(self, index: BoolArray | IndexArray | slice) -> "Labels":
        """The labels at `index`."""
        return Labels(self.boxes[index], self.landmarks[index], self.ignore[index])


def join_labels(parts: Sequence[Labels]) -> Labels:
    """All labels of several pictures that became one."""
    return Labels(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
        np.concatenate([part.ignore for part in parts]),
    )
