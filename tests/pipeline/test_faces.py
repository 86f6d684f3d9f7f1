"""Faces as people use them: one by one, in words, drawn."""

import numpy as np
import pytest

from facenas.pipeline.faces import Faces

BOXES = np.array([[10, 12, 40, 52], [60, 8.4, 80, 30], [0, 0, 5, 5], [1, 1, 5, 5]], np.float32)
SCORES = np.array([0.98, 0.5, 0.4, 0.3], np.float32)
FACES = Faces(BOXES, SCORES, np.arange(40, dtype=np.float32).reshape(4, 5, 2))


def some(count: int) -> Faces:
    return FACES.take(np.arange(count))


def test_they_are_gone_through_best_first() -> None:
    faces = list(FACES)
    assert FACES.landmarks is not None
    assert [face.score for face in faces] == pytest.approx(SCORES.tolist())
    for index, face in enumerate(faces):
        np.testing.assert_array_equal(face.box, BOXES[index])
        assert face.landmarks is not None
        np.testing.assert_array_equal(face.landmarks, FACES.landmarks[index])
    assert FACES[-1].score == pytest.approx(0.3)
    with pytest.raises(IndexError):
        FACES[4]


def test_without_landmarks_a_face_has_none() -> None:
    assert [face.landmarks for face in Faces(BOXES, SCORES, None)] == [None] * 4


def test_they_say_what_they_are_in_a_line() -> None:
    assert repr(some(0)) == "<0 faces>"
    assert repr(some(1)) == "<1 face: <Face 0.98 at 10,12 to 40,52>>"
    assert repr(some(2)) == "<2 faces: <Face 0.98 at 10,12 to 40,52> <Face 0.50 at 60,8 to 80,30>>"
    assert repr(FACES).endswith("and 1 more>")


def test_a_notebook_shows_a_row_for_each() -> None:
    html = FACES._repr_html_()
    assert html.count("<tr>") == 1 + 4
    assert "<td>1</td><td>0.98</td><td>10</td><td>12</td><td>40</td><td>52</td>" in html


def test_drawing_leaves_the_photo_as_it_is() -> None:
    photo = np.zeros((64, 96, 3), np.uint8)
    drawn = some(1).draw(photo, missed=BOXES[1:2])
    assert drawn.shape == photo.shape
    assert drawn.dtype == np.uint8
    assert photo.max() == 0
    green, red = drawn[20, 10], drawn[20, 60]  # on the left side of either box
    assert green[1] > 100 > green[0]
    assert red[0] > 100 > red[1]


def test_a_tiny_face_on_a_large_photo_is_framed_and_not_hidden() -> None:
    photo = np.zeros((1500, 2400, 3), np.uint8)
    box = np.array([[1000, 700, 1012, 714]], np.float32)
    middle = np.full((1, 5, 2), (1006, 707), np.float32)
    drawn = Faces(box, SCORES[:1], middle).draw(photo)
    assert drawn[707, 1000].any()
    assert not drawn[703:712, 1003:1010].any()
