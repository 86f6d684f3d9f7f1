"""Detect: faces in photos, in videos, or in what a camera sees, one picture after another in the order they were given.

Photos are shared out among the cores; the frames of a video or a camera come one by one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from facenas.data.image import Photo, encode_jpeg
from facenas.detector.face_detector import DEFAULT_MIN_SCORE, FaceDetector
from facenas.detector.many_photos import detect_files
from facenas.detector.sources import is_moving, list_sources, read_pictures
from facenas.errors import InputError
from facenas.files import write_atomic
from facenas.pipeline.faces import Faces
from facenas.progress import SILENT, Progress
from facenas.zoo import zoo_model

_JPEG_QUALITY = 92


@dataclass(frozen=True)
class DetectSettings:
    """`min_score`: the least score of a face; `long_side_px`: photos are scaled to it instead of the model's input;
    `frames`: at most so many of a video or camera; `out`: folder for copies with boxes drawn."""

    min_score: float = DEFAULT_MIN_SCORE
    long_side_px: int | None = None
    frames: int | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        if not 0 < self.min_score < 1:
            raise InputError(f"--min-score {self.min_score} must lie between 0 and 1")


@dataclass(frozen=True, eq=False)
class Found:
    """The faces of a photo or a frame (`moving`), and what it is called."""

    image: str
    faces: Faces
    moving: bool

    def to_json(self) -> dict[str, Any]:
        """Box, score and landmarks of each face, in pixels of the photo."""
        faces = self.faces
        landmarks = [None] * len(faces) if faces.landmarks is None else faces.landmarks.round(1).tolist()
        boxes, scores = faces.boxes.astype(float).round(1).tolist(), faces.scores.astype(float).round(4).tolist()
        found = [
            {"box": box, "score": score, "landmarks": points}
            for box, score, points in zip(boxes, scores, landmarks, strict=True)
        ]
        return {"image": self.image, "faces": found}


def detect(
    images: Sequence[Path],
    model: Path | str | None = None,
    *,
    settings: DetectSettings = DetectSettings(),
    progress: Progress = SILENT,
) -> Iterator[Found]:
    """What is found in photos, videos, folders, patterns, or a camera's index; `model`: an exported file or a name of the
    zoo (default: the zoo's).

    A camera goes on until it is interrupted. Raises InputError where there is nothing to look at, and for what cannot be
    read: a video that ends early, after its frames.
    """
    sources = list_sources(images)
    detector = FaceDetector(zoo_model() if model is None else model, long_side_px=settings.long_side_px)
    done = 0
    for moving, group in groupby(sources, is_moving):
        if moving:
            for source in group:
                yield from _frames(detector, source, settings)
                done += 1
                progress(done, len(sources), "detecting")
            continue
        photos = [source for source in group if isinstance(source, Path)]
        for path, faces in detect_files(detector, photos, settings.min_score, partial(_draw, settings.out)):
            yield Found(str(path), faces, moving=False)
            done += 1
            progress(done, len(sources), "detecting")


def _frames(detector: FaceDetector, source: Path | int, settings: DetectSettings) -> Iterator[Found]:
    try:
        for picture in read_pictures(source, settings.frames):
            faces = detector(picture.photo, settings.min_score)
            _draw(settings.out, Path(picture.stem), picture.photo, faces)
            yield Found(picture.image, faces, moving=True)
    except KeyboardInterrupt:
        if not isinstance(source, int):
            raise  # a camera is stopped like that


def _draw(out: Path | None, path: Path, photo: Photo, faces: Faces) -> None:
    """A copy of the photo, or frame, called like `path`."""
    if out is not None:
        write_atomic(out / f"{path.stem}.jpg", encode_jpeg(faces.draw(photo), _JPEG_QUALITY))
