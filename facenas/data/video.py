"""Frames of a video file or a camera as uint8 RGB photos, read by OpenCV one at a time."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from facenas.data.image import Photo
from facenas.errors import InputError

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"})
# Frame counts in headers are estimates; this much less is no early end.
_MISSING_FRAMES, _MISSING_SHARE = 2, 0.02


def read_frames(source: Path | int, most: int | None = None) -> Iterator[Photo]:
    """Frames of a video file, or of the camera with that index, until its end or `most` of them.

    Raises InputError where the file or camera cannot be opened or gives no frame; and, after its frames were given, for
    a file that ends before its header says or a camera that stops.
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
    finally:
        capture.release()
    if most is not None and count >= most:
        return
    if isinstance(source, int):
        raise InputError(f"camera {source} gave no frame after {count}; check that no other program uses it")
    if count == 0:
        raise InputError(f"video {source} holds no frame that can be decoded; save it as H.264 in an .mp4 file")
    if promised - count > max(_MISSING_FRAMES, _MISSING_SHARE * promised):
        raise InputError(
            f"video {source} ends early, after {count} of {promised} frames; these are done: copy the file again for "
            "the rest"
        )


def _open(source: Path | int) -> cv2.VideoCapture:
    if isinstance(source, Path) and not source.is_file():
        raise InputError(f"no video at {source}; check the path")
    try:
        capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
    except cv2.error as error:
        raise InputError(f"cannot open {_name(source)}: {error.err}") from error
    if not capture.isOpened():
        cure = "check that it is plugged in and may be used" if isinstance(source, int) else "save it as an .mp4 file"
        raise InputError(f"cannot open {_name(source)}; {cure}")
    return capture


def _name(source: Path | int) -> str:
    return f"camera {source}" if isinstance(source, int) else f"video {source}"
