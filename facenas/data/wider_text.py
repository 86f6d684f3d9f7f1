"""WIDER FACE's own label text, `wider_face_{train,val}_bbx_gt.txt`.

A photo is a line with its name (`event/file.jpg`), a line with the number of its faces, and a line a face:
`x y w h blur expression illumination invalid occlusion pose`. A photo with 0 faces is followed by one line of zeros.
`invalid` 1 marks a region that the benchmark leaves out: it becomes an ignore box.
"""

from pathlib import Path

import numpy as np

from facenas.data.annotations import Dataset, RawLabels, check_labels
from facenas.data.labels import Labels
from facenas.data.labelv2 import read_lines
from facenas.errors import InputError
from facenas.graph import LANDMARK_COUNT

_INVALID_COLUMN = 7
_MOST_DIGITS = 9
_LARGEST = 10**_MOST_DIGITS


def read_wider_text(labels: Path, images: Path, name: str | None = None) -> Dataset:
    """Read WIDER FACE's label text and match it with the photos `images/<event>/<file>`.

    Raises InputError with file and line where the text is not of the format. Labels that do not fit their photo are
    listed in the result's `problems`.
    """
    return check_labels(parse_wider_text(labels), images, name or labels.stem)


def parse_wider_text(labels: Path) -> RawLabels:
    """Parse the text alone. Raises InputError with file, line and text where it is not of the format."""
    text = read_lines(labels)
    names: list[str] = []
    name_lines: list[int] = []
    rows: list[list[int]] = []
    photo: list[int] = []
    lines: list[int] = []
    at = 0
    while at < len(text):
        if not text[at].strip():
            at += 1
            continue
        names.append(text[at].strip())
        name_lines.append(at + 1)
        faces = _parse_count(text, at + 1, labels)
        at += 2
        for line in range(at, at + faces):
            rows.append(_parse_face(text, line, labels))
            photo.append(len(names) - 1)
            lines.append(line + 1)
        at += faces
        if faces == 0 and at < len(text) and set(text[at].split()) == {"0"}:
            at += 1
    values = np.array(rows, dtype=np.int64).reshape(-1, 10)
    corner, size = values[:, :2], values[:, 2:4]
    boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    unknown = np.zeros((len(values), LANDMARK_COUNT, 3), dtype=np.float32)
    return RawLabels(
        source=labels,
        names=tuple(names),
        name_lines=tuple(name_lines),
        sizes=None,
        photo=np.array(photo, dtype=np.int64),
        lines=np.array(lines, dtype=np.int64),
        labels=Labels(boxes, unknown, values[:, _INVALID_COLUMN] != 0),
    )


def _parse_count(text: list[str], at: int, labels: Path) -> int:
    line = text[at].strip() if at < len(text) else "end of file"
    if not line.isdecimal() or len(line) > _MOST_DIGITS:
        raise InputError(
            f"{labels}:{at + 1}: '{line[:80]}' is no number of faces; after a photo's name write the number"
        )
    return int(line)


def _parse_face(text: list[str], at: int, labels: Path) -> list[int]:
    line = text[at].strip() if at < len(text) else "end of file"
    try:
        row = [int(part) for part in line.split()]
    except ValueError:
        row = []
    if len(row) != 10 or max(row) >= _LARGEST or min(row) <= -_LARGEST:
        raise InputError(
            f"{labels}:{at + 1}: '{line[:80]}' is no face; write the 10 whole numbers "
            "'x y w h blur expression illumination invalid occlusion pose'"
        )
    return row
