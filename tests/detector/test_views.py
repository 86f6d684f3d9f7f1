"""What one detector sees in several views of a photo becomes one answer."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenas.arrays import FloatArray
from facenas.data.image import Photo
from facenas.detector.views import IOU, Views, joined
from facenas.pipeline.faces import Faces, pairwise_iou

WIDTH_PX, HEIGHT_PX = 200, 100
PHOTO = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
PHOTO[:, : WIDTH_PX // 2] = 255


def faces_of(*rows: tuple[float, ...], landmarks: FloatArray | None = None) -> Faces:
    """Rows of x1 y1 x2 y2 score."""
    values = np.array(rows, np.float32).reshape(-1, 5)
    return Faces(values[:, :4], values[:, 4], landmarks)


def sees(*rows: tuple[float, ...]) -> Callable[[Photo, float], Faces]:
    return lambda photo, min_score: faces_of(*rows)


def test_a_face_that_one_of_two_views_misses_loses_half_of_its_score() -> None:
    both, one = (10, 10, 30, 30), (100, 10, 120, 30)
    answer = Views([sees((*both, 0.9), (*one, 0.8)), sees((*both, 0.7))], mirrored=False)(PHOTO, 0.05)
    np.testing.assert_allclose(answer.scores, [0.8, 0.4])
    np.testing.assert_allclose(answer.boxes, [both, one])
    assert len(Views([sees((*both, 0.9), (*one, 0.8)), sees((*both, 0.7))], mirrored=False)(PHOTO, 0.5)) == 1


def test_boxes_of_one_face_are_weighted_by_their_scores() -> None:
    answer = joined([faces_of((10, 10, 30, 30, 0.9)), faces_of((14, 10, 34, 30, 0.3))])
    np.testing.assert_allclose(answer.boxes, [[11, 10, 31, 30]])
    np.testing.assert_allclose(answer.scores, [0.6])


def test_a_view_that_finds_a_face_twice_counts_once() -> None:
    answer = joined([faces_of((10, 10, 30, 30, 0.8), (11, 10, 31, 30, 0.6)), faces_of()])
    np.testing.assert_allclose(answer.scores, [0.4])


def test_mirrored_boxes_and_landmarks_come_back_to_their_place() -> None:
    points = np.array([[[12, 14], [28, 15], [20, 20], [14, 26], [26, 27]]], np.float32)

    def detect(photo: Photo, min_score: float) -> Faces:
        if photo[0, 0, 0]:
            return faces_of((10, 10, 30, 30, 0.8), landmarks=points)
        there = points[:, [1, 0, 2, 4, 3]].copy()
        there[:, :, 0] = WIDTH_PX - there[:, :, 0]
        return faces_of((WIDTH_PX - 30, 10, WIDTH_PX - 10, 30, 0.4), landmarks=there)

    answer = Views([detect], mirrored=True)(PHOTO, 0.05)
    np.testing.assert_allclose(answer.boxes, [[10, 10, 30, 30]])
    np.testing.assert_allclose(answer.scores, [0.6])
    assert answer.landmarks is not None
    np.testing.assert_allclose(answer.landmarks, points, rtol=1e-6)


@pytest.mark.parametrize("mirrored", [False, True])
def test_nothing_seen_is_an_answer_without_faces(mirrored: bool) -> None:
    answer = Views([sees(), sees()], mirrored=mirrored)(PHOTO, 0.05)
    assert (answer.boxes.shape, answer.scores.shape) == ((0, 4), (0,))


def test_a_detector_without_landmarks_gives_none() -> None:
    answer = joined(
        [faces_of((10, 10, 30, 30, 0.8)), faces_of((10, 10, 30, 30, 0.8), landmarks=np.zeros((1, 5, 2), np.float32))]
    )
    assert answer.landmarks is None


CORNER = st.floats(0, 150)
SEEN = st.lists(
    st.tuples(CORNER, CORNER, st.floats(1, 50), st.floats(1, 50), st.floats(0.05, 1)).map(
        lambda row: (row[0], row[1], row[0] + row[2], row[1] + row[3], row[4])
    ),
    max_size=12,
)


@given(st.lists(SEEN, min_size=1, max_size=4))
def test_no_score_grows_and_each_face_is_told_once(views: list[list[tuple[float, ...]]]) -> None:
    seen = [faces_of(*sorted(rows, key=lambda row: -row[4])) for rows in views]
    answer = joined(seen)
    every = np.concatenate([faces.boxes for faces in seen])
    scores = np.concatenate([faces.scores for faces in seen])
    assert len(answer) <= len(every)
    assert (np.diff(answer.scores) <= 0).all()
    assert np.isfinite(answer.boxes).all()
    if len(every):
        assert answer.scores.max() <= scores.max() + 1e-6
        assert answer.boxes[:, :2].min() >= every[:, :2].min() - 1e-4
        assert answer.boxes[:, 2:].max() <= every[:, 2:].max() + 1e-4
        assert (pairwise_iou(every, answer.boxes).max(axis=1) > 0).all()  # nothing seen is far from what is told


@given(SEEN)
def test_one_view_of_distinct_faces_stays_as_it_is(rows: list[tuple[float, ...]]) -> None:
    faces = faces_of(*sorted(rows, key=lambda row: -row[4]))
    overlaps = pairwise_iou(faces.boxes, faces.boxes)
    np.fill_diagonal(overlaps, 0)
    if len(faces) and overlaps.max() > IOU:
        return
    answer = joined([faces])
    np.testing.assert_allclose(answer.boxes, faces.boxes, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(answer.scores, faces.scores, rtol=1e-6)
