"""Photos: what a labelled set holds, before hours go into it: faces by size, what cannot be used and why, photos that stand
there twice or in both parts, whatever their size and compression (facenas/data/perceptual_hash.py)."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facenas.arrays import Float64Array
from facenas.data.annotations import Dataset
from facenas.data.face_sizes import LONG_SIDE_PX
from facenas.data.image import read_image
from facenas.data.perceptual_hash import Hash, alike, perceptual_hash
from facenas.data.source import layout_of, open_dataset
from facenas.devices.cpu import cores
from facenas.errors import InputError
from facenas.progress import SILENT, Progress
from facenas.shown import Rows, Shown, figures

OCTAVES_PX = (8, 16, 32, 64, 128)
"""Between the classes of faces: the longer side in pixels, in the photo at a long side of 640."""
_LISTED = 10
Pair = tuple[str, str]


@dataclass(frozen=True)
class Part:
    """What a folder holds. `layout`: how it is labelled; `faces`: those that count, `ignored` the others; `with_landmarks`
    of them; `empty`: photos without a face; `octaves`: faces by size; `problems`: what cannot be used, a line each."""

    folder: str
    layout: str
    photos: int
    faces: int
    ignored: int
    with_landmarks: int
    empty: int
    octaves: dict[str, int]
    problems: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class PhotosReport(Shown):
    """`repeated`: pairs of photos within `data` that look alike; `in_both`: pairs that stand in `data` and in `val`."""

    data: Part
    val: Part | None
    repeated: tuple[Pair, ...]
    in_both: tuple[Pair, ...]

    @property
    def clean(self) -> bool:
        """Whether every label can be used and no photo is trained and validated on."""
        return not self.in_both and not any(part.problems for part in self._parts)

    @property
    def _parts(self) -> tuple[Part, ...]:
        return (self.data,) if self.val is None else (self.data, self.val)

    def line(self) -> str:
        """The counts, and whether anything is wrong."""
        found = sum(len(part.problems) for part in self._parts)
        return (
            f"{self.data.photos:,} photos, {self.data.faces:,} faces, {found:,} problems, "
            f"{len(self.repeated):,} repeated, {len(self.in_both):,} in both parts"
        )

    def shown(self) -> tuple[Rows, ...]:
        """A column a part, and the first of what is wrong."""
        parts = self._parts
        counted = [
            ("layout", *(part.layout for part in parts)),
            *((name, *(f"{getattr(part, key):,}" for part in parts)) for name, key in _COUNTS.items()),
            *((f"faces {name}", *(f"{part.octaves[name]:,}" for part in parts)) for name in parts[0].octaves),
            ("unusable", *(f"{len(part.problems):,}" for part in parts)),
        ]
        tables = [Rows("photos and faces", ("", *(part.folder for part in parts)), tuple(counted))]
        problems = [problem for part in parts for problem in part.problems]
        if problems:
            tables.append(_listed("unusable", problems))
        for title, pairs in (("in both parts", self.in_both), ("repeated", self.repeated)):
            if pairs:
                tables.append(_listed(title, [f"{first} = {second}" for first, second in pairs]))
        return tuple(tables)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {"clean": self.clean, **asdict(self)}


_COUNTS = {
    "photos": "photos",
    "without a face": "empty",
    "faces": "faces",
    "faces with landmarks": "with_landmarks",
    "ignored faces": "ignored",
}


def _listed(title: str, lines: Sequence[str]) -> Rows:
    rows = [(str(number), line) for number, line in enumerate(lines[:_LISTED], 1)]
    if len(lines) > _LISTED:
        rows.append(("", f"and {len(lines) - _LISTED:,} more: see --json"))
    return figures(title, tuple(rows))


def photos(data: Path | str, *, val: Path | str | None = None, progress: Progress = SILENT) -> PhotosReport:
    """Look through the labelled photos of `data`, and of `val` that are validated on; every photo is decoded.

    Raises InputError where a folder holds no labels or no usable photo.
    """
    part, hashes = _part_of(Path(data), progress)
    names = list(hashes)
    values = _stacked(hashes)
    repeated = tuple((names[i], names[j]) for i, j in alike(values, values) if i < j)
    if val is None:
        return PhotosReport(part, None, repeated, ())
    other, others = _part_of(Path(val), progress)
    other_names = list(others)
    both = tuple((names[i], other_names[j]) for i, j in alike(values, _stacked(others)))
    return PhotosReport(part, other, repeated, both)


def _stacked(hashes: dict[str, Hash]) -> Hash:
    return np.stack(list(hashes.values())) if hashes else np.zeros((0, 4), np.uint64)


def _part_of(folder: Path, progress: Progress) -> tuple[Part, dict[str, Hash]]:
    """What a folder holds, and the hashes of its photos by name."""
    dataset = open_dataset(folder)
    hashes: dict[str, Hash] = {}
    problems = list(dataset.problems)
    for done, (path, value) in enumerate(_hashes(dataset), 1):
        progress(done, len(dataset.photos), f"looking through {dataset.name}")
        if isinstance(value, InputError):
            problems.append(str(value))
        elif value is not None:
            hashes[str(path)] = value
    labels = [photo.labels for photo in dataset.photos]
    known = sum(int((each.landmarks[~each.ignore, :, 2] > 0).any(axis=1).sum()) for each in labels)
    counts, _ = np.histogram(_sides_px(dataset), [0.0, *OCTAVES_PX, np.inf])
    ends = [f"below {OCTAVES_PX[0]} px", *(f"{low} to {2 * low} px" for low in OCTAVES_PX[:-1])]
    part = Part(
        str(folder),
        layout_of(folder),
        len(dataset.photos),
        dataset.faces,
        sum(int(each.ignore.sum()) for each in labels),
        known,
        sum(not len(each.face_boxes) for each in labels),
        dict(zip([*ends, f"{OCTAVES_PX[-1]} px and more"], map(int, counts), strict=True)),
        tuple(problems),
    )
    return part, hashes


def _sides_px(dataset: Dataset) -> Float64Array:
    """The longer side of each face that counts, in its photo at a long side of 640 px."""
    found = [np.zeros(0)]
    for photo in dataset.photos:
        boxes = photo.labels.face_boxes
        scale = LONG_SIDE_PX / max(photo.width_px, photo.height_px)
        found.append(scale * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0))
    return np.concatenate(found)


def _hashes(dataset: Dataset) -> Iterator[tuple[Path, Hash | InputError | None]]:
    def look(path: Path) -> Hash | InputError | None:
        try:
            return perceptual_hash(read_image(path))
        except InputError as error:
            return error

    paths = [photo.path for photo in dataset.photos]
    with ThreadPoolExecutor(cores()) as pool:
        yield from zip(paths, pool.map(look, paths), strict=True)
