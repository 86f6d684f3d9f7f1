"""Detect: faces in photos, in videos, or in what a camera sees, one picture after another in the order they were given.

Photos are shared out among the cores; the frames of a video or a camera come one by one. One that cannot be read costs its
neighbours nothing. Where copies are drawn to is worked out first: to a name of its own each, and never over a file that this
did not draw, which could be one of the photos.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from facenas.data.image import Photo, encode_jpeg
from facenas.detector.face_detector import DEFAULT_MIN_SCORE, FaceDetector, require_long_side, require_min_score
from facenas.detector.many_photos import detect_files
from facenas.detector.sources import distinct_stems, is_moving, list_sources, read_pictures
from facenas.errors import InputError
from facenas.files import open_file, write_atomic
from facenas.given import given_model
from facenas.pipeline.faces import Faces
from facenas.progress import SILENT, Progress
from facenas.steps.fitting_input import fitting_input
from facenas.units import LatencyBudget, as_latency_budget
from facenas.zoo import zoo_model

_JPEG_QUALITY = 92
_DRAWN = b"\xff\xfe\x00\x12drawn by facenas"  # a JPEG comment, right after the start of the image
_START = b"\xff\xd8"
_MAX_BYTES = 1 << 40


@dataclass(frozen=True)
class DetectSettings:
    """`min_score`: the least score of a face; `long_side_px`: photos are scaled to it instead of the model's input;
    `latency`: to the largest input at which the model is predicted to take no longer here (`3ms`, `3ms@p90` or
    milliseconds); `frames`: at most so many of a video or camera; `out`: folder for copies with boxes drawn."""

    min_score: float = DEFAULT_MIN_SCORE
    long_side_px: int | None = None
    frames: int | None = None
    out: Path | None = None
    latency: str | float | LatencyBudget | None = None

    def __post_init__(self) -> None:
        require_min_score(self.min_score)
        if self.latency is not None and self.long_side_px is not None:
            raise InputError(
                f"--latency {self.latency} and --long-side {self.long_side_px} both set the input; keep one"
            )
        if self.long_side_px is not None:
            require_long_side(self.long_side_px)
        if self.frames is not None and self.frames < 1:
            raise InputError(f"{self.frames} frames cannot be looked at; give 1 or more")


@dataclass(frozen=True, eq=False)
class Found:
    """The faces of a photo or a frame (`moving`), and what it is called; `problem`: why there are none, of what could not be
    read (to its end)."""

    image: str
    faces: Faces
    moving: bool
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Box, score and landmarks of each face, in pixels of the photo; or the problem."""
        if self.problem:
            return {"image": self.image, "faces": [], "problem": self.problem}
        faces = self.faces
        landmarks = [None] * len(faces) if faces.landmarks is None else faces.landmarks.round(1).tolist()
        boxes, scores = faces.boxes.astype(float).round(1).tolist(), faces.scores.astype(float).round(4).tolist()
        found = [
            {"box": box, "score": score, "landmarks": points}
            for box, score, points in zip(boxes, scores, landmarks, strict=True)
        ]
        return {"image": self.image, "faces": found}


def detect(
    images: Sequence[Path | str],
    model: Path | str | None = None,
    *,
    settings: DetectSettings = DetectSettings(),
    progress: Progress = SILENT,
) -> Iterator[Found]:
    """What is found in photos, videos, folders, patterns, or a camera's index; `model`: an exported file or a name of the
    zoo (default: the zoo's). What cannot be read, or is a video that ends early, is told as a `Found` with its problem.

    A camera goes on until it is interrupted. Raises InputError where there is nothing to look at, and where a copy would be
    drawn over a file that is none.
    """
    sources = list_sources(images)
    stems = distinct_stems(sources.found)
    if settings.out is not None:
        _require_free(settings.out, sources.found, stems)
    for line in sources.notes:
        progress.note(line)
    for problem in sources.problems:
        yield _unread("", problem, moving=False)
    path, long_side_px = zoo_model() if model is None else given_model(model), settings.long_side_px
    if settings.latency is not None:
        long_side_px = fitting_input(path, as_latency_budget(settings.latency), progress).long_side_px
    detector = FaceDetector(path, long_side_px=long_side_px)
    done = 0
    for moving, group in groupby(zip(sources.found, stems, strict=True), lambda pair: is_moving(pair[0])):
        if moving:
            for source, stem in group:
                yield from _frames(detector, source, stem, settings)
                done += 1
                progress(done, len(sources.found), "detecting")
            continue
        photos = [(source, stem) for source, stem in group if isinstance(source, Path)]
        paths, names = [path for path, _ in photos], [f"{stem}.jpg" for _, stem in photos]
        use = partial(_draw_one, settings.out, names)
        for path, faces in detect_files(detector, paths, settings.min_score, use):
            if isinstance(faces, InputError):
                yield _unread(str(path), str(faces), moving=False)
            else:
                yield Found(str(path), faces, moving=False)
            done += 1
            progress(done, len(sources.found), "detecting")


def _unread(image: str, problem: str, *, moving: bool) -> Found:
    return Found(image, Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), None), moving, problem)


def _frames(detector: FaceDetector, source: Path | int, stem: str, settings: DetectSettings) -> Iterator[Found]:
    pictures = read_pictures(source, settings.frames)
    while True:
        try:
            picture = next(pictures, None)
        except InputError as error:
            yield _unread(str(source), str(error), moving=True)
            return
        except KeyboardInterrupt:
            if isinstance(source, int):
                return  # a camera is stopped like that
            raise
        if picture is None:
            return
        faces = detector(picture.photo, settings.min_score)
        _draw(settings.out, f"{stem}-{picture.number:06d}.jpg", picture.photo, faces)
        yield Found(picture.image, faces, moving=True)


def _require_free(out: Path, sources: Sequence[Path | int], stems: Sequence[str]) -> None:
    """Raises InputError where a copy would be drawn over a file that this did not draw."""
    for source, stem in zip(sources, stems, strict=True):
        try:
            there = list(out.glob(f"{_literal(stem)}-*.jpg")) if is_moving(source) else [out / f"{stem}.jpg"]
            taken = next((path for path in there if path.exists() and not _is_drawn(path)), None)
        except OSError as error:
            raise InputError(f"cannot draw into {out}: {error.strerror}; choose another --out") from error
        if taken is not None:
            raise InputError(f"{taken} would be overwritten, and it is no drawing of facenas; choose another --out")


def _literal(name: str) -> str:
    """A name as a pattern that only matches itself."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)


def _is_drawn(path: Path) -> bool:
    with open_file(path, "drawing", _MAX_BYTES) as file:
        return file.read(len(_START + _DRAWN)) == _START + _DRAWN


def _draw_one(out: Path | None, names: Sequence[str], index: int, photo: Photo, faces: Faces) -> None:
    _draw(out, names[index], photo, faces)


def _draw(out: Path | None, name: str, photo: Photo, faces: Faces) -> None:
    """A copy of the photo, or frame, with boxes, called `name`."""
    if out is not None:
        content = encode_jpeg(faces.draw(photo), _JPEG_QUALITY)
        write_atomic(out / name, _START + _DRAWN + content.removeprefix(_START))
