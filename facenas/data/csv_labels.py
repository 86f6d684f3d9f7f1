"""Labels as a plain table, `labels.csv`: a header, then a row a face.

    file, x1, y1, x2, y2        or  file, x, y, w, h        in pixels; a column `ignore` (0 or 1) may follow

Columns are found by their names (also xmin, ymin, xmax, ymax; width, height; image, filename, path), whatever their order. A
row with a file and no numbers is a photo without a face.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facenas.data.annotations import Dataset, RawLabels, check_labels
from facenas.data.labels import Labels
from facenas.data.labelv2 import read_lines
from facenas.errors import InputError
from facenas.graph import LANDMARK_COUNT

_FILES = ("file", "image", "filename", "path", "file_name", "image_path")
_CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))
_SIZES = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))


def read_csv(labels: Path, images: Path) -> Dataset:
    """Read the table and match it with the photos in folder `images`. Raises InputError with file and line where a row is not
    of the format."""
    return check_labels(parse_csv(labels), images, labels.parent.name)


def parse_csv(labels: Path) -> RawLabels:
    """Parse the text alone; as `read_csv`."""
    lines = read_lines(labels)
    if not lines:
        raise InputError(f"{labels} is empty; begin with a header: file,x1,y1,x2,y2")
    try:
        rows = list(csv.reader(lines, strict=True))
    except csv.Error as error:
        raise InputError(f"{labels} is no table ({error}); write a row a face: file,x1,y1,x2,y2") from error
    header = [column.strip().lower() for column in rows[0]]
    file, columns, sized = _columns(header, labels)
    ignore = header.index("ignore") if "ignore" in header else None
    first: dict[str, int] = {}  # of each photo the line that names it first
    place: dict[str, int] = {}
    photo: list[int] = []
    at: list[int] = []
    boxes: list[list[float]] = []
    ignored: list[bool] = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise InputError(f"{labels}:{number}: {len(row)} cells where the header has {len(header)}; correct the row")
        cells = [cell.strip() for cell in row]
        first.setdefault(cells[file], number)
        place.setdefault(cells[file], len(place))
        written = [cells[column] for column in columns]
        if not any(written):
            continue
        photo.append(place[cells[file]])
        at.append(number)
        boxes.append(_numbers(written, labels, number))
        ignored.append(ignore is not None and cells[ignore] not in ("", "0"))
    table = np.array(boxes, np.float32).reshape(-1, 4)
    if sized:
        table[:, 2:] += table[:, :2]
    unknown = np.zeros((len(table), LANDMARK_COUNT, 3), np.float32)
    return RawLabels(
        source=labels,
        names=tuple(first),
        name_lines=tuple(first.values()),
        sizes=None,
        photo=np.array(photo, np.int64),
        lines=np.array(at, np.int64),
        labels=Labels(table, unknown, np.array(ignored, bool)),
    )


def _columns(header: Sequence[str], labels: Path) -> tuple[int, list[int], bool]:
    """Which column names the file, which hold the box, and whether its last two are width and height."""
    file = next((header.index(name) for name in _FILES if name in header), None)
    for names, sized in (*((names, False) for names in _CORNERS), *((names, True) for names in _SIZES)):
        if file is not None and set(names) <= set(header):
            return file, [header.index(name) for name in names], sized
    raise InputError(
        f"{labels}:1: '{','.join(header)[:80]}' names no box; write file,x1,y1,x2,y2 or file,x,y,w,h (and ignore)"
    )


def _numbers(cells: Sequence[str], labels: Path, number: int) -> list[float]:
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        values = [float("nan")]
    if not np.isfinite(values).all() or max(map(abs, values)) > 1e9:
        raise InputError(f"{labels}:{number}: '{','.join(cells)[:80]}' are not four numbers in pixels; correct the row")
    return values
