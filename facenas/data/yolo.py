"""Labels as YOLO's tools write them: `labels/NAME.txt` for `images/NAME.jpg`, a line a face.

    class cx cy w h                      as shares of the photo's sides
    class cx cy w h  x y ... (5 points)  or x y v, where v 0 is unknown

A photo without a file, or with an empty one, has no face. Where labels hold several classes, `classes.txt` or `names` in
`data.yaml` must call one of them face.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facenas.arrays import FloatArray
from facenas.data.annotations import Dataset, RawLabels, check_labels, join_datasets
from facenas.data.folder import photos_below
from facenas.data.image import photo_size
from facenas.data.labels import Labels
from facenas.data.labelv2 import read_lines
from facenas.errors import InputError
from facenas.files import read_text
from facenas.graph import LANDMARK_COUNT

_ROW_LENGTHS = (5, 5 + 2 * LANDMARK_COUNT, 5 + 3 * LANDMARK_COUNT)
_FACE = "face"


def read_yolo(labels: Path, images: Path) -> Dataset:
    """Read the label files of a folder and match them with the photos below `images`. Raises InputError with file and line
    where one is not of the format, or it is not clear which class is the faces'."""
    photos = photos_below(images)
    tables = [_parse(labels / Path(photo).with_suffix(".txt")) for photo in photos]
    face = _face_class({int(value) for table in tables for value in table[:, 0]}, labels)
    parts = (_one(labels, images, photo, table, face) for photo, table in zip(photos, tables, strict=True))
    return join_datasets(images.parent.name, parts)


def _one(labels: Path, images: Path, photo: str, table: FloatArray, face: int | None) -> Dataset:
    """One photo with its faces."""
    place = labels / Path(photo).with_suffix(".txt")
    try:
        size = photo_size(images / photo)
    except InputError as error:
        return Dataset(photo, (), (str(error),))
    lines = np.flatnonzero(np.ones(len(table), bool) if face is None else table[:, 0] == face)
    rows = table[lines]
    scale = np.array(size, np.float32)
    centre, half = rows[:, 1:3] * scale, rows[:, 3:5] * scale / 2
    points = rows[:, 5:].reshape(-1, LANDMARK_COUNT, 3).copy()
    points[:, :, :2] *= scale
    points[points[:, :, 2] <= 0] = 0
    points[:, :, 2] = points[:, :, 2] > 0
    raw = RawLabels(
        source=place,
        names=(photo,),
        name_lines=(1,),
        sizes=(size,),
        photo=np.zeros(len(rows), np.int64),
        lines=lines + 1,
        labels=Labels(np.concatenate([centre - half, centre + half], axis=1), points, np.zeros(len(rows), bool)),
    )
    return check_labels(raw, images, photo)


def _parse(path: Path) -> FloatArray:
    """float32 [n, 20]: class, box and landmarks of each line. Raises InputError where one is not of the format."""
    lines = read_lines(path) if path.is_file() else []
    rows = np.zeros((len(lines), 5 + 3 * LANDMARK_COUNT), np.float32)
    for number, line in enumerate(lines, start=1):
        try:
            values = np.array(line.split(), np.float32)
        except ValueError:
            values = np.zeros(0, np.float32)
        whole = values.size in _ROW_LENGTHS and np.isfinite(values).all() and values[0] == int(values[0]) >= 0
        if not whole or (values[1:5] < 0).any() or (values[1:5] > 1).any():
            raise InputError(
                f"{path}:{number}: '{line.strip()[:80]}' is no face; write class cx cy w h as shares of the photo's sides (0 to"
                " 1), and after them five points x y or x y v, if any"
            )
        rows[number - 1, :5] = values[:5]
        points = (
            values[5:].reshape(LANDMARK_COUNT, -1) if values.size > 5 else np.zeros((LANDMARK_COUNT, 3), np.float32)
        )
        rows[number - 1, 5:].reshape(LANDMARK_COUNT, 3)[:, : points.shape[1]] = points
        if points.shape[1] == 2:
            rows[number - 1, 5:].reshape(LANDMARK_COUNT, 3)[:, 2] = 1
    return rows


def _face_class(classes: set[int], labels: Path) -> int | None:
    """The class that is the faces'; None where there is but one. Raises InputError where none is."""
    if len(classes) <= 1:
        return None
    for number, name in _names(labels):
        if name.lower() == _FACE:
            return number
    raise InputError(
        f"{labels} has {len(classes)} classes, and neither classes.txt nor data.yaml beside it calls one '{_FACE}'; name them"
    )


def _names(labels: Path) -> Iterator[tuple[int, str]]:
    """Numbers and names of the classes, from the files that tools write beside the labels."""
    for folder in (labels, labels.parent, labels.parent.parent):
        if (folder / "classes.txt").is_file():
            yield from enumerate(line.strip() for line in read_lines(folder / "classes.txt"))
        if (folder / "data.yaml").is_file():
            text = read_text(folder / "data.yaml", "names of classes", 1 << 20)
            if flow := re.search(r"^names:\s*\[(.*?)\]", text, re.MULTILINE | re.DOTALL):
                yield from enumerate(part.strip(" '\"\n") for part in flow[1].split(","))
            elif block := re.search(r"^names:\s*\n((?:[ -].*\n?)+)", text, re.MULTILINE):
                for index, line in enumerate(block[1].splitlines()):
                    numbered = re.match(r"\s*(?:(\d+):|-)\s*(.+)", line)
                    if numbered:
                        yield int(numbered[1] or index), numbered[2].strip(" '\"")
