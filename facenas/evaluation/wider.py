"""Average precision by the WIDER FACE protocol (the benchmark's eval_tools), for all photos at once.

1. Scores are stretched over all photos to [0, 1] by their least and greatest.
2. In a photo, in falling order of score, each detection takes the face it overlaps most. Where that is by 0.5 or more
   (intersection over union, sides counted as x2 - x1 + 1): a face that does not count in the setting takes the
   detection out of the reckoning; a face that counts is recalled by its first detection.
3. At each of 1000 thresholds 1 - (t + 1) / 1000, of the detections at or above it:
   precision = recalled / (detections not taken out), recall = recalled / faces that count.
4. AP is the area under the envelope (the greatest precision at that recall or a higher one).

A detection that finds a face again stays in the reckoning as a false alarm. As in eval_tools, detections on a photo
without any face box are passed over in the official settings; in the setting `all` they are false alarms.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from facenas.arrays import BoolArray, Float64Array, FloatArray, IntArray
from facenas.data.face_sizes import OCTAVE_EDGES_PX, OCTAVE_NAMES, face_sizes_px
from facenas.errors import InputError
from facenas.evaluation.blind_spots import BlindSpots
from facenas.evaluation.evaluation_set import EvaluationSet, GroundTruth
from facenas.evaluation.landmark_error import LandmarkError
from facenas.evaluation.operating_points import OperatingPoint, operating_points, suggested
from facenas.evaluation.photo_counts import THRESHOLDS, PhotoCounts
from facenas.shown import Rows, Shown, figures

IOU = 0.5


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Shown):
    """Average precisions in [0, 1]; None where the protocol has no such setting, or the setting no face.

    unread: of each photo that could not be read, and so is not among these figures, why.
    curves: per setting float64 [1000, 2], precision and recall at falling thresholds.
    by_size: AP per octave bin of face size (sqrt(area) in pixels at a long side of 640), of the faces that count in the
    widest setting; faces of other sizes, and unmatched detections of other sizes, are left out of the reckoning.
    input: what photos are scaled to, where the protocol is one of ours.
    landmarks: how far landmarks are off, where the detector and the labels have any.
    blind_spots: recalls under conditions that are made from the photos, where they were asked for.
    points: precision and recall by least score, in the widest setting.
    by_photo: per setting, what its curve is made of.
    """

    protocol: str
    images: int
    faces: int
    easy: float | None
    medium: float | None
    hard: float | None
    all: float | None
    by_size: Mapping[str, float | None]
    curves: Mapping[str, Float64Array]
    unread: tuple[str, ...] = ()
    input: str = ""
    landmarks: LandmarkError | None = None
    blind_spots: BlindSpots | None = None
    points: tuple[OperatingPoint, ...] = ()
    by_photo: Mapping[str, PhotoCounts] = field(default_factory=dict)

    @property
    def average_precisions(self) -> dict[str, float | None]:
        """The figures by setting: easy, medium and hard, or `all` where the labels know no such settings."""
        settings = {"easy": self.easy, "medium": self.medium, "hard": self.hard}
        if "all" in self.curves:
            settings["all"] = self.all
        return {name: None if value is None else round(value, 5) for name, value in settings.items()}

    def line(self) -> str:
        """The average precisions."""
        found = ", ".join(f"{name} {value:.3f}" for name, value in self.average_precisions.items() if value is not None)
        at = f", {self.input}" if self.input else ""
        return f"AP {found or 'of no face'} on {self.images} photos ({self.protocol}{at})"

    def shown(self) -> tuple[Rows, ...]:
        """All figures."""
        values = self.to_json()
        sizes = values.pop("by_size")
        for more in ("blind_spots", "landmarks", "min_scores", "suggested_min_score"):
            values.pop(more, None)
        rows = [(name, str(value)) for name, value in values.items() if value is not None]
        rows += [(f"AP of faces {name}", f"{value:.3f}") for name, value in sizes.items() if value is not None]
        if self.landmarks is not None:
            errors = {"": self.landmarks.mean, **{f" {name}": value for name, value in self.landmarks.by_size.items()}}
            rows += [
                (f"landmark error of faces{name}", f"{value:.1%} of their size")
                for name, value in errors.items()
                if value is not None
            ]
        spots = () if self.blind_spots is None else self.blind_spots.shown()
        return (figures("average precision", tuple(rows)), *self._points_table(), *spots)

    def _points_table(self) -> tuple[Rows, ...]:
        """What a least score keeps, where anything is found."""
        best = suggested(self.points)
        if best is None:
            return ()
        points = [
            (
                f"{point.min_score:g}{' (suggested)' if point == best else ''}",
                *(f"{value:.3f}" for value in (point.precision, point.recall, point.f1)),
            )
            for point in self.points
        ]
        columns = ("--min-score", "right of those found", "found of all", "F1")
        return (Rows("what a least score keeps", columns, tuple(points)),)

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        best = suggested(self.points)
        return {
            "protocol": self.protocol,
            **({"input": self.input} if self.input else {}),
            **self.average_precisions,
            "images": self.images,
            "faces": self.faces,
            "by_size": dict(self.by_size),
            **({"landmarks": self.landmarks.to_json()} if self.landmarks is not None else {}),
            **({"blind_spots": self.blind_spots.to_json()} if self.blind_spots is not None else {}),
            "min_scores": [asdict(point) for point in self.points],
            "suggested_min_score": None if best is None else best.min_score,
        }


@dataclass(frozen=True, eq=False)
class _Matches:
    """All detections of all photos, each photo's in falling order of score.

    score: float64 [d] in [0, 1], stretched from `least` and `spread`; face: int64 [d], the face it overlaps by IOU or more,
    as index over all photos' faces, else -1; size_px: float64 [d], and face_size_px: float64 [f], at a long side of 640;
    photo, int64 [d], and face_photo, int64 [f]: the index of the photo of each, of so many `photos`.
    """

    score: Float64Array
    face: IntArray
    size_px: Float64Array
    face_size_px: Float64Array
    least: float
    spread: float
    photo: IntArray
    face_photo: IntArray
    photos: int


def evaluate_detections(detections: Mapping[str, FloatArray], evaluation_set: EvaluationSet) -> Evaluation:
    """Judge detections, float32 [n, 5] (x1 y1 x2 y2 in pixels of the photo, score) by the photo's ground-truth name.

    Every photo of the set needs an entry, of zero rows where nothing was found. Raises InputError where one is missing,
    or is not finite and of that shape.
    """
    truths = evaluation_set.ground_truth
    _check(detections, truths)
    matches = _match(detections, evaluation_set)
    counted = {
        setting: np.concatenate([np.zeros(0, bool), *(truth.counted[setting] for truth in truths)])
        for setting in evaluation_set.settings
    }
    by_photo = {setting: _count(matches, mask) for setting, mask in counted.items()}
    curves, precision = {}, {}
    for setting, counts in by_photo.items():
        curves[setting], precision[setting] = counts.curve()
    widest = counted[evaluation_set.settings[-1]]
    return Evaluation(
        protocol="WIDER FACE easy, medium, hard" if evaluation_set.official else "all faces, matched as in WIDER FACE",
        images=len(truths),
        faces=int(widest.sum()),
        easy=precision.get("easy"),
        medium=precision.get("medium"),
        hard=precision.get("hard"),
        all=precision.get("all"),
        by_size=_by_size(matches, widest),
        curves=curves,
        points=operating_points(curves[evaluation_set.settings[-1]], matches.least, matches.spread),
        by_photo=by_photo,
    )


def _check(detections: Mapping[str, FloatArray], truths: tuple[GroundTruth, ...]) -> None:
    missing = [truth.name for truth in truths if truth.name not in detections]
    if missing:
        raise InputError(f"no detections for {len(missing)} of {len(truths)} photos (first {missing[0]}); run them all")
    for truth in truths:
        rows = detections[truth.name]
        if rows.ndim != 2 or rows.shape[1] != 5 or not np.isfinite(rows).all():
            raise InputError(
                f"detections of {truth.name}, shape {rows.shape}, are not rows of finite x1 y1 x2 y2 score; check them"
            )


def _match(detections: Mapping[str, FloatArray], evaluation_set: EvaluationSet) -> _Matches:
    truths = evaluation_set.ground_truth
    scores = np.concatenate([np.zeros(0), *(detections[truth.name][:, 4] for truth in truths)])
    least, spread = (scores.min(), np.ptp(scores)) if scores.size else (0.0, 0.0)
    score, face, size, face_size = [np.zeros(0)], [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros(0)]
    photo, first_face = [np.zeros(0, np.int64)], 0
    for index, truth in enumerate(truths):
        face_size.append(face_sizes_px(truth.boxes, truth.width_px, truth.height_px))
        rows = detections[truth.name]
        if not len(truth.boxes) and evaluation_set.official:
            continue
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        # Where all scores are equal there is nothing to stretch: they are all the greatest.
        score.append((rows[:, 4].astype(np.float64) - least) / spread if spread else np.ones(len(rows)))
        size.append(face_sizes_px(rows[:, :4], truth.width_px, truth.height_px))
        face.append(_best_face(rows[:, :4], truth.boxes, first_face))
        photo.append(np.full(len(rows), index, np.int64))
        first_face += len(truth.boxes)
    joined = (np.concatenate(score), np.concatenate(face), np.concatenate(size), np.concatenate(face_size))
    face_photo = np.repeat(np.arange(len(truths)), [len(truth.boxes) for truth in truths])
    return _Matches(*joined, float(least), float(spread), np.concatenate(photo), face_photo, len(truths))


def _best_face(boxes: FloatArray, faces: FloatArray, first_face: int) -> IntArray:
    """For each box [d, 4] the face [f, 4] it overlaps most, counted from `first_face`; -1 where by less than IOU."""
    if not len(boxes) or not len(faces):
        return np.full(len(boxes), -1, dtype=np.int64)
    box, face = boxes.astype(np.float64)[:, None], faces.astype(np.float64)[None]
    sides = np.minimum(box[..., 2:], face[..., 2:]) - np.maximum(box[..., :2], face[..., :2]) + 1
    common = np.where((sides > 0).all(axis=2), sides.prod(axis=2), 0)
    area = (box[..., 2:] - box[..., :2] + 1).prod(axis=2) + (face[..., 2:] - face[..., :2] + 1).prod(axis=2) - common
    overlap = common / area
    best = overlap.argmax(axis=1)
    return np.where(overlap[np.arange(len(boxes)), best] >= IOU, best + first_face, -1)


def _count(matches: _Matches, counted: BoolArray, left_out: BoolArray | None = None) -> PhotoCounts:
    """The counts for the faces `counted` [f], without the detections `left_out` [d]."""
    matched = matches.face >= 0
    hits = np.zeros(len(matched), dtype=bool)
    hits[matched] = counted[matches.face[matched]]
    judged = hits | ~matched
    if left_out is not None:
        judged &= ~left_out
    recalled = np.zeros(len(matched), dtype=bool)
    hit_at = np.flatnonzero(hits)
    recalled[hit_at[np.unique(matches.face[hit_at], return_index=True)[1]]] = True
    thresholds = 1 - np.arange(1, THRESHOLDS + 1) / THRESHOLDS
    reached = np.searchsorted(-thresholds, -matches.score)
    faces = np.bincount(matches.face_photo[counted], minlength=matches.photos)
    return PhotoCounts(matches.photo, reached, judged, recalled, faces)


def _by_size(matches: _Matches, counted: BoolArray) -> dict[str, float | None]:
    figures: dict[str, float | None] = {}
    for name, (low, high) in zip(OCTAVE_NAMES, pairwise(OCTAVE_EDGES_PX), strict=True):
        in_bin = counted & (matches.face_size_px >= low) & (matches.face_size_px < high)
        other_size = (matches.face < 0) & ((matches.size_px < low) | (matches.size_px >= high))
        figures[name] = _count(matches, in_bin, other_size).curve()[1]
    return figures
