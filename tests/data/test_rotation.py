"""Turned samples: boxes and points stay on what they name."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from facenas.data.augment import Sample
from facenas.data.labels import Labels
from facenas.data.rotation import rotate

SIDE = 128


def drawn(x: float, y: float, a: float, b: float, *, ignore: bool = False) -> Sample:
    """A bright ellipse on black, its box, and a landmark at its middle."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    image[np.square((columns - x) / a) + np.square((rows - y) / b) <= 1] = 255
    points = np.zeros((1, 5, 3), np.float32)
    points[0, 0] = x, y, 1
    box = np.array([[x - a, y - b, x + a, y + b]], np.float32)
    return Sample(image, Labels(box, points, np.array([ignore])))


@settings(deadline=None, max_examples=60)
@given(st.floats(40, 88), st.floats(40, 88), st.floats(8, 20), st.floats(8, 20), st.floats(-180, 180))
def test_box_and_landmark_stay_on_the_face(x: float, y: float, a: float, b: float, degrees: float) -> None:
    turned = rotate(drawn(x, y, a, b), degrees)
    bright = np.argwhere(turned.image[:, :, 0] > 127)
    top, left = bright.min(axis=0)
    bottom, right = bright.max(axis=0) + 1
    np.testing.assert_allclose(turned.labels.boxes[0], (left, top, right, bottom), atol=1.6)
    np.testing.assert_allclose(turned.labels.landmarks[0, 0, :2], bright[:, ::-1].mean(axis=0) + 0.5, atol=0.6)
    assert not turned.labels.ignore[0]


def test_nothing_changes_without_a_turn_and_a_whole_turn_comes_back() -> None:
    sample = drawn(50, 60, 9, 14)
    for degrees in (0.0, 360.0):
        turned = rotate(sample, degrees)
        assert np.abs(turned.image.astype(int) - sample.image).mean() < 0.1
        np.testing.assert_allclose(turned.labels.boxes, sample.labels.boxes, atol=1e-3)
        np.testing.assert_allclose(turned.labels.landmarks, sample.labels.landmarks, atol=1e-3)


def test_a_face_that_is_turned_out_of_the_sample_is_ignored_or_gone() -> None:
    half_out = rotate(drawn(10, 10, 30, 30), 45).labels
    assert half_out.ignore.all()
    assert not len(rotate(drawn(4, 4, 3, 3), 45).labels)


def test_an_ignored_box_is_covered_whole() -> None:
    sample = drawn(64, 64, 20, 20, ignore=True)
    assert np.allclose(rotate(sample, 45).labels.boxes[0], 64 + 20 * np.sqrt(2) * np.array([-1, -1, 1, 1]), atol=1e-3)
    square = np.zeros((SIDE, SIDE, 3), np.uint8)
    cv2.rectangle(square, (44, 44), (83, 83), (255, 255, 255), -1)
    turned = rotate(Sample(square, sample.labels), 30)
    rows, columns = np.nonzero(turned.image[:, :, 0] > 127)
    left, top, right, bottom = turned.labels.boxes[0]
    assert left <= columns.min() + 1
    assert top <= rows.min() + 1
    assert right >= columns.max()
    assert bottom >= rows.max()
