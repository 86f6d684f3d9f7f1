"""The faces of a photo, as every detector answers with them, and how much boxes overlap."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from facenas.arrays import FloatArray, IndexArray
from facenas.data.image import Photo
from facenas.pipeline.draw import draw_faces
from facenas.pipeline.fit import Fitted

_SHOWN = 3  # faces in a line; the rest is counted


@dataclass(frozen=True, eq=False)
class Face:
    """One face: box float32 [4] x1 y1 x2 y2 in pixels, score in 0..1, and landmarks float32 [5, 2] in pixels, or None."""

    box: FloatArray
    score: float
    landmarks: FloatArray | None = None

    def __repr__(self) -> str:
        x1, y1, x2, y2 = self.box
        return f"<Face {self.score:.2f} at {x1:.0f},{y1:.0f} to {x2:.0f},{y2:.0f}>"


@dataclass(frozen=True, eq=False)
class Faces:
    """Faces of one photo, best first: boxes float32 [n, 4] x1 y1 x2 y2 in pixels, scores float32 [n] in 0..1, and
    landmarks float32 [n, 5, 2] in pixels, or None where the detector has none. Iterating gives a `Face` for each."""

    boxes: FloatArray
    scores: FloatArray
    landmarks: FloatArray | None

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int) -> Face:
        landmarks = None if self.landmarks is None else self.landmarks[index]
        return Face(self.boxes[index], float(self.scores[index]), landmarks)

    def __iter__(self) -> Iterator[Face]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        shown = "".join(f" {self[index]!r}" for index in range(min(len(self), _SHOWN)))
        more = f" and {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        return f"<{len(self)} face{'' if len(self) == 1 else 's'}{':' if shown else ''}{shown}{more}>"

    def _repr_html_(self) -> str:
        """A table with a row for each face, for a notebook."""
        heads = "".join(f"<th>{head}</th>" for head in ("", "score", "x1", "y1", "x2", "y2"))
        rows = "".join(
            f"<tr><td>{number}</td><td>{face.score:.2f}</td>{''.join(f'<td>{side:.0f}</td>' for side in face.box)}</tr>"
            for number, face in enumerate(self, 1)
        )
        return f"<table><tr>{heads}</tr>{rows}</table>"

    def draw(self, photo: Photo, missed: FloatArray | None = None) -> Photo:
        """A copy of the photo (uint8 RGB) with a box, the score and landmarks for every face; `missed` boxes [n, 4] in
        red."""
        return draw_faces(photo, self.boxes, self.scores, self.landmarks, missed)

    def take(self, index: IndexArray) -> "Faces":
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
