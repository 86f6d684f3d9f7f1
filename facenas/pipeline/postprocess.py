"""From raw output maps to faces: the one decoder and non-maximum suppression that every runtime uses, in numpy.

Level with stride s, cell (column x, row y), anchor a: the cell's centre is (x s, y s); with the four distances
d = (left, top, right, bottom) in units of s,

    box = (x s - d_left s, y s - d_top s, x s + d_right s, y s + d_bottom s),   score = sigmoid(logit),

and landmark i at (x s + u_i s, y s + v_i s).
"""

from collections.abc import Callable, Mapping

import numpy as np

from facenas.arrays import BoolArray, FloatArray
from facenas.graph import (
    ANCHORS_PER_CELL,
    BOX_CHANNELS,
    LANDMARK_CHANNELS,
    LANDMARK_COUNT,
    SCORE_CHANNELS,
    STRIDES,
)
from facenas.pipeline.faces import Faces

Decode = Callable[[Mapping[str, FloatArray], float], Faces]
"""All candidates with at least a score, best first, from a network's outputs."""

NMS_IOU = 0.45
MIN_LOGIT = -6.0
"""A score of 0.0025, an eighth of the least that evaluations look at: int8 need not tell lower ones apart."""

MAX_CANDIDATES = 5000
"""So many faces at most go into suppression, here, in files that decode themselves and of published detectors."""

_FEW = 32


def decode(outputs: Mapping[str, FloatArray], min_score: float, max_candidates: int = MAX_CANDIDATES) -> Faces:
    """All candidates at or above `min_score` of the one image, best first, at most `max_candidates`.

    `outputs`: `output_8`, `output_16`, `output_32`, each float32 [1, channels, height / stride, width / stride].
    """
    least_logit = _logit(min_score)
    boxes, scores, landmarks = [], [], []
    for stride in STRIDES:
        maps = outputs[f"output_{stride}"][0]
        logits = maps[SCORE_CHANNELS]
        anchor, row, column = np.nonzero(logits >= least_logit)
        centre = np.stack([column, row], axis=1).astype(np.float32) * stride
        scores.append(_sigmoid(logits[anchor, row, column]))
        distances = maps[BOX_CHANNELS].reshape(ANCHORS_PER_CELL, 4, *maps.shape[1:])[anchor, :, row, column] * stride
        boxes.append(np.concatenate([centre - distances[:, :2], centre + distances[:, 2:]], axis=1))
        if maps.shape[0] >= LANDMARK_CHANNELS.stop:
            offsets = maps[LANDMARK_CHANNELS].reshape(ANCHORS_PER_CELL, LANDMARK_COUNT, 2, *maps.shape[1:])
            landmarks.append(offsets[anchor, :, :, row, column] * stride + centre[:, None])
    faces = Faces(
        np.concatenate(boxes).astype(np.float32),
        np.concatenate(scores).astype(np.float32),
        np.concatenate(landmarks).astype(np.float32) if landmarks else None,
    )
    return faces.take(np.argsort(-faces.scores, kind="stable")[:max_candidates])


def _logit(score: float) -> np.float32:
    """The logit of a score in 0..1, infinite at both ends."""
    with np.errstate(divide="ignore"):
        return np.float32(np.log(score) - np.log1p(-score))


def _sigmoid(logits: FloatArray) -> FloatArray:
    """The scores of logits; below -80 a score is as good as 0, and its exponential would overflow."""
    return np.asarray(1 / (1 + np.exp(-np.maximum(logits, -80))), np.float32)


def suppress(faces: Faces, iou: float = NMS_IOU) -> Faces:
    """Greedy non-maximum suppression: drop every face that overlaps a better one by more than `iou`.

    `faces` come best first (as `decode` returns them), and so does the result.
    """
    x1, y1, x2, y2 = faces.boxes.T
    boxes = np.stack([x1, y1, x2, y2, (x2 - x1) * (y2 - y1)])
    kept, alive = [np.zeros(0, np.intp)], np.arange(len(faces))
    while alive.size:
        # The best few among themselves, then all others against those of them that stay: far fewer steps than one a face.
        few, others = alive[:_FEW], alive[_FEW:]
        overlap = _overlap(boxes[:, few], boxes[:, few], iou)
        gone = np.zeros(len(few), bool)
        for index in range(len(few)):
            if not gone[index]:
                gone[index + 1 :] |= overlap[index, index + 1 :]
        kept.append(few[~gone])
        alive = others[~_overlap(boxes[:, few[~gone]], boxes[:, others], iou).any(axis=0)]
    return faces.take(np.concatenate(kept))


def _overlap(one: FloatArray, other: FloatArray, iou: float) -> BoolArray:
    """Whether boxes overlap by more than `iou`, bool [n, m], of two arrays of corners and area [5, n] and [5, m]."""
    one = one[:, :, None]
    common = np.minimum(one[2], other[2])
    common -= np.maximum(one[0], other[0])
    height = np.minimum(one[3], other[3])
    height -= np.maximum(one[1], other[1])
    np.maximum(common, 0, out=common)
    common *= np.maximum(height, 0, out=height)
    union = np.add(one[4], other[4], out=height)
    union -= common
    union *= np.float32(iou)
    overlapping: BoolArray = common > union
    return overlapping


def find_faces(
    outputs: Mapping[str, FloatArray], min_score: float, iou: float = NMS_IOU, decoder: Decode = decode
) -> Faces:
    """Decode and suppress in one step; boxes without area (an untrained network makes some) are no faces."""
    faces = decoder(outputs, min_score)
    return suppress(faces.take(np.flatnonzero((faces.boxes[:, :2] < faces.boxes[:, 2:]).all(axis=1))), iou)
