"""Batches on the device that trains: carried there, or made there of photos that lie in its memory.

Sample number i is a function of (seed, i) alone, here as in `facenas.training.samples`, but another one: a training that began
with one kind goes on with that. What is random, and the labels, are worked out on the host for a whole batch; pixels
and targets on the device, a batch ahead, on a stream of its own.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facenas.data.annotations import Dataset
from facenas.data.crop_plan import plan_crops, table_of
from facenas.errors import InputError
from facenas.progress import SILENT, Progress
from facenas.training.batch_targets import TargetTensors, make_batch_targets, tensors_of
from facenas.training.distributed import Processes
from facenas.training.photo_memory import PhotoMemory
from facenas.training.pixels import make_pixels
from facenas.training.recipe import Recipe
from facenas.training.samples import ALONE, Batch, photos_from
from facenas.training.teacher import Teacher

_BATCHES_AHEAD = 2


@dataclass(frozen=True, eq=False)
class DeviceBatch:
    """n crops of side s, uint8 [n, s, s, 3], with the targets of all; photos: of each crop the index; lesson: a teacher's
    scores float32 [n, a, c] and boxes float32 [n, a, c, 4], where there is one."""

    images: Tensor
    targets: TargetTensors
    photos: tuple[int, ...]
    lesson: tuple[Tensor, Tensor] | None = None


def on_device(batch: Batch | DeviceBatch, device: torch.device) -> DeviceBatch:
    """A batch made on the host, carried to the device; one that is there already as it is."""
    if isinstance(batch, DeviceBatch):
        return batch
    lesson = None
    if batch.lesson is not None:
        lesson = tuple(torch.from_numpy(values).to(device) for values in (batch.lesson.scores, batch.lesson.boxes))
    images = torch.from_numpy(batch.images).to(device)
    return DeviceBatch(images, tensors_of(batch.targets, device), batch.photos, lesson)  # type: ignore[arg-type]


class DevicePhotos:
    """The photos of a training in its device's memory, and the batches that are made of them there.

    Raises InputError where they do not fit, or the recipe asks for samples of several photos, which are made on the host.
    """

    def __init__(self, dataset: Dataset, recipe: Recipe, device: torch.device, progress: Progress = SILENT) -> None:
        if recipe.mosaic_share or recipe.pasted_faces:
            raise InputError("--photos-on-device makes no samples of several photos; leave out --mosaic and --paste")
        self._memory = PhotoMemory(dataset, recipe, device, progress=progress)
        self._table, self._recipe = table_of(dataset.photos), recipe
        self.problems = self._memory.problems

    def make_batch(self, step: int, processes: Processes = ALONE, teacher: Teacher | None = None) -> DeviceBatch:
        """The batch of one optimiser step, or one process' share of it; a function of its arguments alone."""
        recipe = self._recipe
        share = processes.share_of(recipe.batch_size)
        first = step * recipe.batch_size + processes.rank * share
        photos = [self._photo_at(number) for number in range(first, first + share)]
        plan = plan_crops(
            self._table,
            np.array(photos, np.int64),
            np.arange(first, first + share),
            recipe.seed,
            recipe.size_px,
            crop_scales=recipe.crop_scales,
            min_face_px=recipe.min_face_px,
            rotation_degrees=recipe.rotation_degrees,
        )
        images = make_pixels(self._memory, plan)
        targets = make_batch_targets(plan.labels, plan.owner, share, recipe.size_px, self._memory.device)
        lesson = None
        if teacher is not None:
            answer = teacher.answer(images.cpu().numpy())
            scores, boxes = (torch.from_numpy(values).to(images.device) for values in (answer.scores, answer.boxes))
            lesson = (scores, boxes)
        return DeviceBatch(images, targets, tuple(photos), lesson)

    def _photo_at(self, number: int) -> int:
        """The photo whose turn it is, or the first after it in its epoch that could be decoded."""
        count = len(self._table.sizes)
        return next(index for index in photos_from(number, self._recipe.seed, count) if index not in self.problems)

    def batches(
        self, first_step: int, last_step: int, *, processes: Processes = ALONE, teacher: Teacher | None = None
    ) -> Iterator[DeviceBatch]:
        """The batches of steps `first_step` up to `last_step` (not included), made ahead by a thread."""
        device = self._memory.device
        stream: Any = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

        def make(step: int) -> tuple[DeviceBatch, Any]:
            with _on(stream):
                batch = self.make_batch(step, processes, teacher)
                return batch, None if stream is None else stream.record_event()

        with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
            waiting: list[Future[tuple[DeviceBatch, Any]]] = []
            next_step = first_step
            try:
                for _ in range(first_step, last_step):
                    while next_step < last_step and len(waiting) <= _BATCHES_AHEAD:
                        waiting.append(pool.submit(make, next_step))
                        next_step += 1
                    batch, made = waiting.pop(0).result()
                    if made is not None:
                        _hand_over(batch, made)
                    yield batch
            finally:
                for future in waiting:
                    future.cancel()


def _on(stream: Any) -> AbstractContextManager[Any]:
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def _hand_over(batch: DeviceBatch, made: Any) -> None:
    """Let the training's stream wait for a batch, and the memory of the batch for that stream."""
    current = torch.cuda.current_stream(batch.images.device)
    current.wait_event(made)
    targets = batch.targets
    for tensor in (
        batch.images,
        *targets.chosen,
        *(targets.boxes, targets.landmarks, targets.known, targets.counted),
        *(batch.lesson or ()),
    ):
        tensor.record_stream(current)
