"""Batches for training: augmented crops with dense targets, made ahead by threads, the same for a seed and a step.

Sample number i of a training is a function of (seed, i) alone: its epoch's permutation names the photo, and its own
random generator draws the crop. So a resumed training continues with exactly the samples it would have seen.
OpenCV and numpy release the interpreter lock where they work long, so threads suffice and share one decoded cache.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import numpy as np
import numpy.typing as npt

from facenas.arrays import IndexArray
from facenas.data.annotations import Dataset, LabelledPhoto
from facenas.data.augment import Sample, augment
from facenas.data.combine import mosaic, paste_faces
from facenas.data.image import read_image
from facenas.data.rotation import rotate
from facenas.errors import InputError
from facenas.training.anchor_targets import AnchorTargets, make_targets, stack_targets
from facenas.training.distributed import Processes
from facenas.training.recipe import Recipe
from facenas.training.teacher import Lesson, Teacher

_BATCHES_AHEAD = 6
ALONE = Processes()


@dataclass(frozen=True, eq=False)
class Batch:
    """n crops of side s, uint8 [n, s, s, 3], with the targets of each; photos: of each crop the index; lesson: what the
    teacher says about the crops, where there is one."""

    images: npt.NDArray[np.uint8]
    targets: AnchorTargets
    photos: tuple[int, ...]
    lesson: Lesson | None = None


class PhotoCache:
    """Decoded photos kept in memory up to `limit_bytes`; what does not fit is decoded again each time.

    `problems`: of each photo that could not be decoded, by its index, why.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used_bytes = 0
        self._photos: dict[int, npt.NDArray[np.uint8]] = {}
        self._lock = Lock()
        self.problems: dict[int, str] = {}

    def get(self, index: int, dataset: Dataset) -> npt.NDArray[np.uint8]:
        """uint8 RGB [height, width, 3] of photo `index`. Raises InputError where it cannot be decoded."""
        photo = self._photos.get(index)
        if photo is None:
            photo = read_image(dataset.photos[index].path)
            with self._lock:
                if index not in self._photos and self._used_bytes + photo.nbytes <= self._limit_bytes:
                    self._used_bytes += photo.nbytes
                    self._photos[index] = photo
        return photo


def make_batch(
    dataset: Dataset,
    recipe: Recipe,
    step: int,
    cache: PhotoCache,
    processes: Processes = ALONE,
    teacher: Teacher | None = None,
) -> Batch:
    """The batch of one optimiser step, or one process' share of it; a function of its arguments alone.

    A photo that cannot be decoded is replaced by the next one of its epoch. Raises InputError where none can be.
    """
    share = processes.share_of(recipe.batch_size)
    first = step * recipe.batch_size + processes.rank * share
    images, targets, photos = [], [], []
    for number in range(first, first + share):
        index, sample = make_sample(dataset, recipe, number, cache)
        photos.append(index)
        images.append(sample.image)
        targets.append(make_targets(sample.labels, recipe.size_px))
    pixels = np.stack(images)
    lesson = None if teacher is None else teacher.answer(pixels)
    return Batch(pixels, stack_targets(targets), tuple(photos), lesson)


def make_sample(dataset: Dataset, recipe: Recipe, number: int, cache: PhotoCache) -> tuple[int, Sample]:
    """Sample `number` of a training, and the index of its photo."""
    index, image = _photo_at(dataset, recipe, number, cache)
    sample = _crop_of(dataset.photos[index], image, recipe, recipe.size_px, (recipe.seed, 1, number))
    if recipe.rotation_degrees:
        turn = np.random.default_rng((recipe.seed, 5, number))  # 4 draws a supernet's members
        if turn.random() < 0.5:
            sample = rotate(sample, turn.uniform(-recipe.rotation_degrees, recipe.rotation_degrees))
    if not recipe.mosaic_share and not recipe.pasted_faces:
        return index, sample
    # A generator of their own: switched off, they leave every other draw as it was.
    rng = np.random.default_rng((recipe.seed, 2, number))
    if rng.random() < recipe.mosaic_share:
        parts = []
        for part in range(4):
            other = number if part == 0 else int(rng.integers(len(dataset.photos)))
            at, image = _photo_at(dataset, recipe, other, cache)
            seeds = (recipe.seed, 3, number, part)
            parts.append(_crop_of(dataset.photos[at], image, recipe, recipe.size_px // 2, seeds))
        sample = mosaic(parts)
    if recipe.pasted_faces:
        at, image = _photo_at(dataset, recipe, int(rng.integers(len(dataset.photos))), cache)
        sample = paste_faces(sample, image, dataset.photos[at], recipe.pasted_faces, rng)
    return index, sample


def _crop_of(
    photo: LabelledPhoto, image: npt.NDArray[np.uint8], recipe: Recipe, size_px: int, seeds: tuple[int, ...]
) -> Sample:
    return augment(
        image,
        photo.labels,
        size_px,
        np.random.default_rng(seeds),
        recipe.crop_scales,
        recipe.min_face_px,
    )


def _photo_at(dataset: Dataset, recipe: Recipe, number: int, cache: PhotoCache) -> tuple[int, npt.NDArray[np.uint8]]:
    """The photo whose turn it is at sample `number`, or the first after it in its epoch that can be decoded."""
    for index in photos_from(number, recipe.seed, len(dataset.photos)):
        if index in cache.problems:
            continue
        try:
            return index, cache.get(index, dataset)
        except InputError as error:
            cache.problems[index] = str(error)
    raise InputError(f"none of the {len(dataset.photos)} photos of {dataset.name} can be decoded; check the files")


def photos_from(number: int, seed: int, count: int) -> Iterator[int]:
    """The index of the photo whose turn it is at sample `number`, of `count`, then those after it in its epoch."""
    epoch, position = divmod(number, count)
    order = _order_of(epoch, seed, count)
    for place in range(count):
        yield int(order[(position + place) % count])


@lru_cache(maxsize=4)  # the epochs that are under way
def _order_of(epoch: int, seed: int, count: int) -> IndexArray:
    return np.random.default_rng((seed, 0, epoch)).permutation(count)


def batches(
    dataset: Dataset,
    recipe: Recipe,
    first_step: int,
    last_step: int,
    cache: PhotoCache,
    *,
    threads: int = 2,
    processes: Processes = ALONE,
    teacher: Teacher | None = None,
) -> Iterator[Batch]:
    """The batches of steps `first_step` up to `last_step` (not included), made ahead by `threads` threads."""
    with ThreadPoolExecutor(threads, thread_name_prefix="samples") as pool:
        waiting: list[Future[Batch]] = []
        next_step = first_step
        try:
            for _ in range(first_step, last_step):
                while next_step < last_step and len(waiting) < max(_BATCHES_AHEAD, threads + 2):
                    waiting.append(pool.submit(make_batch, dataset, recipe, next_step, cache, processes, teacher))
                    next_step += 1
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
