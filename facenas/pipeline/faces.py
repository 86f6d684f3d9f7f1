"""The faces of a photo, as every detector answers with them, and how much boxes overlap."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facenas.pipeline.fit import Fitted

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Faces:
    """Faces of one photo, best first: boxes float32 [n, 4] x1 y1 x2 y2 in pixels, scores float32 [n] in 0..1, and
    landmarks float32 [n, 5, 2] in pixels, or None where the detector has none."""

    boxes: FloatArray
    scores: FloatArray
    landmarks: FloatArray | None

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, index: npt.NDArray[np.intp]) -> "Faces":
        """The faces at `index`, in that order."""
        landmarks = None if self.landmarks is None else self.landmarks[index]
        return Faces(self.boxes[index], self.scores[index], landmarks)

    def rescaled(self, fitted: Fitted) -> "Faces":
        """Faces of a fitted picture in pixels of its photo, boxes clipped to it."""
        scale = np.array([fitted.scale_x, fitted.scale_y], np.float32)
        limits = np.array([fitted.photo_size.width_px, fitted.photo_size.height_px], np.float32)
        boxes = np.minimum(np.maximum(self.boxes / np.tile(scale, 2), 0), np.tile(limits, 2))
        landmarks = None if self.landmarks is None else self.landmarks / scale
        return Faces(boxes, self.scores, landmarks)

    @property
    def rows(self) -> FloatArray:
        """float32 [n, 5]: box and score, as the evaluation reads them."""
        return np.concatenate([self.boxes, self.scores[:, None]], axis=1)


def pairwise_iou(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """float32 [n, m]: intersection over union of boxes [n, 4] and others [m, 4], x1 y1 x2 y2."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.maximum(high - low, 0).prod(axis=-1)
    area, other_area = ((b[:, 2:] - b[:, :2]).prod(axis=-1) for b in (boxes, others))
    return np.asarray(common / np.maximum(area[:, None] + other_area[None] - common, 1e-9), np.float32)
