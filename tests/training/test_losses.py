"""Losses: values by hand, equality where nothing is to be learnt, gradients that point the right way."""

from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facenas.training.anchor_targets import AnchorTargets
from facenas.training.batch_targets import TargetTensors, tensors_of
from facenas.training.losses import Predicted, box_iou_and_diou_loss, detection_losses, quality_focal_loss

COORDINATES = st.floats(-100, 200, width=32)


def boxes(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)


def test_quality_focal_loss_by_hand() -> None:
    """At logit 0 the score is 1/2: (q - 1/2)^2 times the cross entropy, which is ln 2 for any q."""
    quality = torch.tensor([0.0, 0.5, 0.8, 1.0])
    expected = torch.tensor([0.25, 0.0, 0.09, 0.25]) * log(2)
    torch.testing.assert_close(quality_focal_loss(torch.zeros(4), quality), expected)
    at_ln3 = quality_focal_loss(torch.tensor([log(3)]), torch.tensor([0.0]))  # score 3/4, cross entropy ln 4
    torch.testing.assert_close(at_ln3, torch.tensor([0.5625 * log(4)]))


def test_diou_by_hand() -> None:
    predicted = boxes((0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 10))
    target = boxes((0, 0, 10, 10), (5, 0, 15, 10), (20, 0, 30, 10))
    iou, loss = box_iou_and_diou_loss(predicted, target)
    torch.testing.assert_close(iou, torch.tensor([1.0, 50 / 150, 0.0]))
    expected = [0.0, 1 - 1 / 3 + 25 / (15**2 + 10**2), 1 + 400 / (30**2 + 10**2)]
    torch.testing.assert_close(loss, torch.tensor(expected))


@given(st.tuples(COORDINATES, COORDINATES, st.floats(1, 200, width=32), st.floats(1, 200, width=32)))
def test_equal_boxes_cost_nothing(box: tuple[float, float, float, float]) -> None:
    x, y, width, height = box
    same = boxes((x, y, x + width, y + height))
    iou, loss = box_iou_and_diou_loss(same, same)
    assert iou.item() == pytest.approx(1, abs=1e-4)
    assert loss.item() == pytest.approx(0, abs=1e-4)


@given(st.lists(COORDINATES, min_size=4, max_size=4), st.tuples(COORDINATES, COORDINATES))
def test_diou_is_finite_with_its_gradient_for_any_prediction(
    predicted: list[float], corner: tuple[float, float]
) -> None:
    """Also for boxes turned inside out or without area, which an untrained network predicts."""
    box = torch.tensor([predicted], requires_grad=True)
    x, y = corner
    iou, loss = box_iou_and_diou_loss(box, boxes((x, y, x + 8, y + 12)))
    assert 0 <= iou.item() <= 1
    assert loss.item() >= -1e-4
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert box.grad is not None
    assert torch.isfinite(box.grad).all()
    assert torch.isfinite(loss).all()


def targets(
    boxes: torch.Tensor,
    positive: torch.Tensor,
    counted: torch.Tensor,
    landmarks: torch.Tensor | None = None,
    known: torch.Tensor | None = None,
) -> TargetTensors:
    """Of [n, c] anchors as tensors, one a cell."""
    landmarks = torch.zeros(*positive.shape, 5, 2) if landmarks is None else landmarks
    known = torch.zeros(*positive.shape, 5, dtype=torch.bool) if known is None else known
    arrays = AnchorTargets(*(each.unsqueeze(1).numpy() for each in (boxes, positive, counted, landmarks, known)))
    return tensors_of(arrays, torch.device("cpu"))


def test_the_losses_of_a_batch_by_hand() -> None:
    """Two images of two anchors: one positive with IoU 1/3, one background, one ignored, one background."""
    logits = torch.zeros(2, 2)
    predicted = boxes((0, 0, 10, 10), (0, 0, 1, 1), (0, 0, 1, 1), (0, 0, 1, 1)).reshape(2, 2, 4)
    target = boxes((5, 0, 15, 10), (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0)).reshape(2, 2, 4)
    positive = torch.tensor([[True, False], [False, False]])
    counted = torch.tensor([[True, True], [False, True]])
    losses = detection_losses(Predicted(logits, predicted), targets(target, positive, counted))
    diou = 1 - 1 / 3 + 25 / 325
    assert losses.box.item() == pytest.approx(2 * diou, rel=1e-5)
    assert losses.score.item() == pytest.approx(((1 / 3 - 0.5) ** 2 + 0.25 + 0.25) * log(2), rel=1e-5)
    assert losses.landmark.item() == 0
    assert losses.total.item() == pytest.approx(losses.box.item() + losses.score.item(), rel=1e-6)


def test_box_losses_are_weighed_by_the_confidence() -> None:
    predicted = boxes((0, 0, 10, 10), (0, 0, 10, 10))[None]
    target = boxes((0, 0, 10, 10), (5, 0, 15, 10))[None]
    every = torch.ones(1, 2, dtype=torch.bool)
    logits = torch.tensor([[log(3), -log(3)]])  # scores 3/4 and 1/4
    losses = detection_losses(Predicted(logits, predicted), targets(target, every, every))
    assert losses.box.item() == pytest.approx(2 * (1 - 1 / 3 + 25 / 325) / 4, rel=1e-5)


def test_landmarks_by_hand_and_only_where_known() -> None:
    """Smooth L1 with beta 1/9: error 1 costs 1 - 1/18, error 0.1 costs 0.01 * 9 / 2; weight 0.1, mean over x and y."""
    box = boxes((0, 0, 10, 10))[None]
    every = torch.ones(1, 1, dtype=torch.bool)
    offsets = torch.zeros(1, 1, 5, 2)
    wanted = torch.zeros(1, 1, 5, 2)
    wanted[0, 0, 0] = torch.tensor([1.0, 0.1])
    wanted[0, 0, 1:] = 77.0
    known = torch.tensor([[[True, False, False, False, False]]])
    predicted = Predicted(torch.zeros(1, 1), box, offsets)
    losses = detection_losses(predicted, targets(box, every, every, wanted, known))
    assert losses.landmark.item() == pytest.approx(0.1 * (1 - 1 / 18 + 0.045) / 2, rel=1e-5)
    none_known = detection_losses(predicted, targets(box, every, every, wanted, known & False))
    assert none_known.landmark.item() == 0


def test_a_batch_without_faces_teaches_the_background_alone() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    predicted = torch.rand(2, 3, 4, requires_grad=True)
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    losses = detection_losses(Predicted(logits, predicted), targets(torch.zeros(2, 3, 4), nothing, ~nothing))
    losses.total.backward()  # type: ignore[no-untyped-call]
    assert losses.score.item() == pytest.approx(6 * 0.25 * log(2), rel=1e-5)
    assert logits.grad is not None
    assert predicted.grad is not None
    assert (logits.grad > 0).all()
    assert (predicted.grad == 0).all()


def test_learning_moves_scores_towards_quality_and_boxes_towards_faces() -> None:
    logits = torch.tensor([[-2.0, 2.0, 2.0]], requires_grad=True)
    predicted = boxes((10, 10, 20, 20), (0, 0, 5, 5), (0, 0, 5, 5))[None].requires_grad_()
    target = boxes((12, 10, 22, 20), (0, 0, 0, 0), (0, 0, 0, 0))[None]
    positive = torch.tensor([[True, False, False]])
    counted = torch.tensor([[True, True, False]])
    losses = detection_losses(Predicted(logits, predicted), targets(target, positive, counted))
    losses.total.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert predicted.grad is not None
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]
    assert logits.grad[0, 2] == 0
    assert (predicted.grad[0, 0, [0, 2]] < 0).all()
    assert (predicted.grad[0, 1:] == 0).all()
