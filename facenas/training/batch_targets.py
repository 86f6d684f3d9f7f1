"""Training targets of a batch, made by torch: `facenas.training.assigner` for all crops at once, on any device.

A face's wish for an anchor is one whole number, the bits of its overlap above its place in the batch counted from the end,
so that the largest number that reaches an anchor is the largest overlap, and of equal ones the first face's.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facenas.arrays import IntArray
from facenas.data.labels import Labels
from facenas.graph import ANCHORS_PER_CELL, STRIDES
from facenas.training.anchor_targets import AnchorTargets, strides_of_cells
from facenas.training.assigner import CANDIDATES, anchor_boxes, anchor_centres

_PLACE_BITS = 31  # of a face in its batch


@dataclass(frozen=True, eq=False)
class TargetTensors:
    """What the anchors (a x c a crop, in the order of `anchor_centres`) of n crops shall learn, on a device.

    chosen: int64 [k] twice, crop and anchor of those that learn a face; of these boxes float32 [k, 4] in pixels, landmarks
    float32 [k, 5, 2] as offsets in strides, known bool [k, 5]; counted: bool [n, a c], those that are not ignored.
    """

    chosen: tuple[Tensor, Tensor]
    boxes: Tensor
    landmarks: Tensor
    known: Tensor
    counted: Tensor


def tensors_of(targets: AnchorTargets, device: torch.device) -> TargetTensors:
    """The targets of a batch on a device."""
    crops = len(targets.positive)
    positive = targets.positive.reshape(crops, -1)
    chosen = positive.nonzero()

    def placed(values: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(device)

    boxes = targets.boxes.reshape(crops, -1, 4)[chosen]
    landmarks, known = targets.landmarks.reshape(crops, -1, 5, 2)[chosen], targets.known.reshape(crops, -1, 5)[chosen]
    return TargetTensors(
        (placed(chosen[0]), placed(chosen[1])),
        placed(boxes),
        placed(landmarks),
        placed(known),
        placed(targets.counted.reshape(crops, -1)),
    )


@lru_cache(maxsize=8)  # carried anew they would have the host wait for the device, every step
def cells_on(size_px: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Centres float32 [c, 2] in pixels and strides float32 [c] of all cells, on a device; not to be changed."""
    centres, strides = torch.from_numpy(anchor_centres(size_px)), torch.from_numpy(strides_of_cells(size_px))
    return centres.to(device), strides.to(device)


@torch.no_grad()
def make_batch_targets(
    labels: Labels, owner: IntArray, crops: int, size_px: int, device: torch.device
) -> TargetTensors:
    """The targets of `crops` crops; `owner`: int64, the crop of each label."""
    boxes, landmarks = (torch.from_numpy(values).to(device) for values in (labels.boxes, labels.landmarks))
    # Counted on the host: a device would have to be waited for.
    is_face, is_ignored = (
        torch.from_numpy(np.flatnonzero(which)).to(device) for which in (~labels.ignore, labels.ignore)
    )
    crop = torch.from_numpy(owner).to(device)
    centres, strides = cells_on(size_px, device)
    cells = len(centres)
    winner = _winners(boxes[is_face], crop[is_face], crops, size_px)  # [crops, a c]
    shut = torch.zeros((crops, cells), dtype=torch.bool, device=device)
    if len(is_ignored):
        inside = _inside(centres, boxes[is_ignored])
        shut = torch.zeros((crops, cells), device=device).index_add_(0, crop[is_ignored], inside.float()) > 0
    crops_of, anchors_of = (winner >= 0).nonzero(as_tuple=True)
    chosen = (crops_of, anchors_of)
    face = is_face[winner[chosen]]
    cell = chosen[1] % cells
    points = (landmarks[face, :, :2] - centres[cell][:, None]) / strides[cell][:, None, None]
    counted = ~shut.repeat(1, ANCHORS_PER_CELL) | (winner >= 0)
    return TargetTensors(chosen, boxes[face], points, landmarks[face, :, 2] > 0, counted)


def _winners(faces: Tensor, owner: Tensor, crops: int, size_px: int) -> Tensor:
    """int64 [crops, a c]: the face that each anchor learns, -1 where none."""
    device = faces.device
    centres, _ = cells_on(size_px, device)
    wishes = torch.full((crops * ANCHORS_PER_CELL * len(centres),), -1, dtype=torch.int64, device=device)
    if not len(faces):
        return wishes.view(crops, -1)
    anchors = torch.from_numpy(anchor_boxes(size_px)).to(device)
    middle = (faces[:, :2] + faces[:, 2:]) / 2
    distance = (middle[:, None] - centres).square().sum(dim=2)
    candidates = _nearest_cells(distance, size_px)  # [f, k]
    overlap = _overlap(faces[:, None, None], anchors[:, candidates].transpose(0, 1))  # [f, a, k]
    flat = overlap.flatten(1)
    threshold = flat.mean(dim=1) + flat.std(dim=1, correction=0)
    inside = _inside(centres, faces).gather(1, candidates)
    wanted = (overlap >= threshold[:, None, None]) & inside[:, None]
    nearest = distance.argmin(dim=1)
    lone = ~wanted.flatten(1).any(dim=1)
    near = _overlap(faces, anchors[0, nearest])
    kinds = torch.arange(ANCHORS_PER_CELL, device=device)[None, :, None]
    at = ((owner[:, None, None] * ANCHORS_PER_CELL + kinds) * len(centres) + candidates[:, None]).flatten(1)
    at = torch.cat([at, (owner * ANCHORS_PER_CELL * len(centres) + nearest)[:, None]], dim=1)
    score = torch.cat([flat, near[:, None]], dim=1)
    wish = torch.cat([wanted.flatten(1), lone[:, None]], dim=1)
    place = (1 << _PLACE_BITS) - 1 - torch.arange(len(faces), device=device)
    # Of positive floats larger ones have larger bits.
    numbers = (score.clamp(min=0).contiguous().view(torch.int32).long() << _PLACE_BITS) | place[:, None]
    wishes.scatter_reduce_(0, at.flatten(), numbers.masked_fill(~wish, -1).flatten(), "amax")
    winner = (1 << _PLACE_BITS) - 1 - (wishes & ((1 << _PLACE_BITS) - 1))
    return winner.masked_fill(wishes < 0, -1).view(crops, -1)


def _nearest_cells(distance: Tensor, size_px: int) -> Tensor:
    """int64 [f, k]: for every face the nearest cells of each level."""
    start, chosen = 0, []
    for stride in STRIDES:
        cells = (size_px // stride) ** 2
        count = min(cells, -(-CANDIDATES // ANCHORS_PER_CELL))
        level = distance[:, start : start + cells]
        chosen.append(level.topk(count, dim=1, largest=False).indices + start)
        start += cells
    return torch.cat(chosen, dim=1)


def _inside(centres: Tensor, boxes: Tensor) -> Tensor:
    """bool [f, cells]: whether a centre lies inside a box."""
    x, y = centres.T
    x1, y1, x2, y2 = boxes.T[:, :, None]
    inside: Tensor = (x > x1) & (x < x2) & (y > y1) & (y < y2)
    return inside


def _overlap(boxes: Tensor, anchors: Tensor) -> Tensor:
    """IoU of boxes [..., 4] with anchors [..., 4]."""
    low, high = torch.maximum(boxes[..., :2], anchors[..., :2]), torch.minimum(boxes[..., 2:], anchors[..., 2:])
    common = (high - low).clamp(min=0).prod(dim=-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(dim=-1) for each in (boxes, anchors)]
    return torch.div(common, areas[0] + areas[1] - common)
