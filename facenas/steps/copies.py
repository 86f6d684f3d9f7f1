"""What `detect` leaves of each picture: a copy with boxes or with the faces blurred, the faces cut out, a video with boxes.

Nothing is written over a file that this did not write, which could be one of the photos: JPEGs carry a comment that says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from facenas.data.image import Photo, encode_jpeg
from facenas.data.video import frame_rate
from facenas.detector.sources import is_moving
from facenas.errors import InputError
from facenas.files import make_folder, open_file, write_atomic
from facenas.pipeline.draw import blur_faces
from facenas.pipeline.faces import Faces

_JPEG_QUALITY = 92
_DRAWN = b"\xff\xfe\x00\x12drawn by facenas"  # a JPEG comment, right after the start of the image
_START = b"\xff\xd8"
_MAX_BYTES = 1 << 40
_MARGIN = 0.25  # around a face that is cut out, of its box's sides
_USUAL_RATE = 25.0


@dataclass(frozen=True)
class Copies:
    """`out`: folder for copies with boxes, or with blurred faces (`blur`); of a video one .mp4 (`video`) instead of a picture
    a frame. `crops`: folder for the faces, cut out with a margin, STEM-face000.jpg the best. None: nothing is kept."""

    out: Path | None = None
    blur: bool = False
    crops: Path | None = None
    video: bool = False

    def __post_init__(self) -> None:
        if self.out is None and (self.blur or self.video):
            raise InputError(f"--{'blur' if self.blur else 'video'} says how copies look; say where with --out FOLDER")

    def require_free(self, sources: Sequence[Path | int], stems: Sequence[str]) -> None:
        """Raises InputError where a copy would be written over a file that this did not write."""
        for source, stem in zip(sources, stems, strict=True):
            moving = is_moving(source)
            if self.out is not None:
                names = [f"{stem}.mp4"] if moving and self.video else [f"{stem}-*.jpg" if moving else f"{stem}.jpg"]
                _require_free(self.out, names[0], stem)
            if self.crops is not None:
                _require_free(self.crops, f"{stem}-*.jpg" if moving else f"{stem}-face*.jpg", stem)

    def keep(self, stem: str, photo: Photo, faces: Faces) -> None:
        """Write what is asked for of a photo, or of a frame."""
        if self.out is not None:
            _write(self.out / f"{stem}.jpg", self.shown(photo, faces))
        self.keep_crops(stem, photo, faces)

    def keep_crops(self, stem: str, photo: Photo, faces: Faces) -> None:
        """Write the faces alone."""
        if self.crops is not None:
            for index, face in enumerate(faces):
                _write(self.crops / f"{stem}-face{index:03d}.jpg", crop_of(photo, face.box))

    def shown(self, photo: Photo, faces: Faces) -> Photo:
        """The copy itself."""
        return blur_faces(photo, faces.boxes) if self.blur else faces.draw(photo)

    def film(self, source: Path | int, stem: str) -> "Film | None":
        """What the frames of a video are put into, where one is asked for."""
        return Film(self, self.out / f"{stem}.mp4", frame_rate(source)) if self.video and self.out is not None else None


class Film:
    """A video with boxes, or blurred faces: it has its name only when `close` was called, so that no half of one is left."""

    def __init__(self, copies: Copies, path: Path, rate: float | None) -> None:
        self._copies, self._path, self._rate = copies, path, rate or _USUAL_RATE
        self._partial = path.with_name(f".{path.stem}.partial.mp4")
        self._writer: cv2.VideoWriter | None = None

    def add(self, photo: Photo, faces: Faces) -> None:
        """The next frame. Raises InputError where the video cannot be written."""
        if self._writer is None:
            make_folder(self._path.parent)
            height, width = photo.shape[:2]
            # As a fraction: containers hold no rate of 29.97002997...
            rate = float(Fraction(self._rate).limit_denominator(1001))
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._partial), code, rate, (width, height))
            if not self._writer.isOpened():
                raise InputError(f"cannot write {self._path}; check the folder, or leave out --video")
        self._writer.write(cv2.cvtColor(self._copies.shown(photo, faces), cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Write what there is to its place."""
        if self._writer is not None:
            self._writer.release()
            self._partial.replace(self._path)
            self._writer = None


def crop_of(photo: Photo, box: np.typing.NDArray[np.float32]) -> Photo:
    """The face alone with a margin, as far as the photo reaches; at least a pixel."""
    height, width = photo.shape[:2]
    margin = _MARGIN * np.tile(box[2:] - box[:2], 2) * (-1, -1, 1, 1)
    x1, y1, x2, y2 = (round(float(value)) for value in box + margin)
    left, top = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
    return photo[top : max(min(y2, height), top + 1), left : max(min(x2, width), left + 1)]


def _write(path: Path, picture: Photo) -> None:
    content = encode_jpeg(np.ascontiguousarray(picture), _JPEG_QUALITY)
    write_atomic(path, _START + _DRAWN + content.removeprefix(_START))


def _require_free(out: Path, pattern: str, stem: str) -> None:
    try:
        there = list(out.glob(pattern.replace(stem, _literal(stem), 1)))
        taken = next((path for path in there if path.suffix == ".mp4" or not _is_drawn(path)), None)
    except OSError as error:
        raise InputError(f"cannot draw into {out}: {error.strerror}; choose another --out") from error
    if taken is not None:
        raise InputError(f"{taken} would be overwritten, and it is no drawing of facenas; choose another folder")


def _literal(name: str) -> str:
    """A name as a pattern that only matches itself."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)


def _is_drawn(path: Path) -> bool:
    with open_file(path, "drawing", _MAX_BYTES) as file:
        return file.read(len(_START + _DRAWN)) == _START + _DRAWN
