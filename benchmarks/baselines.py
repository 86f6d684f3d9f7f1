"""Published detectors to stand beside, decoded from their own ONNX files.

SCRFD: RGB, (value - 127.5) / 128; per stride (8, 16, 32) scores, then distances left-top-right-bottom in strides, then
in some files landmarks; two anchors a cell, both centred on the cell's corner (x s, y s).
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facenas.data.image import letterbox
from facenas.detector.postprocess import Faces, suppress
from facenas.detector.preprocess import Preprocessing

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_STRIDES = (8, 16, 32)
_ANCHORS = 2


def detect_scrfd(
    session: "InferenceSession",
    image: NDArray[np.uint8],
    side_px: int = 640,
    min_score: float = 0.02,
    max_overlap: float = 0.45,
) -> NDArray[np.float32]:
    """Faces of a uint8 RGB image [height, width, 3] as float32 [n, 5]: x1 y1 x2 y2 in its pixels, score; best first.

    The image is scaled to a long side of `side_px` and letterboxed into a square, the size for which the SCRFD files
    state their outputs. Boxes are clipped to the image, as those of this project's own detectors are.
    """
    height, width = image.shape[:2]
    picture, scale = letterbox(image, side_px, side_px)
    outputs = session.run(None, {session.get_inputs()[0].name: Preprocessing().normalise(picture)})
    boxes, scores = [], []
    for level, stride in enumerate(_STRIDES):
        score, distance = outputs[level].reshape(-1), outputs[level + len(_STRIDES)].reshape(-1, 4) * stride
        columns = side_px // stride
        y, x = np.divmod(np.arange(columns * columns).repeat(_ANCHORS), columns)
        centre = np.stack([x, y], axis=1).astype(np.float32) * stride
        kept = score >= min_score
        boxes.append(np.concatenate([centre - distance[:, :2], centre + distance[:, 2:]], axis=1)[kept])
        scores.append(score[kept])
    faces = Faces(np.concatenate(boxes), np.concatenate(scores), None)
    faces = suppress(faces.take(np.argsort(-faces.scores, kind="stable")), max_overlap)
    return faces.rescaled(scale, width, height).rows
