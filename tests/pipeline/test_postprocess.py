"""Decoding equals a loop over all cells, and suppression keeps what non-maximum suppression must keep."""

from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facenas.graph import STRIDES, output_channels
from facenas.pipeline.faces import Faces
from facenas.pipeline.fit import Stretched, Unscaled
from facenas.pipeline.postprocess import decode, find_faces, suppress
from facenas.units import Size

WIDTH_PX, HEIGHT_PX = 96, 64


def random_outputs(seed: int, *, landmarks: bool = False, batch: int = 1) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    channels = output_channels(landmarks=landmarks)
    return {
        f"output_{s}": generator.normal(0, 2, (batch, channels, HEIGHT_PX // s, WIDTH_PX // s)).astype(np.float32)
        for s in STRIDES
    }


def literal_decode(outputs: dict[str, np.ndarray], min_score: float, index: int) -> list[tuple[list[float], ...]]:
    """Score, box and landmarks of every anchor of every cell, from the formulas of the module."""
    found = []
    for stride in STRIDES:
        maps = outputs[f"output_{stride}"][index].astype(np.float64)
        rows, columns = maps.shape[1:]
        for row in range(rows):
            for column in range(columns):
                values = maps[:, row, column]
                x, y = column * stride, row * stride
                for anchor in range(2):
                    score = 1 / (1 + exp(-values[anchor]))
                    left, top, right, bottom = values[2 + 4 * anchor : 6 + 4 * anchor] * stride
                    points = values[10 + 10 * anchor : 20 + 10 * anchor].reshape(-1, 2) * stride + [x, y]
                    if score >= min_score:
                        box = [x - left, y - top, x + right, y + bottom]
                        found.append(([score], box, points.ravel().tolist()))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("landmarks", [False, True])
@pytest.mark.parametrize("min_score", [0.02, 0.5, 0.9])
def test_decoding_equals_the_loop(landmarks: bool, min_score: float) -> None:
    outputs = random_outputs(3, landmarks=landmarks, batch=2)
    for index in range(2):
        faces = decode({name: maps[index : index + 1] for name, maps in outputs.items()}, min_score)
        expected = literal_decode(outputs, min_score, index)
        assert len(faces) == len(expected) > 0
        np.testing.assert_allclose(faces.scores, [score for (score,), _, _ in expected], rtol=1e-5)
        np.testing.assert_allclose(faces.boxes, [box for _, box, _ in expected], rtol=1e-4, atol=1e-3)
        if landmarks:
            points = np.array([points for _, _, points in expected]).reshape(-1, 5, 2)
            assert faces.landmarks is not None
            np.testing.assert_allclose(faces.landmarks, points, rtol=1e-4, atol=1e-3)
        else:
            assert faces.landmarks is None


def encode(
    cells: list[tuple[int, int, int, int]], boxes: np.ndarray, landmarks: np.ndarray, scores: np.ndarray
) -> dict[str, np.ndarray]:
    """Output maps that say: these boxes and landmarks, each at its (level, anchor, row, column), and nothing else."""
    maps = {
        f"output_{s}": np.full((1, output_channels(landmarks=True), HEIGHT_PX // s, WIDTH_PX // s), -20, np.float32)
        for s in STRIDES
    }
    for (level, anchor, row, column), (x1, y1, x2, y2), points, score in zip(
        cells, boxes, landmarks, scores, strict=True
    ):
        stride = STRIDES[level]
        x, y = column * stride, row * stride
        values = maps[f"output_{stride}"][0, :, row, column]
        values[anchor] = np.log(score / (1 - score))
        values[2 + 4 * anchor : 6 + 4 * anchor] = np.array([x - x1, y - y1, x2 - x, y2 - y]) / stride
        values[10 + 10 * anchor : 20 + 10 * anchor] = ((points - [x, y]) / stride).ravel()
    return maps


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_what_is_encoded_is_decoded(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    cells: set[tuple[int, int, int, int]] = set()
    while len(cells) < count:
        level = int(generator.integers(3))
        rows, columns = HEIGHT_PX // STRIDES[level], WIDTH_PX // STRIDES[level]
        cells.add((level, int(generator.integers(2)), int(generator.integers(rows)), int(generator.integers(columns))))
    low = generator.uniform(-10, 90, (count, 2))
    boxes = np.concatenate([low, low + generator.uniform(1, 200, (count, 2))], axis=1)
    landmarks = generator.uniform(-10, 100, (count, 5, 2))
    scores = np.sort(generator.uniform(0.1, 0.99, count))[::-1]
    faces = decode(encode(sorted(cells), boxes, landmarks, scores), 0.05)
    np.testing.assert_allclose(faces.scores, scores, rtol=1e-4)
    np.testing.assert_allclose(faces.boxes, boxes, atol=1e-3)
    assert faces.landmarks is not None
    np.testing.assert_allclose(faces.landmarks, landmarks, atol=1e-3)


def test_the_least_score_may_be_0_or_1_and_logits_as_extreme_as_they_like() -> None:
    outputs = random_outputs(0)
    outputs["output_8"][0, 0, 0, :3] = (-500.0, 500.0, np.nan)
    anchors = sum(2 * (HEIGHT_PX // s) * (WIDTH_PX // s) for s in STRIDES)
    everything = decode(outputs, 0.0)
    assert len(everything) == anchors - 1  # a score that is not a number is no face
    assert everything.scores[0] == 1.0
    assert 0 <= everything.scores[-1] < 1e-30
    assert len(decode(outputs, 1.0)) == 0


def test_candidates_are_best_first_and_limited() -> None:
    faces = decode(random_outputs(1), 0.02, max_candidates=20)
    everything = decode(random_outputs(1), 0.02)
    assert len(faces) == 20
    assert (np.diff(everything.scores) <= 0).all()
    np.testing.assert_array_equal(faces.boxes, everything.boxes[:20])


@pytest.mark.parametrize("landmarks", [False, True])
def test_no_face_gives_empty_arrays_of_the_right_shape(landmarks: bool) -> None:
    outputs = {name: np.full_like(values, -9) for name, values in random_outputs(0, landmarks=landmarks).items()}
    faces = find_faces(outputs, 0.5)
    assert (faces.boxes.shape, faces.scores.shape, faces.rows.shape) == ((0, 4), (0,), (0, 5))
    assert faces.landmarks is None or faces.landmarks.shape == (0, 5, 2)
    assert (faces.landmarks is not None) == landmarks
    assert len(faces.rescaled(Unscaled()(np.zeros((10, 10, 3), np.uint8)))) == 0


def iou_matrix(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    boxes, others = boxes.astype(np.float64), others.astype(np.float64)
    sides = np.minimum(boxes[:, None, 2:], others[None, :, 2:]) - np.maximum(boxes[:, None, :2], others[None, :, :2])
    common = np.maximum(sides, 0).prod(axis=2)
    areas = [(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes, others)]
    return np.asarray(common / (areas[0][:, None] + areas[1][None] - common))


def crowded_faces(seed: int, count: int) -> Faces:
    """Best first; boxes so close together that many overlap; coordinates in quarters, so that ties happen."""
    generator = np.random.default_rng(seed)
    low = generator.integers(0, 120, (count, 2)) / 4
    boxes = np.concatenate([low, low + generator.integers(20, 120, (count, 2)) / 4], axis=1).astype(np.float32)
    scores = np.sort(generator.integers(1, 50, count) / 50)[::-1].astype(np.float32)
    landmarks = np.arange(count * 10, dtype=np.float32).reshape(count, 5, 2)
    return Faces(boxes, scores, landmarks)


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(1, 120), st.sampled_from((0.1, 0.3, 0.45, 0.7)))
def test_suppression_keeps_the_best_and_drops_what_a_better_one_covers(seed: int, count: int, iou: float) -> None:
    faces = crowded_faces(seed, count)
    kept = suppress(faces, iou)
    assert kept.landmarks is not None
    index = (kept.landmarks[:, 0, 0] / 10).astype(int)  # the row that each kept face came from
    assert index[0] == 0
    assert (np.diff(index) > 0).all()
    np.testing.assert_array_equal(kept.boxes, faces.boxes[index])
    np.testing.assert_array_equal(kept.scores, faces.scores[index])
    among = iou_matrix(kept.boxes, kept.boxes)
    np.fill_diagonal(among, 0)
    assert (among <= iou + 1e-5).all()
    overlap = iou_matrix(faces.boxes, kept.boxes)
    for dropped in set(range(count)) - set(index.tolist()):
        assert (overlap[dropped, index < dropped] > iou - 1e-5).any()
    again = suppress(kept, iou)
    np.testing.assert_array_equal(again.boxes, kept.boxes)


def test_suppression_at_the_edges() -> None:
    faces = crowded_faces(0, 1)
    assert len(suppress(faces)) == 1
    twins = faces.take(np.array([0, 0, 0]))
    assert len(suppress(twins)) == 1
    assert len(suppress(twins, iou=1.0)) == 3
    assert len(suppress(faces.take(np.zeros(0, np.intp)))) == 0


def test_faces_come_back_in_pixels_of_the_photo_and_clipped_to_it() -> None:
    boxes = np.array([[-5, 10, 20, 30], [40, 40, 90, 70]], np.float32)
    faces = Faces(boxes, np.array([0.9, 0.8], np.float32), np.full((2, 5, 2), 12, np.float32))
    scaled = faces.rescaled(Stretched(Size(75, 25))(np.zeros((100, 150, 3), np.uint8)))
    assert scaled.boxes.tolist() == [[0, 40, 40, 100], [80, 100, 150, 100]]
    assert scaled.landmarks is not None
    assert (scaled.landmarks == [24, 48]).all()
    assert scaled.rows.shape == (2, 5)
    assert scaled.rows[:, 4].tolist() == scaled.scores.tolist()
