"""Landmark errors: by hand, by size, and in what `evaluate` tells."""

from pathlib import Path

import numpy as np
import pytest

from facenas.arrays import FloatArray
from facenas.data.image import Photo, read_image
from facenas.data.synthetic import write_synthetic_set
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.evaluation.landmark_error import face_errors, landmark_error
from facenas.evaluation.protocols import evaluate
from facenas.pipeline.faces import Faces

BOXES: FloatArray = np.array([[0, 0, 20, 20], [100, 100, 180, 180]], np.float32)
POINTS: FloatArray = np.concatenate([np.repeat(BOXES[:, None, :2] + 5, 5, axis=1), np.ones((2, 5, 1))], 2).astype(
    np.float32
)


def found(shift_px: float, scores: tuple[float, float] = (0.9, 0.9)) -> Faces:
    return Faces(BOXES, np.array(scores, np.float32), POINTS[:, :, :2] + np.array([shift_px, 0], np.float32))


def test_the_error_is_a_share_of_the_size() -> None:
    errors = face_errors(found(2.0), BOXES, POINTS, (640, 480))
    np.testing.assert_allclose(errors, [[20, 2 / 20], [80, 2 / 80]], rtol=1e-6)
    told = landmark_error([errors, errors])
    assert told is not None
    assert told.faces == 4
    assert told.mean == pytest.approx((0.1 + 0.025) / 2)
    assert told.by_size == {"0-6 px": None, "6-12 px": None, "12-24 px": 0.1, "24-48 px": None, "48 px and more": 0.025}


def test_points_that_are_not_known_and_faces_that_are_not_found_do_not_count() -> None:
    points = POINTS.copy()
    points[0, 2:] = 0  # unknown, at the photo's corner
    errors = face_errors(found(2.0, (0.9, 0.1)), BOXES, points, (640, 480))
    np.testing.assert_allclose(errors, [[20, 2 / 20]], rtol=1e-6)
    points[0] = 0
    assert not len(face_errors(found(2.0, (0.9, 0.1)), BOXES, points, (640, 480)))
    assert not len(face_errors(Faces(BOXES, np.ones(2, np.float32), None), BOXES, POINTS, (640, 480)))
    assert landmark_error([]) is None


def test_evaluate_tells_it(tmp_path: Path) -> None:
    """A detector that reads the labels and moves every point by 3 pixels."""
    write_synthetic_set(tmp_path, 3, width_px=320, height_px=240)
    photos = load_evaluation_set(tmp_path)
    by_pixels = {
        read_image(path).tobytes(): truth for path, truth in zip(photos.photos, photos.ground_truth, strict=True)
    }

    def knows(photo: Photo, _min_score: float) -> Faces:
        truth = by_pixels[photo.tobytes()]
        assert truth.landmarks is not None
        points = truth.landmarks[:, :, :2] + np.array([0, 3], np.float32)
        return Faces(truth.boxes, np.full(len(truth.boxes), 0.9, np.float32), points.astype(np.float32))

    told = evaluate(knows, photos)
    assert told.landmarks is not None
    assert 0 < told.landmarks.mean < 1
    assert told.to_json()["landmarks"]["faces"] == told.landmarks.faces > 0
    assert any("landmark error of faces" in row[0] for row in told.shown()[0].rows)
