"""The labelv2 text format (SCRFD's): a header a photo, `# file width height`, then a line a face.

A face line has 4 numbers (`x1 y1 x2 y2` in pixels), or 19 (and five landmarks `x y flag`), or 20 (and `ignore`, 0 or
1). A landmark is unknown where its flag is -1 or its point is (-1, -1); flags 0 and 1 (visible, occluded) are known.
A header without face lines is a photo without faces.
"""

from pathlib import Path

import numpy as np

from facenas.arrays import FloatArray
from facenas.data.annotations import Dataset, RawLabels, check_labels
from facenas.data.labels import Labels
from facenas.data.pieces import PIECE_LABELS, labels_text_of
from facenas.errors import InputError
from facenas.files import read_text

_ROW_LENGTHS = (4, 19, 20)
_MOST_DIGITS = 9  # of a photo's side


def read_labelv2(labels: Path, images: Path | None, name: str | None = None) -> Dataset:
    """Read a labelv2 file and match it with the photos in folder `images` (None: believe the sizes, open no photo).

    Raises InputError with file, line and text where a line is not of the format. Labels that do not fit their photo
    are listed in the result's `problems`.
    """
    return check_labels(parse_labelv2(labels), images, name or labels.parent.name)


def read_piece(piece: Path) -> Dataset:
    """Read a piece (facenas/data/pieces.py) as `read_labelv2` reads a folder."""
    place = piece / PIECE_LABELS
    try:
        text = labels_text_of(piece).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{place} is not UTF-8 text (byte {error.start}); pack again") from error
    return check_labels(parse_lines(_lines_of(text), place), piece / "images", piece.stem)


def parse_labelv2(labels: Path) -> RawLabels:
    """Parse the text alone. Raises InputError with file, line and text where a line is not of the format."""
    return parse_lines(read_lines(labels), labels)


def parse_lines(text: list[str], labels: Path) -> RawLabels:
    """Parse the lines of a file that is called `labels` in errors; otherwise as `parse_labelv2`."""
    names: list[str] = []
    name_lines: list[int] = []
    sizes: list[tuple[int, int]] = []
    faces: list[str] = []
    photo: list[int] = []
    lines: list[int] = []
    for number, line in enumerate(text, start=1):
        if line.startswith("#"):
            name, width_px, height_px = _parse_header(line, labels, number)
            names.append(name)
            name_lines.append(number)
            sizes.append((width_px, height_px))
        elif line and not line.isspace():
            if not names:
                raise InputError(f"{labels}:{number}: face before any photo; start with '# file width height'")
            faces.append(line)
            photo.append(len(names) - 1)
            lines.append(number)
    table = _parse_faces(faces, lines, labels)
    return RawLabels(
        source=labels,
        names=tuple(names),
        name_lines=tuple(name_lines),
        sizes=tuple(sizes),
        photo=np.array(photo, dtype=np.int64),
        lines=np.array(lines, dtype=np.int64),
        labels=Labels(table[:, :4], _known_landmarks(table[:, 4:19].reshape(-1, 5, 3)), table[:, 19] == 1),
    )


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, whatever system and editor wrote it. Raises InputError where it is no UTF-8 text."""
    return _lines_of(read_text(path, "labels"))


def _lines_of(text: str) -> list[str]:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n") if text else []


def _parse_header(line: str, labels: Path, number: int) -> tuple[str, int, int]:
    parts = line[1:].strip().rsplit(maxsplit=2)
    if len(parts) == 3 and all(side.isdecimal() and len(side) <= _MOST_DIGITS and int(side) for side in parts[1:]):
        return parts[0], int(parts[1]), int(parts[2])
    raise InputError(f"{labels}:{number}: '{line.strip()[:80]}' is no header; write '# file width height' in pixels")


def _parse_faces(faces: list[str], lines: list[int], labels: Path) -> FloatArray:
    """The face lines as float32 [n, 20], filled up where they have fewer numbers."""
    if not faces:
        return np.zeros((0, 20), dtype=np.float32)
    try:  # all lines of one length at once, three times as fast
        table = np.loadtxt(faces, dtype=np.float32, comments=None, ndmin=2)
    except ValueError:  # of several lengths, or broken: line by line, which names the broken one
        table = np.array([_parse_face(face, labels, line) for face, line in zip(faces, lines, strict=True)], np.float32)
    wrong = ~np.isfinite(table).all(axis=1)
    if table.shape[1] == 20:
        wrong |= (table[:, 19] != 0) & (table[:, 19] != 1)
    if table.shape[1] not in _ROW_LENGTHS or wrong.any():
        row = int(wrong.argmax())
        raise _not_a_face(faces[row], labels, lines[row])
    return _fill(table)


def _parse_face(line: str, labels: Path, number: int) -> FloatArray:
    """The numbers of one face line, filled up to 20."""
    try:
        row = np.array(line.split(), dtype=np.float32)
    except ValueError:
        raise _not_a_face(line, labels, number) from None
    if row.size not in _ROW_LENGTHS:
        raise _not_a_face(line, labels, number)
    filled: FloatArray = _fill(row[None])[0]
    return filled


def _fill(table: FloatArray) -> FloatArray:
    """Rows of 4, 19 or 20 numbers as 20: landmarks unknown, not ignored."""
    filled = np.full((len(table), 20), -1, dtype=np.float32)
    filled[:, 19] = 0
    filled[:, : table.shape[1]] = table
    return filled


def _not_a_face(line: str, labels: Path, number: int) -> InputError:
    return InputError(
        f"{labels}:{number}: '{line.strip()[:80]}' is no face; write 4 numbers (x1 y1 x2 y2), "
        "or 19 (and five landmarks x y flag), or 20 (and ignore, 0 or 1)"
    )


def _known_landmarks(landmarks: FloatArray) -> FloatArray:
    """From x, y, flag as written to x, y, known (0 or 1) with zeros for unknown points."""
    unknown = (landmarks[:, :, 2] < 0) | (landmarks[:, :, :2] == -1).all(axis=2)
    known = landmarks.copy()
    known[:, :, 2] = 1
    known[unknown] = 0
    return known


def labelv2_text(name: str, size_px: tuple[int, int], labels: Labels) -> str:
    """The lines of a photo that is called `name`, with two decimals; size_px: its width and height. Raises InputError for a
    name that no header can hold."""
    header = f"# {name} {size_px[0]} {size_px[1]}"
    if name != name.strip() or {"\n", "\r"} & set(name) or not _is_utf8(name):
        raise InputError(f"a photo that is called {name!r} cannot stand in labelv2.txt; give it a plainer name")
    lines = [header]
    for box, landmarks, ignore in zip(labels.boxes, labels.landmarks, labels.ignore, strict=True):
        points = [f"{x:.2f} {y:.2f} 1" if known else "-1 -1 -1" for x, y, known in landmarks]
        lines.append(" ".join([*(f"{value:.2f}" for value in box), *points, str(int(ignore))]))
    return "\n".join(lines) + "\n"


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # Python's escapes of other bytes in a file's name
        return False
    return True
