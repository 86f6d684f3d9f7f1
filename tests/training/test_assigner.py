"""Targets: a literal ATSS gives the same, every face is learnt somewhere, ignored regions are neither face nor background."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenas.arrays import BoolArray, Float64Array, FloatArray, IntArray
from facenas.training.assigner import BACKGROUND, IGNORED, anchor_boxes, anchor_centres, assign

SIZE_PX = 128
CELLS = 16 * 16 + 8 * 8 + 4 * 4


def no_ignore(boxes: FloatArray) -> BoolArray:
    return np.zeros(len(boxes), bool)


def random_boxes(seed: int, count: int, least_px: float = 1.0, most_px: float = 120.0) -> FloatArray:
    """Boxes of all sizes, log-uniformly, with their centres in the input."""
    generator = np.random.default_rng(seed)
    sides = np.exp(generator.uniform(np.log(least_px), np.log(most_px), (count, 2)))
    centres = generator.uniform(0, SIZE_PX, (count, 2))
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=1).astype(np.float32)


def test_the_centres_are_the_decoders() -> None:
    """Cell (row, column) of stride s at (column s, row s), finest level first, row by row."""
    expected = [(column * s, row * s) for s in (8, 16, 32) for row in range(128 // s) for column in range(128 // s)]
    assert anchor_centres(SIZE_PX).tolist() == [list(map(float, centre)) for centre in expected]


def test_two_square_anchors_a_cell() -> None:
    anchors = anchor_boxes(SIZE_PX)
    assert anchors.shape == (2, CELLS, 4)
    sides = anchors[..., 2:] - anchors[..., :2]
    for cell, side in ((0, 16), (256, 64), (320, 256)):
        assert sides[0, cell].tolist() == [side, side]
        assert sides[1, cell].tolist() == [2 * side, 2 * side]
    np.testing.assert_array_equal((anchors[..., 2:] + anchors[..., :2]) / 2, np.stack([anchor_centres(SIZE_PX)] * 2))


def literal_atss(boxes: FloatArray) -> IntArray:
    """ATSS face by face, level by level, anchor by anchor, in double precision; faces without a positive get none."""
    anchors = [(anchor, cell) for cell in range(CELLS) for anchor in range(2)]
    centres, rectangles = anchor_centres(SIZE_PX).astype(float), anchor_boxes(SIZE_PX).astype(float)
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for face, box in enumerate(boxes.astype(float)):
        middle = (box[:2] + box[2:]) / 2
        candidates: list[tuple[int, int]] = []
        start = 0
        for stride in (8, 16, 32):
            cells = range(start, start + (SIZE_PX // stride) ** 2)
            nearest = sorted(cells, key=lambda cell: float(np.hypot(*(centres[cell] - middle))))[:5]
            candidates += [(anchor, cell) for anchor, cell in anchors if cell in nearest]
            start = cells.stop
        overlaps = [literal_iou(box, rectangles[anchor, cell]) for anchor, cell in candidates]
        threshold = float(np.mean(overlaps) + np.std(overlaps))
        for (anchor, cell), overlap in zip(candidates, overlaps, strict=True):
            inside = bool((centres[cell] > box[:2]).all() and (centres[cell] < box[2:]).all())
            if overlap >= threshold and inside and overlap > best.get((anchor, cell), (0.0, -1))[0]:
                best[anchor, cell] = (overlap, face)
    assigned = np.full((2, CELLS), BACKGROUND, np.int64)
    for (anchor, cell), (_, face) in best.items():
        assigned[anchor, cell] = face
    return assigned


def literal_iou(a: Float64Array, b: Float64Array) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(0.0, width) * max(0.0, height)
    return float(common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common))


@pytest.mark.parametrize("seed", range(6))
def test_it_equals_a_literal_atss(seed: int) -> None:
    """Faces of 24 pixels and more, which always hold the centre of a cell; several of them overlap."""
    boxes = random_boxes(seed, 5, least_px=24)
    np.testing.assert_array_equal(assign(boxes, no_ignore(boxes), SIZE_PX), literal_atss(boxes))


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_every_face_is_learnt_except_where_others_took_its_cells(seed: int, count: int) -> None:
    boxes = random_boxes(seed, count)
    assigned = assign(boxes, no_ignore(boxes), SIZE_PX)
    assert assigned.min() >= BACKGROUND
    lost = set(range(count)) - set(assigned.ravel().tolist())
    for face in lost:
        # What the face would have learnt from, had it been alone, all went to others.
        alone = assign(boxes[[face]], no_ignore(boxes[[face]]), SIZE_PX) == 0
        assert alone.any()
        assert (assigned[alone] >= 0).all()


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 120.0))
def test_a_lone_face_of_any_size_is_learnt(seed: int, side_px: float) -> None:
    x, y = np.random.default_rng(seed).uniform(0, SIZE_PX, 2)
    box = np.array([[x, y, x, y]]) + np.array([-0.5, -0.5, 0.5, 0.5]) * side_px
    boxes = box.astype(np.float32)
    assigned = assign(boxes, no_ignore(boxes), SIZE_PX)
    anchors, cells = np.nonzero(assigned == 0)
    assert len(cells) > 0
    centres = anchor_centres(SIZE_PX)
    inside = np.all((centres > boxes[0, :2]) & (centres < boxes[0, 2:]), axis=1)
    if inside[:256].any():
        assert inside[cells].all()
    else:
        # Too small to hold a centre: the nearest cell of all, with its smaller anchor.
        assert anchors.tolist() == [0]
        distance = np.square(centres - (boxes[0, :2] + boxes[0, 2:]) / 2).sum(axis=1)
        assert distance[cells[0]] == distance.min()


def test_two_tiny_faces_in_different_cells_are_both_learnt() -> None:
    boxes = np.array([[11, 11, 12, 12], [27, 11, 28, 12]], np.float32)
    assert set(assign(boxes, no_ignore(boxes), SIZE_PX).ravel().tolist()) == {BACKGROUND, 0, 1}


def test_a_cell_that_two_faces_want_goes_to_the_larger_overlap() -> None:
    boxes = np.array([[30, 30, 70, 70], [36, 36, 60, 60]], np.float32)
    both = assign(boxes, no_ignore(boxes), SIZE_PX)
    alone = [assign(boxes[[i]], no_ignore(boxes[[i]]), SIZE_PX) == 0 for i in range(2)]
    contested = alone[0] & alone[1]
    assert contested.any()
    anchors = anchor_boxes(SIZE_PX).astype(float)
    for anchor, cell in zip(*np.nonzero(contested), strict=True):
        overlaps = [literal_iou(box, anchors[anchor, cell]) for box in boxes.astype(float)]
        assert both[anchor, cell] == int(np.argmax(overlaps))


@given(st.integers(0, 2**32 - 1), st.integers(0, 6), st.integers(1, 6))
def test_ignored_regions_are_neither_faces_nor_background(seed: int, faces: int, regions: int) -> None:
    boxes = random_boxes(seed, faces + regions)
    ignore = np.random.default_rng(seed).permutation(np.arange(faces + regions) >= faces)
    assigned = assign(boxes, ignore, SIZE_PX)
    only_faces = assign(boxes[~ignore], np.zeros(faces, bool), SIZE_PX)
    assert not np.isin(assigned, np.flatnonzero(ignore)).any()
    number = np.append(np.flatnonzero(~ignore), [BACKGROUND])  # -1 stays -1
    positive = only_faces >= 0
    np.testing.assert_array_equal(assigned[positive], number[only_faces[positive]])
    centres = anchor_centres(SIZE_PX)
    inside = np.zeros(CELLS, bool)
    for x1, y1, x2, y2 in boxes[ignore]:
        inside |= (centres[:, 0] > x1) & (centres[:, 0] < x2) & (centres[:, 1] > y1) & (centres[:, 1] < y2)
    expected = np.where(inside, IGNORED, BACKGROUND)
    for anchor in range(2):
        rest = ~positive[anchor]
        np.testing.assert_array_equal(assigned[anchor][rest], expected[rest])


def test_no_face_at_all() -> None:
    nothing = assign(np.zeros((0, 4), np.float32), np.zeros(0, bool), 64)
    assert nothing.shape == (2, 84)
    assert (nothing == BACKGROUND).all()
