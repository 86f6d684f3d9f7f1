"""Photos with labelled faces: what a label file says (`RawLabels`), checked against the photos, becomes a `Dataset`.

A label can be wrong in a handful of ways: its photo is missing or does not open, states another size, or a face has no
area, not a pixel of it, lies wholly outside, or stands there twice. Each such case is listed in `Dataset.problems` and left
out. A box that is partly outside is normal (faces are cut by the border) and is clipped.

A photo is one file, whatever names and links lead to it: several headers of one are taken together.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facenas.arrays import BoolArray, FloatArray, IntArray
from facenas.data.image import photo_size
from facenas.data.label_doubts import in_other_units, likeliest_order, repeated
from facenas.data.labels import Labels
from facenas.data.pieces import in_piece
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
    """Photos ready to use, and the problems of their labels, one line each: what kept others, or some of their faces, out."""

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
    found = _find_photos(raw, images)
    problems = [(raw.name_lines[index], each) for index, each in enumerate(found) if isinstance(each, str)]
    usable = np.array([not isinstance(each, str) for each in found], dtype=bool)
    sizes = np.array([(0, 0) if isinstance(each, str) else each.size for each in found], dtype=np.float32).reshape(
        -1, 2
    )
    # The headers of one photo share a number, that of the first of them.
    first: dict[object, int] = {}
    number = np.array(
        [
            index if isinstance(each, str) else first.setdefault(each.identity, index)
            for index, each in enumerate(found)
        ],
        dtype=np.int64,
    )
    headers = np.bincount(number[usable], minlength=len(found)) if len(found) else number
    for index in np.flatnonzero(headers > 1):
        line = raw.name_lines[int(index)]
        what = (
            f"{headers[index]} headers name one photo, {raw.names[index]}, first here; their faces are taken together"
        )
        problems.append((line, f"{raw.source}:{line}: {what}"))

    keep, faults = _check_boxes(raw, number[raw.photo], sizes[raw.photo], usable[raw.photo])
    limit = sizes[raw.photo]
    low, high = raw.labels.boxes[:, :2], raw.labels.boxes[:, 2:]
    clipped = np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)], axis=1)
    labels = replace(raw.labels, boxes=clipped)
    order = np.argsort(number[raw.photo], kind="stable")
    order = order[keep[order]]
    ends = np.searchsorted(number[raw.photo][order], np.arange(len(raw.names) + 1))
    photos = []
    for index in np.flatnonzero(usable & (number == np.arange(len(found)))):
        rows = order[int(ends[index]) : int(ends[index + 1])]
        each = found[int(index)]
        assert isinstance(each, _FoundPhoto)
        photos.append(LabelledPhoto(each.path, int(sizes[index, 0]), int(sizes[index, 1]), labels.take(rows)))
    doubts = _doubts(raw, sizes, usable)
    return Dataset(name, tuple(photos), (*doubts, *(text for _, text in sorted([*problems, *faults]))))


def _check_boxes(
    raw: RawLabels, photo: IntArray, limit: FloatArray, usable: BoolArray
) -> tuple[BoolArray, list[tuple[int, str]]]:
    """Which faces can be used, and the problems of the others with their lines; photo, limit, usable: of each face the
    number of its photo, width and height, and whether there is one."""
    low, high = raw.labels.boxes[:, :2], raw.labels.boxes[:, 2:]
    empty = np.any(high <= low, axis=1)
    outside = np.any((high <= 0) | (low >= limit), axis=1) & ~empty
    tiny = np.any(high - low < 1, axis=1) & ~empty & ~outside
    good = usable & ~empty & ~outside & ~tiny
    again = np.zeros(len(good), dtype=bool)
    faces = good & ~raw.labels.ignore  # a region that is ignored twice does no harm
    again[faces] = repeated(raw.labels.boxes[faces], photo[faces])
    problems = []
    for row in np.flatnonzero(usable & ~(good & ~again)):
        width, height = limit[row].astype(int)
        fault = (
            "without area"
            if empty[row]
            else f"wholly outside its {width}x{height} photo"
            if outside[row]
            else "under a pixel"
            if tiny[row]
            else "that stands there already"
        )
        box = " ".join(f"{value:g}" for value in raw.labels.boxes[row])
        line = int(raw.lines[row])
        problems.append((line, f"{raw.source}:{line}: face {fault} ({box}); correct or delete the line"))
    return good & ~again, problems


def _doubts(raw: RawLabels, sizes: FloatArray, usable: BoolArray) -> tuple[str, ...]:
    """A line where the numbers of all faces look like something else than x1 y1 x2 y2 in pixels."""
    mine = usable[raw.photo]
    boxes, of = raw.labels.boxes[mine], sizes[raw.photo[mine]]
    if not len(boxes):
        return ()
    at = int(raw.photo[mine][0])
    place = f"{raw.source}:{int(raw.lines[mine][0])}: the boxes of {raw.names[at]} and others look like"
    if in_other_units(boxes):
        return (f"{place} shares of the photo's sides (0 to 1); write x1 y1 x2 y2 in pixels",)
    order = likeliest_order(boxes, of)
    if order is None:
        return ()
    meant = "x y w h" if raw.sizes is None else "x1 y1 x2 y2"
    return (f"{place} numbers in another order ({order} where they are read as x1 y1 x2 y2); write {meant} in pixels",)


@dataclass(frozen=True)
class _FoundPhoto:
    """Where a photo is, its width and height, and what tells it from others: its place on the disk."""

    path: Path
    size: tuple[int, int]
    identity: object


def _find_photos(raw: RawLabels, images: Path | None) -> list[_FoundPhoto | str]:
    """Each header's photo, or the problem that makes it unusable; a photo that many headers name is looked at once."""
    if images is None and raw.sizes is None:
        raise InputError(f"{raw.source} states no photo sizes; give the folder of its photos")
    looked: dict[str, _FoundPhoto | str] = {}
    found: list[_FoundPhoto | str] = []
    for index, name in enumerate(raw.names):
        stated = None if raw.sizes is None else raw.sizes[index]
        if images is None:
            assert stated is not None
            found.append(_FoundPhoto(Path(name), stated, name))
            continue
        if name not in looked:
            looked[name] = _look(images, name)
        photo, place = looked[name], f"{raw.source}:{raw.name_lines[index]}"
        if isinstance(photo, str):
            found.append(f"{place}: {photo}")
        elif stated is not None and stated != photo.size:
            (width, height), (said_width, said_height) = photo.size, stated
            found.append(
                f"{place}: {photo.path} is {width}x{height}, labelled {said_width}x{said_height}; correct the label's size"
            )
        else:
            found.append(photo)
    return found


def _look(images: Path, name: str) -> _FoundPhoto | str:
    relative = Path(name)
    if relative.is_absolute() or ".." in relative.parts:
        return f"the name {name} leads out of {images}; write it as it is called below that folder"
    # Systems write accents as one character or as two.
    for form in (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)):
        path = images / form
        identity = identity_of(path)
        if identity is path and not in_piece(path):  # there is nothing
            continue
        try:
            return _FoundPhoto(path, photo_size(path), identity)
        except InputError as error:
            return str(error)
    return f"no photo {images / name}; add it or delete its lines"


def join_datasets(name: str, datasets: Iterable[Dataset]) -> Dataset:
    """All photos and problems of several datasets, in their order. A photo that an earlier one has already is left out and
    named."""
    photos: list[LabelledPhoto] = []
    problems: list[str] = []
    seen: dict[object, Path] = {}
    for part in datasets:
        problems += part.problems
        for photo in part.photos:
            before = seen.setdefault(identity_of(photo.path), photo.path)
            if before is photo.path:
                photos.append(photo)
            else:
                problems.append(f"{photo.path} is the same photo as {before}; its labels there count, these do not")
    return Dataset(name, tuple(photos), tuple(problems))


def identity_of(path: Path) -> object:
    """What tells a photo from others: its place on the disk, whatever names and links lead there."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return path
    return status.st_dev, status.st_ino


def require_clean(dataset: Dataset) -> None:
    """Raise InputError, naming the first problem and the number of all, unless there are none."""
    if dataset.problems:
        count = len(dataset.problems)
        raise InputError(
            f"{count} problem{'s' * (count > 1)} in the labels of {dataset.name}, first: {dataset.problems[0]}"
        )


def split_dataset(dataset: Dataset, held_out: float, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Split by photo into a part to train on and a part of share `held_out` (0 to 1) to evaluate on, at random by seed.

    Each folder of photos gives its share, so that a small set is not held out whole; where no share comes to a photo, one is
    held out all the same. Problems stay with the first part. Raises InputError where there is one photo only.
    """
    if len(dataset.photos) < 2:
        raise InputError(
            f"{dataset.name} holds one photo that can be used, so none to validate on; give others with --val, or more"
        )
    generator = np.random.default_rng(seed)
    groups: dict[Path, list[int]] = {}
    for index, photo in enumerate(dataset.photos):
        groups.setdefault(photo.path.parent, []).append(index)
    held: set[int] = set()
    for indices in groups.values():
        held.update(generator.permutation(indices)[: round(held_out * len(indices))].tolist())
    if not held and held_out > 0:
        held.add(int(generator.integers(len(dataset.photos))))
    first = tuple(photo for index, photo in enumerate(dataset.photos) if index not in held)
    second = tuple(photo for index, photo in enumerate(dataset.photos) if index in held)
    return Dataset(dataset.name, first, dataset.problems), Dataset(f"{dataset.name}, held out", second)
