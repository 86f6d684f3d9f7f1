"""Parity: how far tensors and faces of two networks are apart."""

import numpy as np
import pytest

from facenas.evaluation.parity import compare_faces, compare_tensors, with_logits_from
from facenas.pipeline.faces import Faces, pairwise_iou


def outputs(*values: float, name: str = "output_8") -> dict[str, np.ndarray]:
    return {name: np.array([values], np.float32)}


def faces(*rows: tuple[float, float, float, float, float]) -> Faces:
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Faces(table[:, :4], table[:, 4], None)


def test_tensors_by_hand() -> None:
    found = compare_tensors([outputs(3, 4), outputs(1, 0)], [outputs(3, 4.5), outputs(0, 1)])["output_8"]
    assert found.max_abs == 1
    assert found.mean_abs == pytest.approx((0.25 + 1) / 2)
    assert found.cosine == 0


def test_equal_tensors_and_zeros_differ_by_nothing() -> None:
    for values in ((1.0, -2.0), (0.0, 0.0)):
        found = compare_tensors([outputs(*values)], [outputs(*values)])["output_8"]
        assert (found.max_abs, found.mean_abs) == (0, 0)
        assert found.cosine == pytest.approx(1)


@pytest.mark.parametrize(
    "found", [outputs(1, 2, 3), outputs(1, 2, name="other"), outputs(1, float("nan")), outputs(1, float("inf"))]
)
def test_an_output_that_is_missing_misshapen_or_not_finite_cannot_be_compared(found: dict[str, np.ndarray]) -> None:
    same = outputs(1, 2)
    parity = compare_tensors([same, same], [same, found])["output_8"]
    assert (parity.max_abs, parity.mean_abs, parity.cosine) == (None, None, 0.0)


def test_faces_find_their_partners() -> None:
    reference = faces((0, 0, 100, 100, 0.9), (200, 200, 210, 210, 0.8), (300, 0, 310, 10, 0.5), (5, 5, 6, 6, 0.4))
    found = faces((200, 200, 210, 209.5, 0.7), (0, 1, 100, 101, 0.85), (302, 0, 312, 10, 0.5))
    parity = compare_faces([reference, faces()], [found, reference])
    assert parity.reference_faces == 4
    assert parity.matched == 0.5  # the third overlaps by 2/3 only, the fourth not at all
    assert parity.max_score_difference == pytest.approx(0.1)


def test_no_faces_at_all_match() -> None:
    assert compare_faces([faces()], [faces((0, 0, 1, 1, 0.5))]).matched == 1.0
    assert compare_faces([faces((0, 0, 1, 1, 0.5))], [faces()]).matched == 0.0


def test_overlaps_by_hand() -> None:
    boxes = faces((0, 0, 10, 10, 1), (0, 0, 0, 0, 1)).boxes
    others = faces((0, 0, 10, 10, 1), (5, 0, 15, 10, 1), (10, 10, 20, 20, 1)).boxes
    np.testing.assert_allclose(pairwise_iou(boxes, others), np.array([[1, 1 / 3, 0], [0, 0, 0]]), rtol=1e-6)
    assert pairwise_iou(boxes, others[:0]).shape == (2, 0)


def test_logits_of_scores_that_nobody_asks_for_count_alike_and_nothing_else_does() -> None:
    maps = np.full((1, 10, 2, 2), -20, np.float32)
    maps[0, 0, 0, 0] = 3
    raised = with_logits_from([{"output_8": maps}], -6)[0]["output_8"]
    assert raised[0, :2].min() == -6
    assert raised[0, 0, 0, 0] == 3
    assert (raised[0, 2:] == -20).all()
    assert maps.min() == -20
    maps[0, 1, 0, 0] = np.nan
    assert np.isnan(with_logits_from([{"output_8": maps}], -6)[0]["output_8"]).any()
