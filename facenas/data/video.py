"""Frames of a video file or a camera as uint8 RGB photos, read by OpenCV one at a time.

How many frames a header promises is an estimate: files that were cut without encoding them again, with sound that is longer
or with a varying rate promise more than there are. A file is called cut off only where its own boxes say that it was longer.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from facenas.data.image import Photo
from facenas.errors import InputError
from facenas.files import open_file

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"})
# Frame counts in headers are estimates; this much less is no early end.
_MISSING_FRAMES, _MISSING_SHARE = 2, 0.02
_MAX_BYTES = 1 << 45
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"uuid")
# How else containers begin: AVI, Matroska, MPEG program and video streams, Windows Media.
_BEGINNINGS = (b"RIFF", _EBML, b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"\x30\x26\xb2\x75")
_TRANSPORT = b"G"


def read_frames(source: Path | int, most: int | None = None) -> Iterator[Photo]:
    """Frames of a video file, or of the camera with that index, until its end or `most` of them.

    Raises InputError where the file or camera cannot be opened or gives no frame; and, after its frames were given, for
    a file that was cut off or a camera that stops.
    """
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # what OpenCV would print is said by the errors below
    capture = _open(source)
    try:
        promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if isinstance(source, Path) else 0
        count = 0
        while most is None or count < most:
            taken, frame = capture.read()
            if not taken or frame is None:
                break
            count += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    except cv2.error as error:
        raise InputError(f"cannot go on with {_name(source)}: {error.err}") from error
    finally:
        capture.release()
    if most is not None and count >= most:
        return
    if isinstance(source, int):
        raise InputError(f"camera {source} gave no frame after {count}; check that no other program uses it")
    if count == 0:
        raise InputError(f"video {source} holds no frame that can be decoded; save it as H.264 in an .mp4 file")
    if promised - count > max(_MISSING_FRAMES, _MISSING_SHARE * promised) and is_cut_off(source):
        raise InputError(
            f"video {source} ends early, after {count} of {promised} frames; these are done: copy the file again for "
            "the rest"
        )


def frame_rate(source: Path | int) -> float | None:
    """Frames a second that a video, or camera, says it has; None where it says none. Raises InputError as `read_frames`."""
    capture = _open(source)
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    capture.release()
    return rate if 0 < rate < 1000 else None


def is_cut_off(path: Path) -> bool:
    """Whether a video's own boxes reach beyond the end of the file, for MP4, AVI and Matroska."""
    with open_file(path, "video", _MAX_BYTES) as file:
        length = file.seek(0, 2)
        file.seek(0)
        start = file.read(12)
        file.seek(0)
        if start.startswith(b"RIFF"):
            return _riff_end(file, length) > length
        if start.startswith(_EBML):
            return _segment_end(file) > length
        return _boxes_end(file, length) > length if start[4:8] in _BOXES else False


def _riff_end(file: BinaryIO, length: int) -> int:
    """Where the last of the RIFF chunks that follow one another says that it ends; each chunk is padded to even bytes."""
    end = 0
    while end < length:
        file.seek(end)
        head = file.read(8)
        if len(head) < 8 or not head.startswith(b"RIFF"):
            break
        end += 8 + struct.unpack("<I", head[4:])[0]
        end += end % 2 if end < length else 0
    return end


def _boxes_end(file: BinaryIO, length: int) -> int:
    """Where the last of the MP4 boxes that follow one another says that it ends."""
    end = 0
    while end < length:
        file.seek(end)
        head = file.read(16)
        if len(head) < 8:
            break
        size = struct.unpack(">I", head[:4])[0]
        if size == 1 and len(head) == 16:
            size = struct.unpack(">Q", head[8:])[0]
        if size < 8:  # 0: to the end of the file
            break
        end += size
    return end


def _segment_end(file: BinaryIO) -> int:
    """Where a Matroska file's segment says that it ends; 0 where it leaves that open."""
    for _ in range(2):  # the header, and then the segment
        kind, _ = _ebml_number(file, keep_marker=True)
        size, unknown = _ebml_number(file, keep_marker=False)
        if kind == _SEGMENT:
            return 0 if unknown else file.tell() + size
        file.seek(size, 1)
    return 0


def _ebml_number(file: BinaryIO, *, keep_marker: bool) -> tuple[int, bool]:
    """A number of variable length, and whether all of its bits are set, which stands for unknown."""
    first = (file.read(1) or b"\0")[0]
    more = 8 - first.bit_length() if first else 0
    value = first if keep_marker else first & ((1 << (7 - more)) - 1)
    value = int.from_bytes(bytes([value]) + file.read(more), "big")
    return value, value == (1 << (7 * (more + 1))) - 1


def _open(source: Path | int) -> cv2.VideoCapture:
    if isinstance(source, Path):
        _require_video(source)
    try:
        # With its folder, or a name such as http:a.mp4 would be an address.
        capture = cv2.VideoCapture(source if isinstance(source, int) else str(source.absolute()))
    except cv2.error as error:
        raise InputError(f"cannot open {_name(source)}: {error.err}") from error
    if not capture.isOpened():
        cure = "check that it is plugged in and may be used" if isinstance(source, int) else "save it as an .mp4 file"
        raise InputError(f"cannot open {_name(source)}; {cure}")
    return capture


def _require_video(path: Path) -> None:
    """Raises InputError for what is no container of frames: a play list, for one, would have others opened."""
    with open_file(path, "video", _MAX_BYTES) as file:
        start = file.read(12)
    if not (start.startswith((*_BEGINNINGS, _TRANSPORT)) or start[4:8] in _BOXES):
        raise InputError(f"cannot open video {path}: it is no video file; save it as an .mp4 file")


def _name(source: Path | int) -> str:
    return f"camera {source}" if isinstance(source, int) else f"video {source}"
