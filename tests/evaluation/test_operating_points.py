"""Which least score to take: precision and recall are those of the detections that it keeps."""

import numpy as np
import pytest

from facenas.evaluation.evaluation_set import EvaluationSet, GroundTruth
from facenas.evaluation.operating_points import suggested
from facenas.evaluation.wider import evaluate_detections


def photo(faces: int) -> EvaluationSet:
    """One photo with faces 20 px wide, 50 px apart."""
    boxes = np.array([[50 * i, 10, 50 * i + 20, 30] for i in range(faces)], np.float32)
    truth = GroundTruth("a", 1000, 100, boxes, {"all": np.ones(faces, bool)})
    return EvaluationSet("set", ("all",), (), (truth,))


def detections(scores_right: list[float], scores_wrong: list[float]) -> dict[str, np.ndarray]:
    right = [[50 * i, 10, 50 * i + 20, 30, score] for i, score in enumerate(scores_right)]
    wrong = [[50 * i + 25, 60, 50 * i + 45, 80, score] for i, score in enumerate(scores_wrong)]
    return {"a": np.array([*right, *wrong], np.float32).reshape(-1, 5)}


def test_the_suggested_score_keeps_the_right_ones_and_no_other() -> None:
    evaluation = evaluate_detections(detections([0.9, 0.8, 0.7, 0.62], [0.4, 0.3, 0.05]), photo(5))
    best = suggested(evaluation.points)
    assert best is not None
    assert 0.4 < best.min_score <= 0.62
    assert (best.precision, best.recall) == (1.0, 0.8)
    by_score = {point.min_score: (point.precision, point.recall) for point in evaluation.points}
    assert by_score[0.3] == pytest.approx((4 / 6, 0.8), abs=1e-3)
    assert by_score[0.8] == (1.0, 0.4)
    assert by_score[0.1] == pytest.approx((4 / 6, 0.8), abs=1e-3)
    assert evaluation.to_json()["suggested_min_score"] == best.min_score
    assert any("(suggested)" in row[0] for row in evaluation.shown()[1].rows)


def test_nothing_is_suggested_where_nothing_is_right() -> None:
    for found in (detections([], [0.5]), detections([], [])):
        evaluation = evaluate_detections(found, photo(2))
        assert evaluation.points == ()
        assert evaluation.to_json()["suggested_min_score"] is None
        assert len(evaluation.shown()) == 1
