"""The output maps of published detectors, decoded: each family's own convention, all into faces.

A decoder takes the outputs in the file's order and the input's size, and returns all candidates, in no order and in pixels of
the network's input, with the five landmarks where the file gives them.
"""

from collections.abc import Callable, Sequence

import numpy as np

from facenas.arrays import FloatArray
from facenas.graph import LANDMARK_COUNT
from facenas.pipeline.faces import Faces
from facenas.units import Size

Decoder = Callable[[Sequence[FloatArray], Size], Faces]

_STRIDES = (8, 16, 32)
_LEVELS = len(_STRIDES)


def decode_scrfd(outputs: Sequence[FloatArray], size: Size) -> Faces:
    """SCRFD: three levels of scores, then of distances left-top-right-bottom in strides, then perhaps of landmarks; two
    anchors a cell, both centred on the cell's corner (x s, y s)."""
    boxes, scores = [], []
    for level, stride in enumerate(_STRIDES):
        distance = outputs[level + _LEVELS].reshape(-1, 4) * stride
        centre = _cells(size, stride, anchors=2) * stride
        boxes.append(np.concatenate([centre - distance[:, :2], centre + distance[:, 2:]], axis=1))
        scores.append(outputs[level].reshape(-1))
    return Faces(np.concatenate(boxes), np.concatenate(scores), _points(outputs[2 * _LEVELS :], size, anchors=2))


def decode_yunet(outputs: Sequence[FloatArray], size: Size) -> Faces:
    """YuNet: three levels each of class and object scores, whose geometric mean counts, of boxes (the centre's offset from
    the cell's corner, and the logarithm of width and height, in strides), and perhaps of landmarks."""
    classes, objects, offsets = (outputs[start : start + _LEVELS] for start in (0, 3, 6))
    boxes, scores = [], []
    for stride, class_score, object_score, offset in zip(_STRIDES, classes, objects, offsets, strict=True):
        box = offset.reshape(-1, 4)
        centre = (_cells(size, stride) + box[:, :2]) * stride
        boxes.append(_around(centre, np.exp(box[:, 2:]) * stride))
        scores.append(np.sqrt(np.clip(class_score, 0, 1) * np.clip(object_score, 0, 1)).reshape(-1))
    return Faces(np.concatenate(boxes), np.concatenate(scores), _points(outputs[3 * _LEVELS :], size, anchors=1))


def decode_retinaface(outputs: Sequence[FloatArray], size: Size) -> Faces:
    """RetinaFace: per prior four box values, two class logits, ten landmark values. Priors of 16 and 32, 64 and 128, 256
    and 512 px around the cells' middles; a box is the prior moved by 0.1 of its side, and scaled by exp(0.2 value)."""
    rows = outputs[0].reshape(-1, 16)
    middles, sides = [], []
    for stride, pair in zip(_STRIDES, ((16, 32), (64, 128), (256, 512)), strict=True):
        cells = (_cells(size, stride, anchors=2) + 0.5) * stride
        middles.append(cells)
        sides.append(np.tile(np.array(pair, np.float32), len(cells) // 2)[:, None])
    middle, side = np.concatenate(middles), np.concatenate(sides)
    centre = middle + rows[:, :2] * 0.1 * side
    margin = rows[:, 5] - rows[:, 4]
    points = middle[:, None] + rows[:, 6:].reshape(-1, LANDMARK_COUNT, 2) * 0.1 * side[:, None]
    boxes = _around(centre, np.exp(rows[:, 2:4] * 0.2) * side)
    return Faces(boxes, (1 / (1 + np.exp(-margin))).astype(np.float32), points)


def decode_ultra(outputs: Sequence[FloatArray], size: Size) -> Faces:
    """Ultra-Light: per prior two class scores, and the corners as shares of width and height; the file has decoded them."""
    scores, corners = outputs[0].reshape(-1, 2), outputs[1].reshape(-1, 4)
    sides = np.array([size.width_px, size.height_px] * 2, np.float32)
    return Faces(corners * sides, scores[:, 1], None)


def _points(levels: Sequence[FloatArray], size: Size, anchors: int) -> FloatArray | None:
    """float32 [n, 5, 2]: landmarks of three levels, offsets from the cells' corners in strides; None where there are none."""
    if not levels:
        return None
    points = [
        (_cells(size, stride, anchors)[:, None] + level.reshape(-1, LANDMARK_COUNT, 2)) * stride
        for stride, level in zip(_STRIDES, levels, strict=True)
    ]
    return np.concatenate(points).astype(np.float32)


def _cells(size: Size, stride: int, anchors: int = 1) -> FloatArray:
    """Column and row of every cell, row by row, each `anchors` times in succession: float32 [n, 2]."""
    columns, rows = -(-size.width_px // stride), -(-size.height_px // stride)
    row, column = np.divmod(np.arange(columns * rows).repeat(anchors), columns)
    return np.stack([column, row], axis=1).astype(np.float32)


def _around(centre: FloatArray, sides: FloatArray) -> FloatArray:
    """Boxes of `sides` [n, 2] around centres [n, 2]."""
    return np.concatenate([centre - sides / 2, centre + sides / 2], axis=1).astype(np.float32)
