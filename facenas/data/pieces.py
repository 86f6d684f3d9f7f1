"""Photos that lie together in a *piece*: a ZIP file, not compressed further, that holds `labelv2.txt` and `images/`.

A photo in it is named like one in a folder, `train-1.zip/images/party/a.webp`, and whoever reads photos reads it by that
name. A piece is a labelv2 set of its own, unpacked too; several in one folder are joined.
"""

import os
import zipfile
from functools import lru_cache
from pathlib import Path

from facenas.errors import InputError
from facenas.files import MAX_TEXT_BYTES, open_file

PIECE_SUFFIX = ".zip"
PIECE_LABELS = "labelv2.txt"
MAX_PIECE_BYTES = 1 << 40
_COMPRESSED = -1
_LOCAL_HEADER = 30  # bytes before a file's name and its extra field, whose lengths are its last four


def pieces_in(folder: Path) -> list[Path]:
    """The pieces among the files of a folder, in the order of their names; a piece is itself one."""
    if is_piece(folder):
        return [folder]
    return [path for path in sorted(folder.glob(f"*{PIECE_SUFFIX}")) if is_piece(path)]


def is_piece(path: Path) -> bool:
    """Whether there is a ZIP file with labels in it."""
    if path.suffix != PIECE_SUFFIX or not path.is_file():
        return False
    try:
        return PIECE_LABELS in _entries_of(path)
    except InputError:
        return False


def in_piece(path: Path) -> bool:
    """Whether a photo's path leads into a ZIP file."""
    return _divided(path) is not None


def read_in_piece(path: Path) -> bytes:
    """What lies at a path in a piece. Raises InputError where there is nothing, or the file is damaged."""
    divided = _divided(path)
    if divided is None or divided[1] not in (entries := _entries_of(divided[0])):
        raise InputError(f"no photo at {path}; check the path")
    piece, name = divided
    start, length = entries[name]
    if start == _COMPRESSED:
        raise InputError(f"{piece}: {name} is compressed; pack with `facenas pack`, or `zip -0`")
    with open_file(piece, "piece", MAX_PIECE_BYTES) as file:
        file.seek(start)
        header = file.read(_LOCAL_HEADER)
        gap = int.from_bytes(header[-4:-2], "little") + int.from_bytes(header[-2:], "little")
        file.seek(gap, os.SEEK_CUR)
        content = file.read(length)
    if len(content) != length:
        raise InputError(f"{piece} is cut off within {name}; copy it again")
    return content


def _divided(path: Path) -> tuple[Path, str] | None:
    """The ZIP file that a path leads into, and the name in it."""
    for above in path.parents:
        if above.suffix == PIECE_SUFFIX and above.is_file():
            return above, path.relative_to(above).as_posix()
    return None


def _entries_of(piece: Path) -> dict[str, tuple[int, int]]:
    status = piece.stat()
    return _read_entries(piece, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _read_entries(piece: Path, _size: int, _changed_ns: int) -> dict[str, tuple[int, int]]:
    """Start and length in bytes of every file in a ZIP file, as it is now. Raises InputError where it cannot be used."""
    try:
        with zipfile.ZipFile(piece) as file:
            infos = [info for info in file.infolist() if not info.is_dir()]
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(f"{piece} is no whole ZIP file ({error}); copy it again") from error
    # Only files that are stored as they are are read: they cannot grow beyond the piece that holds them.
    return {
        info.filename: (info.header_offset if info.compress_type == zipfile.ZIP_STORED else _COMPRESSED, info.file_size)
        for info in infos
    }


def labels_text_of(piece: Path) -> bytes:
    """The bytes of a piece's labelv2.txt. Raises InputError where it is too large, or as `read_in_piece`."""
    content = read_in_piece(piece / PIECE_LABELS)
    if len(content) > MAX_TEXT_BYTES:
        raise InputError(f"the labels in {piece} have {len(content):,} bytes; {MAX_TEXT_BYTES:,} are the most")
    return content
