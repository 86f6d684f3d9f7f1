"""Photos with labelled faces: what a label file says (`RawLabels`), checked against the photos, becomes a `Dataset`.

A label can be wrong in a handful of ways: its photo is missing or does not open, states another size, or a face has no
area or lies wholly outside. Each such case is listed in `Dataset.problems` and left out. A box that is partly outside
is normal (faces are cut by the border) and is clipped.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facenas.arrays import IntArray
from facenas.data.image import photo_size
from facenas.data.labels import Labels
from facenas.errors import InputError


@dataclass(frozen=True, eq=False)
class LabelledPhoto:
    """One photo and its faces."""

    path: Path
    width_px: int
    height_px: int
    labels: Labels


@dataclass(frozen=True, eq=False)
class Dataset:
    """Photos ready to use, and the problems that kept others (or some of their faces) out, one line each."""

    name: str
    photos: tuple[LabelledPhoto, ...]
    problems: tuple[str, ...] = ()

    @property
    def faces(self) -> int:
        """The number of faces that are not ignored."""
        return sum(len(photo.labels.face_boxes) for photo in self.photos)


@dataclass(frozen=True, eq=False)
class RawLabels:
    """What a label file says, unchecked. `photo[i]` is the index of the photo of face i.

    names: the photos as the file names them; name_lines: line of each name; sizes: (width, height) in pixels of each,
    or None where the format does not state it.
    photo, lines: int64 [n].
    """

    source: Path
    names: tuple[str, ...]
    name_lines: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...] | None
    photo: IntArray
    lines: IntArray
    labels: Labels


def check_labels(raw: RawLabels, images: Path | None, name: str) -> Dataset:
    """Match labels with the photos in folder `images`; what does not fit goes to `problems`.

    Only headers and ends of the photos are read. With `images` None the stated sizes are believed and no photo is
    opened (for statistics over labels alone); the format must then state sizes.
    """
    found = [_find_photo(raw, index, images) for index in range(len(raw.names))]
    problems = [(raw.name_lines[index], size) for index, size in enumerate(found) if isinstance(size, str)]
    usable = np.array([not isinstance(size, str) for size in found], dtype=bool)
    sizes = np.array([(0, 0) if isinstance(size, str) else size for size in found], dtype=np.float32).reshape(-1, 2)

    low, high = raw.labels.boxes[:, :2], raw.labels.boxes[:, 2:]
    limit = sizes[raw.photo]  # [n, 2] width and height of the box's photo
    empty = np.any(high <= low, axis=1)
    outside = np.any((high <= 0) | (low >= limit), axis=1) & ~empty
    clipped = np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)], axis=1)
    keep = usable[raw.photo] & ~empty & ~outside
    for row in np.flatnonzero(usable[raw.photo] & (empty | outside)):
        width, height = limit[row].astype(int)
        fault = "without area" if empty[row] else f"wholly outside its {width}x{height} photo"
        box = " ".join(f"{value:g}" for value in raw.labels.boxes[row])
        line = int(raw.lines[row])
        problems.append((line, f"{raw.source}:{line}: face {fault} ({box}); correct or delete the line"))

    labels = replace(raw.labels, boxes=clipped)
    ends = np.searchsorted(raw.photo, np.arange(len(raw.names) + 1))
    photos = []
    for index in np.flatnonzero(usable):
        rows = slice(int(ends[index]), int(ends[index + 1]))
        photos.append(
            LabelledPhoto(
                path=Path(raw.names[index]) if images is None else images / raw.names[index],
                width_px=int(sizes[index, 0]),
                height_px=int(sizes[index, 1]),
                labels=labels.take(rows).take(keep[rows]),
            )
        )
    return Dataset(name, tuple(photos), tuple(text for _, text in sorted(problems)))


def _find_photo(raw: RawLabels, index: int, images: Path | None) -> tuple[int, int] | str:
    """The photo's width and height, or the problem that makes it unusable."""
    place = f"{raw.source}:{raw.name_lines[index]}"
    stated = None if raw.sizes is None else raw.sizes[index]
    if images is None:
        if stated is None:
            raise InputError(f"{raw.source} states no photo sizes; give the folder of its photos")
        return stated
    path = images / raw.names[index]
    if not path.is_file():
        return f"{place}: no photo {path}; add it or delete its lines"
    try:
        size = photo_size(path)
    except InputError as error:
        return f"{place}: {error}"
    if stated is not None and stated != size:
        return f"{place}: {path} is {size[0]}x{size[1]}, labelled {stated[0]}x{stated[1]}; correct the label's size"
    return size


def join_datasets(name: str, datasets: Iterable[Dataset]) -> Dataset:
    """All photos and problems of several datasets, in their order."""
    parts = tuple(datasets)
    photos = tuple(photo for part in parts for photo in part.photos)
    return Dataset(name, photos, tuple(problem for part in parts for problem in part.problems))


def require_clean(dataset: Dataset) -> None:
    """Raise InputError, naming the first problem and the number of all, unless there are none."""
    if dataset.problems:
        count = len(dataset.problems)
        raise InputError(
            f"{count} problem{'s' * (count > 1)} in the labels of {dataset.name}, first: {dataset.problems[0]}"
        )


def split_dataset(dataset: Dataset, held_out: float, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Split by photo into a part to train on and a part of share `held_out` (0 to 1) to evaluate on, at random by seed.

    Each folder of photos gives its share, so that a small set is not held out whole. Problems stay with the first part.
    """
    generator = np.random.default_rng(seed)
    groups: dict[Path, list[int]] = {}
    for index, photo in enumerate(dataset.photos):
        groups.setdefault(photo.path.parent, []).append(index)
    held: set[int] = set()
    for indices in groups.values():
        held.update(generator.permutation(indices)[: round(held_out * len(indices))].tolist())
    first = tuple(photo for index, photo in enumerate(dataset.photos) if index not in held)
    second = tuple(photo for index, photo in enumerate(dataset.photos) if index in held)
    return Dataset(dataset.name, first, dataset.problems), Dataset(f"{dataset.name}, held out", second)
