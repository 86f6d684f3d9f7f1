"""Where a detector sees nothing: recall of the faces that count when they are small or fill the frame, when the photo is
turned, dark or blurred. The conditions are made from the photos, with one seed, so that every detector meets the same.

    recall = faces that a detection of at least `min_score` overlaps by half (IoU), over all faces that are asked for

Size: a photo is cropped around one face, in its own shape, so that sqrt(area) of the face is the given share of the longer
side; a face that is larger than that already in its photo takes no part. In-plane roll, darkness and blur: all faces of 16
pixels or more at a long side of 640. A turned face is the box around the ellipse of its own. Darkness is the share of the light
that is left, with the noise of a sensor; blur is Gaussian, its sigma in pixels at a long side of 640.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from facenas.arrays import FloatArray
from facenas.data.face_sizes import LONG_SIDE_PX, face_sizes_px
from facenas.data.image import Photo, read_image
from facenas.detector.many_photos import Detect
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import EvaluationSet, GroundTruth
from facenas.pipeline.faces import pairwise_iou
from facenas.progress import SILENT, Progress
from facenas.shown import Rows

CONDITIONS = ("size", "roll", "light", "blur")
MIN_SCORE = 0.3
SIZE_SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)
ROLLS_DEGREES = (0, 15, 30, 45, 60, 90, 135, 180)
LIGHTS = (1.0, 0.5, 0.25, 0.12, 0.06)
BLURS_PX = (0.0, 1.0, 2.0, 4.0)
MIN_FACE_PX = 16.0

_SEED = 0
_MATCH_IOU = 0.5
_NOISE = 3.0  # standard deviation of a dim photo's pixels, of 255
_SMALLEST_PX = 12  # a face in its photo, of those that are cropped around: less shows no face

Changed = tuple[Photo, FloatArray]


@dataclass(frozen=True)
class Recall:
    """Of `faces` faces the share that was found; None of none."""

    found: int
    faces: int

    @property
    def share(self) -> float | None:
        """In 0..1."""
        return round(self.found / self.faces, 4) if self.faces else None

    @property
    def text(self) -> str:
        """As a table shows it."""
        return f"{self.found / self.faces:.3f}" if self.faces else "-"


@dataclass(frozen=True)
class BlindSpots:
    """Recalls by condition, each by its amount (`size`: share of the frame, `roll`: degrees, `light`: share that is left,
    `blur`: sigma in pixels), of detections of at least `min_score`."""

    min_score: float
    recalls: Mapping[str, Mapping[str, Recall]]

    def shown(self) -> tuple[Rows, ...]:
        """A table a condition."""
        titles = {
            "size": "size of the face in the frame",
            "roll": "in-plane roll",
            "light": "light that is left",
            "blur": "blur, sigma at a long side of 640",
        }
        return tuple(
            Rows(
                f"recall by {titles[condition]}, score {self.min_score:g} or more",
                (condition, "recall", "faces"),
                tuple(
                    (amount, "-" if (s := each.share) is None else f"{s:.3f}", str(each.faces))
                    for amount, each in by.items()
                ),
            )
            for condition, by in self.recalls.items()
        )

    def to_json(self) -> dict[str, Any]:
        """By condition and amount, recall and how many faces it is of."""
        recalls = {
            condition: {amount: {"recall": each.share, "faces": each.faces} for amount, each in by.items()}
            for condition, by in self.recalls.items()
        }
        return {"min_score": self.min_score, **recalls}


def find_blind_spots(
    detect: Detect,
    photos: EvaluationSet,
    *,
    conditions: Collection[str] = CONDITIONS,
    progress: Progress = SILENT,
) -> BlindSpots:
    """Detect in every photo under every amount of the conditions; 25 times the work of an evaluation for all four. Photos that
    cannot be read are left out; raises InputError where none can be."""
    counts: dict[str, dict[str, list[int]]] = {}
    read, problem = 0, ""
    for number, (path, truth) in enumerate(zip(photos.photos, photos.ground_truth, strict=True)):
        try:
            photo = read_image(path)
        except InputError as error:
            problem = str(error)
            continue
        read += 1
        boxes = truth.boxes[truth.counted[photos.settings[-1]]]
        for condition, amount, (changed, faces) in _conditions(photo, boxes, truth, number, conditions):
            tally = counts.setdefault(condition, {}).setdefault(amount, [0, 0])
            if len(faces):
                found = detect(changed, MIN_SCORE).boxes
                overlaps = pairwise_iou(faces, found).max(axis=1, initial=0)
                tally[0] += int((overlaps >= _MATCH_IOU).sum())
                tally[1] += len(faces)
        progress(number + 1, len(photos.photos), "looking for blind spots")
    if not read:
        raise InputError(f"none of the {len(photos.photos)} photos of {photos.name} can be read, first: {problem}")
    recalls = {name: {amount: Recall(*tally) for amount, tally in by.items()} for name, by in counts.items()}
    return BlindSpots(MIN_SCORE, recalls)


def _conditions(
    photo: Photo, boxes: FloatArray, truth: GroundTruth, number: int, conditions: Collection[str]
) -> Iterator[tuple[str, str, Changed]]:
    """The conditions of photo `number` by their names and amounts, with the photo as it then is and the faces asked for."""
    large = boxes[face_sizes_px(boxes, truth.width_px, truth.height_px) >= MIN_FACE_PX]
    if "size" in conditions:
        for share in SIZE_SHARES:
            yield "size", f"{share:.0%}", _at_size(photo, boxes, share)
    if "roll" in conditions:
        for degrees in ROLLS_DEGREES:
            yield "roll", f"{degrees}", _turned(photo, large, degrees)
    if "light" in conditions:
        for light in LIGHTS:
            yield "light", f"{light:.0%}", (_dimmed(photo, light, number), large)
    if "blur" in conditions:
        for sigma_px in BLURS_PX:
            yield "blur", f"{sigma_px:g} px", (_blurred(photo, sigma_px), large)


def _at_size(photo: Photo, boxes: FloatArray, share: float) -> Changed:
    """The photo cropped so that its largest face that fits has that share of the longer side; no face where none does."""
    height, width = photo.shape[:2]
    sides = np.sqrt(np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1))
    fits = np.flatnonzero((sides >= _SMALLEST_PX) & (sides / share <= max(width, height)))
    if not len(fits):
        return photo, boxes[:0]
    box = boxes[fits[sides[fits].argmax()]]
    scale = float(sides[fits].max()) / share / max(width, height)
    crop = np.maximum(1, np.rint(np.array([width, height]) * scale)).astype(int)
    corner = np.clip(np.rint((box[:2] + box[2:]) / 2 - crop / 2).astype(int), 0, np.array([width, height]) - crop)
    (x, y), (w, h) = corner.tolist(), crop.tolist()
    moved = np.clip(box - np.tile(corner, 2), 0, np.tile(crop, 2)).astype(np.float32)
    return np.ascontiguousarray(photo[y : y + h, x : x + w]), moved[None]


def _turned(photo: Photo, boxes: FloatArray, degrees: float) -> Changed:
    """The photo turned anticlockwise on a larger black one, and its faces with it."""
    if not degrees:
        return photo, boxes
    height, width = photo.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    cosine, sine = abs(turn[0, 0]), abs(turn[0, 1])
    size = (round(width * cosine + height * sine), round(width * sine + height * cosine))
    turn[:, 2] += (np.array(size) - np.array([width, height])) / 2
    changed = cv2.warpAffine(photo, turn, size, flags=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    centres, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    moved = centres @ turn[:, :2].T + turn[:, 2]
    reach = np.stack(
        [np.hypot(half[:, 0] * cosine, half[:, 1] * sine), np.hypot(half[:, 0] * sine, half[:, 1] * cosine)], 1
    )
    return changed, np.concatenate([moved - reach, moved + reach], axis=1).astype(np.float32)


def _dimmed(photo: Photo, light: float, number: int) -> Photo:
    if light == 1:
        return photo
    noise = np.random.default_rng((_SEED, number)).normal(0, _NOISE, photo.shape)
    return np.clip(np.rint(photo * light + noise), 0, 255).astype(np.uint8)


def _blurred(photo: Photo, sigma_px: float) -> Photo:
    if not sigma_px:
        return photo
    sigma = sigma_px * max(photo.shape[:2]) / LONG_SIDE_PX
    return cv2.GaussianBlur(photo, (0, 0), sigma).astype(np.uint8, copy=False)
