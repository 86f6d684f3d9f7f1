"""The training losses: quality focal loss for the score, DIoU for the box, smooth L1 for landmarks.

    quality focal   |q - sigmoid(z)|^2 * cross entropy(z, q),  q = IoU of the predicted box with its face, 0 elsewhere
    DIoU            1 - IoU + (centre distance / diagonal of the enclosing box)^2
    landmarks       smooth L1 (beta 1/9) of the offsets in units of the stride, weight 0.1

A teacher's scores t take the place of q at every anchor, and its boxes are learnt where t is above `MIN_TAUGHT_SCORE`,
weighted by t.

Sources: Generalized Focal Loss (NeurIPS 2020), Distance-IoU Loss (AAAI 2020), weights as in the configurations that DamoFD
(ICLR 2023) released.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from facenas.graph import ANCHORS_PER_CELL, BOX_CHANNELS, LANDMARK_CHANNELS, LANDMARK_COUNT, SCORE_CHANNELS
from facenas.training.batch_targets import TargetTensors, cells_on
from facenas.training.device_batches import DeviceBatch
from facenas.training.distributed import Processes
from facenas.training.recipe import Recipe

QUALITY_BETA = 2.0
BOX_WEIGHT = 2.0
LANDMARK_WEIGHT = 0.1
LANDMARK_BETA = 1 / 9
MIN_TAUGHT_SCORE = 0.1
ALONE = Processes()


@dataclass(frozen=True)
class Losses:
    """Scalar tensors: score, box and landmark losses, already weighted; `total` is what is minimised."""

    score: Tensor
    box: Tensor
    landmark: Tensor

    @property
    def total(self) -> Tensor:
        """Sum of the three."""
        return self.score + self.box + self.landmark

    def blended(self, other: "Losses", share: float) -> "Losses":
        """Score and box losses with `share` of the other's, the rest of these."""
        score = torch.lerp(self.score, other.score, share)
        return Losses(score, torch.lerp(self.box, other.box, share), self.landmark)


def quality_focal_loss(logits: Tensor, quality: Tensor) -> Tensor:
    """Elementwise quality focal loss of `logits` against targets `quality` in 0..1 (same shape)."""
    focus = (quality - logits.sigmoid()).abs().pow(QUALITY_BETA)
    return focus * functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")


def box_iou_and_diou_loss(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and DIoU loss, each [n], of boxes [n, 4] x1 y1 x2 y2."""
    low = torch.maximum(predicted[:, :2], target[:, :2])
    high = torch.minimum(predicted[:, 2:], target[:, 2:])
    common = (high - low).clamp(min=0).prod(dim=1)
    sides = (predicted[:, 2:] - predicted[:, :2]).clamp(min=0)
    union = sides.prod(dim=1) + (target[:, 2:] - target[:, :2]).prod(dim=1) - common
    iou = common / union.clamp(min=1e-6)
    enclosing = torch.maximum(predicted[:, 2:], target[:, 2:]) - torch.minimum(predicted[:, :2], target[:, :2])
    shift = (predicted[:, :2] + predicted[:, 2:] - target[:, :2] - target[:, 2:]) / 2
    distance = shift.square().sum(dim=1) / enclosing.square().sum(dim=1).clamp(min=1e-6)
    return iou, 1 - iou + distance


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a network says at each of the a x c anchors of n pictures: score logits [n, a c], boxes [n, a c, 4] in pixels,
    landmarks [n, a c, 5, 2] as offsets in strides, or None."""

    logits: Tensor
    boxes: Tensor
    landmarks: Tensor | None = None


def detection_losses(predicted: Predicted, targets: TargetTensors, processes: Processes = ALONE) -> Losses:
    """Losses of one batch, or of the share of it that one of several `processes` has: their mean is the whole batch's."""
    logits, boxes = predicted.logits, predicted.boxes
    least, chosen = 1 / processes.count, targets.chosen
    count = processes.average(logits.new_full((), float(len(chosen[0])))).clamp(min=least)
    iou, diou = box_iou_and_diou_loss(boxes[chosen], targets.boxes)
    quality = torch.zeros_like(logits)
    quality[chosen] = iou.detach().clamp(0, 1).to(quality.dtype)
    confidence = logits[chosen].detach().sigmoid()  # boxes that are believed matter most
    box_loss = BOX_WEIGHT * (diou * confidence).sum() / processes.average(confidence.sum()).clamp(min=1e-6)
    landmark_loss = box_loss * 0
    if predicted.landmarks is not None:
        offsets, wanted = predicted.landmarks[chosen], targets.landmarks
        mask = targets.known[..., None].to(offsets.dtype)
        difference = functional.smooth_l1_loss(offsets * mask, wanted * mask, beta=LANDMARK_BETA, reduction="sum")
        landmark_loss = LANDMARK_WEIGHT * difference / processes.average(mask.sum()).clamp(min=least) / 2
    score_loss = (quality_focal_loss(logits, quality) * targets.counted).sum() / count
    return Losses(score_loss, box_loss, landmark_loss)


def distillation_losses(
    logits: Tensor, boxes: Tensor, taught_scores: Tensor, taught_boxes: Tensor, processes: Processes = ALONE
) -> Losses:
    """Score and box losses against a teacher's answers for the same anchors.

    logits, taught_scores [n, a]; boxes, taught_boxes [n, a, 4] in pixels. Both losses are divided by the sum of the
    scores taught, as the labels' are by the number of their anchors.
    """
    least = 1 / processes.count
    chosen = (taught_scores > MIN_TAUGHT_SCORE).nonzero(as_tuple=True)
    weight = taught_scores[chosen]
    total = processes.average(weight.sum()).clamp(min=least)
    _, diou = box_iou_and_diou_loss(boxes[chosen], taught_boxes[chosen])
    score_loss = quality_focal_loss(logits, taught_scores).sum() / total
    return Losses(score_loss, BOX_WEIGHT * (diou * weight).sum() / total, score_loss * 0)


def batch_losses(outputs: tuple[Tensor, ...], batch: DeviceBatch, recipe: Recipe, processes: Processes) -> Losses:
    """The losses by the labels, and with a teacher the recipe's share of those by its answers.

    `outputs`: of every level float [n, channels, height, width], finest first, for crops of the recipe's size.
    """
    device = outputs[0].device
    flat = torch.cat([output.float().flatten(2) for output in outputs], dim=2)
    n, channels, cells = flat.shape
    centres, strides = cells_on(recipe.size_px, device)
    distances = flat[:, BOX_CHANNELS].reshape(n, ANCHORS_PER_CELL, 4, cells).transpose(2, 3) * strides[:, None]
    boxes = torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1).flatten(1, 2)
    logits = flat[:, SCORE_CHANNELS].flatten(1)
    landmarks = None
    if channels == LANDMARK_CHANNELS.stop:
        shape = (n, ANCHORS_PER_CELL, LANDMARK_COUNT, 2, cells)
        landmarks = flat[:, LANDMARK_CHANNELS].reshape(shape).permute(0, 1, 4, 2, 3).flatten(1, 2)
    losses = detection_losses(Predicted(logits, boxes, landmarks), batch.targets, processes)
    if batch.lesson is None:
        return losses
    taught_scores, taught_boxes = (values.flatten(1, 2) for values in batch.lesson)
    taught = distillation_losses(logits, boxes, taught_scores, taught_boxes, processes)
    return losses.blended(taught, recipe.teacher_share)
