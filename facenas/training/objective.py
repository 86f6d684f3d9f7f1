"""What a training minimises: from the network's output maps and a batch's targets to the losses."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facenas.graph import ANCHORS_PER_CELL, BOX_CHANNELS, LANDMARK_CHANNELS, LANDMARK_COUNT, SCORE_CHANNELS
from facenas.training.assigner import anchor_centres
from facenas.training.distributed import Processes
from facenas.training.losses import Losses, detection_losses, distillation_losses
from facenas.training.recipe import Recipe
from facenas.training.samples import Batch, strides_of_cells


def batch_losses(outputs: tuple[Tensor, ...], batch: Batch, recipe: Recipe, processes: Processes) -> Losses:
    """The losses by the labels, and with a teacher the recipe's share of those by its answers.

    `outputs`: of every level float [n, channels, height, width], finest first, for crops of the recipe's size.
    """
    device = outputs[0].device

    def on_device(array: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(device)

    flat = torch.cat([output.float().flatten(2) for output in outputs], dim=2)
    n, channels, cells = flat.shape
    centres = on_device(anchor_centres(recipe.size_px))
    strides = on_device(strides_of_cells(recipe.size_px))
    distances = flat[:, BOX_CHANNELS].reshape(n, ANCHORS_PER_CELL, 4, cells).transpose(2, 3) * strides[:, None]
    boxes = torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1).flatten(1, 2)
    logits = flat[:, SCORE_CHANNELS].flatten(1)
    offsets = target_offsets = known = None
    if channels == LANDMARK_CHANNELS.stop:
        shape = (n, ANCHORS_PER_CELL, LANDMARK_COUNT, 2, cells)
        offsets = flat[:, LANDMARK_CHANNELS].reshape(shape).permute(0, 1, 4, 2, 3).flatten(1, 2)
        target_offsets, known = (on_device(array).flatten(1, 2) for array in (batch.landmarks, batch.known))
    target_boxes, positive, counted = (
        on_device(array).flatten(1, 2) for array in (batch.boxes, batch.positive, batch.counted)
    )
    losses = detection_losses(logits, boxes, target_boxes, positive, counted, offsets, target_offsets, known, processes)
    if batch.lesson is None:
        return losses
    taught_scores, taught_boxes = (
        on_device(array).flatten(1, 2) for array in (batch.lesson.scores, batch.lesson.boxes)
    )
    taught = distillation_losses(logits, boxes, taught_scores, taught_boxes, processes)
    return losses.blended(taught, recipe.teacher_share)
