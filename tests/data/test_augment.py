"""Samples: labels stay on the pixels they name, whatever the crop, and everything follows from the generator."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facenas.arrays import BoolArray, FloatArray
from facenas.data.augment import Sample, augment, flip
from facenas.data.labels import Labels

NO_LANDMARKS = np.zeros((1, 5, 3), dtype=np.float32)
FACE = np.array([False])


def floats(values: object) -> FloatArray:
    return np.array(values, dtype=np.float32)


def sample(
    image: NDArray[np.uint8],
    boxes: FloatArray,
    seed: int,
    scales: tuple[float, ...],
    landmarks: FloatArray | None = None,
    ignore: BoolArray | None = None,
    size_px: int = 128,
) -> Sample:
    count = len(boxes)
    return augment(
        image,
        Labels(
            boxes,
            np.zeros((count, 5, 3), np.float32) if landmarks is None else landmarks,
            np.zeros(count, bool) if ignore is None else ignore,
        ),
        size_px,
        np.random.default_rng(seed),
        scales,
    )


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from([0.3, 0.5, 0.77, 1.0, 1.31, 2.0]), st.integers(150, 300))
def test_boxes_stay_on_their_pixels(seed: int, scale: float, width: int) -> None:
    """A bright square on dark ground: where the sample is bright is where its box must be."""
    image = np.full((200, width, 3), 40, dtype=np.uint8)
    x, y = 60 + seed % 30, 50 + seed % 70
    image[y : y + 40, x : x + 50] = 220
    result = sample(image, floats([[x, y, x + 50, y + 40]]), seed, (scale,))
    assert (result.image.shape, result.image.dtype) == ((128, 128, 3), np.dtype("u1"))
    grey = result.image.mean(axis=2)
    assert len(result.labels.boxes) == 1  # the crop is drawn to hold the face's centre
    x1, y1, x2, y2 = result.labels.boxes[0]
    inside = np.zeros((128, 128), bool)
    inside[int(np.ceil(y1)) + 2 : int(y2) - 2, int(np.ceil(x1)) + 2 : int(x2) - 2] = True
    outside = np.ones((128, 128), bool)
    outside[max(int(y1) - 3, 0) : int(y2) + 4, max(int(x1) - 3, 0) : int(x2) + 4] = False
    if inside.any() and outside.any():
        assert grey[inside].min() > np.percentile(grey[outside], 98)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 12))
def test_labels_are_inside_the_sample_and_of_their_types(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-20, 250, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 120, (count, 2))], axis=1).astype(np.float32)
    landmarks = rng.uniform(0, 250, (count, 5, 3)).astype(np.float32)
    landmarks[:, :, 2] = rng.random((count, 5)) < 0.5
    ignore = rng.random(count) < 0.3
    image = rng.integers(0, 255, (180, 240, 3), dtype=np.uint8)
    result = sample(image, boxes, seed, (0.3, 1.0, 2.0), landmarks, ignore)
    assert (result.labels.boxes.dtype, result.labels.landmarks.dtype, result.labels.ignore.dtype) == (
        np.dtype("f4"),
        np.dtype("f4"),
        np.dtype(bool),
    )
    assert len(result.labels.boxes) == len(result.labels.landmarks) == len(result.labels.ignore) <= count
    assert ((result.labels.boxes >= 0) & (result.labels.boxes <= 128)).all()
    assert (result.labels.boxes[:, 2:] > result.labels.boxes[:, :2]).all()
    assert set(np.unique(result.labels.landmarks[:, :, 2])) <= {0, 1}
    assert not result.labels.landmarks[result.labels.landmarks[:, :, 2] == 0].any()
    sides = result.labels.boxes[:, 2:] - result.labels.boxes[:, :2]
    assert (np.sqrt(sides.prod(axis=1))[~result.labels.ignore] >= 3).all()


def test_equal_generators_give_equal_bytes() -> None:
    image = np.random.default_rng(1).integers(0, 255, (150, 200, 3), dtype=np.uint8)
    boxes = floats([[50, 40, 90, 100]])
    for seed in range(30):
        first, second = (sample(image, boxes, seed, (0.5, 1.0, 1.5)) for _ in range(2))
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.labels.boxes, second.labels.boxes)
    assert (sample(image, boxes, 1, (1.0,)).image != sample(image, boxes, 2, (1.0,)).image).any()


def test_a_face_cut_by_half_or_tiny_becomes_an_ignore_box() -> None:
    image = np.full((100, 100, 3), 90, dtype=np.uint8)
    cut = [sample(image, floats([[40, 40, 60, 60], [0, 30, 70, 70]]), seed, (0.3,)) for seed in range(40)]
    assert any(result.labels.ignore.any() for result in cut)
    tiny = sample(image, floats([[50, 50, 54, 54]]), 0, (2.0,))  # 4 px shrinks to 2.6
    assert tiny.labels.ignore.tolist() == [True]
    marked = sample(image, floats([[20, 20, 80, 80]]), 0, (1.0,), ignore=np.array([True]))
    assert marked.labels.ignore.tolist() == [True]


def test_flip_swaps_left_and_right() -> None:
    points = [[10, 20, 1], [30, 21, 1], [20, 30, 1], [12, 40, 1], [0, 0, 0]]
    original = Sample(
        np.arange(64 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(64, 64, 3),
        Labels(floats([[5, 10, 35, 50]]), floats([points]), FACE),
    )
    flipped = flip(original)
    assert flipped.labels.boxes.tolist() == [[29, 10, 59, 50]]
    assert flipped.labels.landmarks[0].tolist() == [[34, 21, 1], [54, 20, 1], [44, 30, 1], [0, 0, 0], [52, 40, 1]]
    np.testing.assert_array_equal(flipped.image, original.image[:, ::-1])
    np.testing.assert_array_equal(flip(flipped).labels.landmarks, original.labels.landmarks)


def test_beyond_the_photo_is_black() -> None:
    image = np.full((100, 100, 3), 200, dtype=np.uint8)
    result = sample(image, np.zeros((0, 4), np.float32), 0, (2.0,))
    black = (result.image == 0).all(axis=2).mean()
    assert black == pytest.approx(0.75, abs=0.02)


def test_a_photo_of_one_pixel_works() -> None:
    assert sample(np.full((1, 1, 3), 9, np.uint8), np.zeros((0, 4), np.float32), 0, (0.3,)).image.shape == (128, 128, 3)
