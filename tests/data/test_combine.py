"""Mosaics and pasted faces: the labels follow the pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenas.data.annotations import LabelledPhoto
from facenas.data.augment import Sample
from facenas.data.combine import PASTED_PX, mosaic, paste_faces
from facenas.data.labels import Labels

GREEN, GREY = (0, 255, 0), (90, 90, 90)


def plain(size_px: int, boxes: list[list[int]], colour: tuple[int, int, int] = GREY) -> Sample:
    """A grey sample with green boxes, their first landmark in the middle."""
    image = np.full((size_px, size_px, 3), colour, np.uint8)
    landmarks = np.zeros((len(boxes), 5, 3), np.float32)
    for index, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2] = GREEN
        landmarks[index, 0] = (x1 + x2) / 2, (y1 + y2) / 2, 1
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Sample(image, Labels(array, landmarks, np.zeros(len(boxes), bool)))


def photo_of(sample: Sample) -> LabelledPhoto:
    from pathlib import Path

    side = sample.image.shape[0]
    return LabelledPhoto(Path("donor.jpg"), side, side, sample.labels)


def test_a_mosaic_holds_all_four_with_their_faces() -> None:
    parts = [
        plain(32, [[4, 4, 12, 16]]),
        plain(32, []),
        plain(32, [[0, 0, 8, 8], [16, 16, 32, 32]]),
        plain(32, [[8, 8, 24, 24]]),
    ]
    whole = mosaic(parts)
    assert whole.image.shape == (64, 64, 3)
    assert whole.labels.boxes.tolist() == [[4, 4, 12, 16], [0, 32, 8, 40], [16, 48, 32, 64], [40, 40, 56, 56]]
    for (x1, y1, x2, y2), points in zip(whole.labels.boxes.astype(int), whole.labels.landmarks, strict=True):
        assert (whole.image[y1:y2, x1:x2] == GREEN).all()
        assert points[0].tolist() == [(x1 + x2) / 2, (y1 + y2) / 2, 1]
        assert not points[1:].any()
    green = (whole.image == GREEN).all(axis=2).sum()
    assert green == sum((part.image == GREEN).all(axis=2).sum() for part in parts)


@given(st.integers(0, 2**32 - 1))
def test_pasted_faces_lie_where_their_boxes_say(seed: int) -> None:
    donor, sample = plain(300, [[100, 80, 180, 190]]), plain(128, [[10, 10, 60, 60]])
    pasted = paste_faces(sample, donor.image, photo_of(donor), 5, np.random.default_rng(seed))
    assert pasted.labels.boxes[0].tolist() == [10, 10, 60, 60]
    assert 2 <= len(pasted.labels.boxes) <= 6
    np.testing.assert_array_equal(pasted.image[10:60, 10:60], sample.image[10:60, 10:60])
    for box, points in zip(pasted.labels.boxes[1:], pasted.labels.landmarks[1:], strict=True):
        side = np.sqrt((box[2:] - box[:2]).prod())
        assert 0.8 * PASTED_PX[0] < side < 1.2 * PASTED_PX[1]
        x, y = ((box[:2] + box[2:]) / 2).astype(int)
        assert pasted.image[y, x, 1] > 200
        assert pasted.image[y, x, 0] < 60
        np.testing.assert_allclose(points[0], [*(box[:2] + box[2:]) / 2, 1], atol=0.01)
        assert ((box >= 0) & (box <= 128)).all()
    low = np.maximum(pasted.labels.boxes[:, None, :2], pasted.labels.boxes[None, :, :2])
    high = np.minimum(pasted.labels.boxes[:, None, 2:], pasted.labels.boxes[None, :, 2:])
    assert (((high - low) > 0).all(axis=2) == np.eye(len(pasted.labels.boxes), dtype=bool)).all()


@pytest.mark.parametrize("boxes", [[], [[5, 5, 20, 20]]], ids=["no face", "too small a face"])
def test_a_photo_without_a_face_to_shrink_changes_nothing(boxes: list[list[int]]) -> None:
    donor, sample = plain(100, boxes), plain(64, [])
    assert paste_faces(sample, donor.image, photo_of(donor), 3, np.random.default_rng(0)) is sample
