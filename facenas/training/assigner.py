"""Which cells learn which face: adaptive training sample selection (ATSS, CVPR 2020), in numpy, run by the loader.

For every face: the `CANDIDATES` anchors per level whose centres are nearest; the face's threshold is the mean plus the
standard deviation of their IoUs; candidates above it whose centre lies inside the face become its positives. A cell
wanted by several faces goes to the one with the larger IoU. A face that no centre lies in (smaller than a cell) gets the
nearest cell's smaller anchor, so that no labelled face is background.
"""

from functools import lru_cache

import numpy as np

from facenas.arrays import BoolArray, FloatArray, IndexArray, IntArray
from facenas.graph import ANCHORS_PER_CELL, STRIDES

ANCHOR_BASE_SIZES_PX = (16, 64, 256)
CANDIDATES = 9
BACKGROUND = -1
IGNORED = -2


@lru_cache(maxsize=8)
def anchor_centres(size_px: int) -> FloatArray:
    """float32 [cells, 2]: centres x, y in pixels of all cells of a square input, finest level first, row by row."""
    levels = []
    for stride in STRIDES:
        side = np.arange(size_px // stride, dtype=np.float32) * stride
        rows, columns = np.meshgrid(side, side, indexing="ij")
        levels.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
    return np.concatenate(levels)


@lru_cache(maxsize=8)
def anchor_boxes(size_px: int) -> FloatArray:
    """float32 [anchors, cells, 4]: anchor boxes x1 y1 x2 y2; anchor a has the side base * 2^a of its level."""
    centres = anchor_centres(size_px)
    counts = [(size_px // stride) ** 2 for stride in STRIDES]
    sides = np.repeat(np.array(ANCHOR_BASE_SIZES_PX, np.float32), counts)
    halves = np.stack([sides * 2**anchor / 2 for anchor in range(ANCHORS_PER_CELL)])[:, :, None]
    return np.concatenate([centres - halves, centres + halves], axis=-1)


def assign(boxes: FloatArray, ignore: BoolArray, size_px: int) -> IntArray:
    """int64 [anchors, cells]: the index of the face that each anchor learns, BACKGROUND or IGNORED.

    `boxes` float32 [n, 4] x1 y1 x2 y2 in pixels of the square input; anchors that learn no face and whose centre lies
    in an `ignore` box are IGNORED.
    """
    centres = anchor_centres(size_px)
    assigned = np.full((ANCHORS_PER_CELL, len(centres)), BACKGROUND, np.int64)
    if ignore.any():
        assigned[:, _inside(centres, boxes[ignore]).any(axis=0)] = IGNORED
    faces = np.flatnonzero(~ignore)
    if not faces.size:
        return assigned
    face_boxes = boxes[faces]
    middle = (face_boxes[:, :2] + face_boxes[:, 2:]) / 2
    distance = np.square(middle[:, :1] - centres[:, 0]) + np.square(middle[:, 1:] - centres[:, 1])
    cells = _nearest_cells(distance, size_px)
    overlap = _iou(face_boxes[:, None, None], anchor_boxes(size_px)[:, cells].swapaxes(0, 1))
    flat = overlap.reshape(len(faces), -1)
    threshold = (flat.mean(axis=1) + flat.std(axis=1))[:, None, None]
    inside = np.take_along_axis(_inside(centres, face_boxes), cells, axis=1)
    face, anchor, candidate = np.nonzero((overlap >= threshold) & inside[:, None])
    cell, score = cells[face, candidate], overlap[face, anchor, candidate]
    lone = np.setdiff1d(np.arange(len(faces)), face)
    if lone.size:
        nearest = distance[lone].argmin(axis=1)
        face, cell = np.concatenate([face, lone]), np.concatenate([cell, nearest])
        anchor = np.concatenate([anchor, np.zeros_like(lone)])
        score = np.concatenate([score, _iou(face_boxes[lone], anchor_boxes(size_px)[0, nearest])])
    # The last of several writes to a cell stays: that of the largest overlap, of equal ones the first face's.
    order = np.lexsort((-face, score))
    assigned[anchor[order], cell[order]] = faces[face[order]]
    return assigned


def _nearest_cells(distance: FloatArray, size_px: int) -> IndexArray:
    """[n, candidates]: for every face the nearest cells of each level."""
    start, chosen = 0, []
    for stride in STRIDES:
        cells = (size_px // stride) ** 2
        # ATSS takes k anchors a level; with the anchors of a cell sharing its centre that is k / anchors cells.
        count = min(cells, -(-CANDIDATES // ANCHORS_PER_CELL))
        level = distance[:, start : start + cells]
        chosen.append(np.argpartition(level, count - 1, axis=1)[:, :count] + start)
        start += cells
    return np.concatenate(chosen, axis=1)


def _inside(centres: FloatArray, boxes: FloatArray) -> BoolArray:
    """[n, cells]: whether a centre lies inside a box."""
    x, y = centres.T
    x1, y1, x2, y2 = boxes.T[:, :, None]
    return np.asarray((x > x1) & (x < x2) & (y > y1) & (y < y2))


def _iou(boxes: FloatArray, anchors: FloatArray) -> FloatArray:
    """float32 [...]: overlap of every box [..., 4] with its anchor [..., 4]."""
    width = np.minimum(boxes[..., 2], anchors[..., 2]) - np.maximum(boxes[..., 0], anchors[..., 0])
    height = np.minimum(boxes[..., 3], anchors[..., 3]) - np.maximum(boxes[..., 1], anchors[..., 1])
    common = np.maximum(width, 0) * np.maximum(height, 0)
    return np.asarray(common / (_area(boxes) + _area(anchors) - common), np.float32)


def _area(boxes: FloatArray) -> FloatArray:
    return np.asarray((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))
