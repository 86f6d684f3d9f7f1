"""Detect: faces in photos, in videos, or in what a camera sees, one picture after another in the order they were given.

Photos are shared out among the cores; the frames of a video or a camera come one by one. One that cannot be read costs its
neighbours nothing. Where copies are drawn to is worked out first: to a name of its own each, and never over a file that this
did not draw, which could be one of the photos.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from facenas.data.image import Photo
from facenas.detector.addresses import fetched
from facenas.detector.face_detector import DEFAULT_MIN_SCORE, FaceDetector, require_long_side, require_min_score
from facenas.detector.many_photos import detect_files
from facenas.detector.sources import distinct_stems, is_moving, list_sources, read_pictures
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.exporters.formats import description_of
from facenas.given import given_model
from facenas.pipeline.faces import Faces
from facenas.progress import SILENT, Progress
from facenas.steps.copies import Copies
from facenas.steps.fitting_input import fitting_input
from facenas.steps.place import place_of
from facenas.units import LatencyBudget, Size, as_latency_budget
from facenas.zoo import zoo_model

_SHRUNK = 8  # photos of 12 megapixels in an input of 640 are made 6 times smaller
_SMALLEST_PX = 8  # of a face in the input, to be found


@dataclass(frozen=True)
class DetectSettings:
    """`min_score`: the least score of a face; `long_side_px`: photos are scaled to it instead of the model's input;
    `latency`: to the largest input at which the model is predicted to take no longer here (`3ms`, `3ms@p90` or
    milliseconds); `frames`: at most so many of a video or camera; `copies`: what is kept of each picture; `device`: the
    target that runs the model (default: the one that its file names)."""

    min_score: float = DEFAULT_MIN_SCORE
    long_side_px: int | None = None
    frames: int | None = None
    copies: Copies = Copies()
    latency: str | float | LatencyBudget | None = None
    device: str | None = None

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
    read (to its end); `size` of the picture; `frame`: its number in the video, from 0."""

    image: str
    faces: Faces
    moving: bool
    problem: str = ""
    size: Size | None = None
    frame: int | None = None

    def to_line(self) -> dict[str, Any]:
        """For a line of a .jsonl file: as `to_json`, and the picture's size in pixels and its number in the video."""
        size = {} if self.size is None else {"width": self.size.width_px, "height": self.size.height_px}
        frame = {} if self.frame is None else {"frame": self.frame}
        return {**self.to_json(), **size, **frame}

    def to_json(self) -> dict[str, Any]:
        """Box, score and landmarks of each face, in pixels of the photo; or the problem."""
        if self.problem:
            return {"image": self.image, "faces": [], "problem": self.problem}
        faces = self.faces
        landmarks = [None] * len(faces) if faces.landmarks is None else faces.landmarks.astype(float).round(1).tolist()
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
    """What is found in photos, videos, folders, patterns, web addresses of photos, or a camera's index; `model`: an exported
    file or a name of the zoo (default: the zoo's). What cannot be read, or is a video that ends early, is told as a `Found`
    with its problem.

    A camera goes on until it is interrupted. Raises InputError where there is nothing to look at, and where a copy would be
    drawn over a file that is none.
    """
    with fetched(images, progress) as here:
        for problem in here.problems:
            yield _unread("", problem, moving=False)
        for found in _detect(here.sources, model, settings, progress):
            name = here.names.get(found.image)
            yield (
                found if name is None else replace(found, image=name, problem=found.problem.replace(found.image, name))
            )


def _detect(
    images: Sequence[Path | str], model: Path | str | None, settings: DetectSettings, progress: Progress
) -> Iterator[Found]:
    """In what lies on this machine, or is seen by a camera."""
    sources = list_sources(images)
    stems = distinct_stems(sources.found)
    settings.copies.require_free(sources.found, stems)
    for line in sources.notes:
        progress.note(line)
    for problem in sources.problems:
        yield _unread("", problem, moving=False)
    path, long_side_px = zoo_model() if model is None else given_model(model), settings.long_side_px
    target = resolve_target(settings.device or description_of(path).target)
    if settings.latency is not None:
        long_side_px = fitting_input(path, target, as_latency_budget(settings.latency), progress).long_side_px
    with place_of(target, progress) as place:
        detector = FaceDetector(path, target, long_side_px, place.load)
        shrunk, side_px = 0, long_side_px or detector.description.input_size.long_side_px
        for found in _all_found(detector, sources.found, stems, settings, progress):
            shrunk += found.size is not None and found.size.long_side_px > _SHRUNK * side_px
            yield found
    if shrunk:
        progress.note(
            f"{shrunk} of these are made more than {_SHRUNK} times smaller, to {side_px} px, so that faces of less than about "
            f"{_SHRUNK * _SMALLEST_PX} px in them are lost; --long-side finds more"
        )


def _all_found(
    detector: FaceDetector,
    sources: Sequence[Path | int],
    stems: Sequence[str],
    settings: DetectSettings,
    progress: Progress,
) -> Iterator[Found]:
    done = 0
    for moving, group in groupby(zip(sources, stems, strict=True), lambda pair: is_moving(pair[0])):
        if moving:
            for source, stem in group:
                yield from _frames(detector, source, stem, settings)
                done += 1
                progress(done, len(sources), "detecting")
            continue
        photos = [(source, stem) for source, stem in group if isinstance(source, Path)]
        paths = [path for path, _ in photos]
        sizes: dict[int, Size] = {}
        use = partial(_keep_one, settings.copies, [stem for _, stem in photos], sizes)
        for index, (path, faces) in enumerate(detect_files(detector, paths, settings.min_score, use)):
            if isinstance(faces, InputError):
                yield _unread(str(path), str(faces), moving=False)
            else:
                yield Found(str(path), faces, moving=False, size=sizes[index])
            done += 1
            progress(done, len(sources), "detecting")


def _unread(image: str, problem: str, *, moving: bool) -> Found:
    return Found(image, Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), None), moving, problem)


def _keep_one(
    copies: Copies, stems: Sequence[str], sizes: dict[int, Size], index: int, photo: Photo, faces: Faces
) -> None:
    sizes[index] = _size_of(photo)
    copies.keep(stems[index], photo, faces)


def _size_of(photo: Photo) -> Size:
    return Size(photo.shape[1], photo.shape[0])


def _frames(detector: FaceDetector, source: Path | int, stem: str, settings: DetectSettings) -> Iterator[Found]:
    pictures, copies = read_pictures(source, settings.frames), settings.copies
    film = copies.film(source, stem)
    try:
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
            name = f"{stem}-{picture.number:06d}"
            if film is None:
                copies.keep(name, picture.photo, faces)
            else:
                film.add(picture.photo, faces)
                copies.keep_crops(name, picture.photo, faces)
            yield Found(picture.image, faces, moving=True, size=_size_of(picture.photo), frame=picture.number)
    finally:
        if film is not None:
            film.close()
