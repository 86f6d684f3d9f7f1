"""What a person looks at after an evaluation: the precision-recall curve as data, and photos with found and missed faces."""

from pathlib import Path

import numpy as np

from facenas.data.image import encode_jpeg, read_image
from facenas.detector.face_detector import DEFAULT_MIN_SCORE, FaceDetector
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import EvaluationSet
from facenas.evaluation.wider import IOU, Evaluation
from facenas.files import write_atomic, write_json
from facenas.pipeline.faces import pairwise_iou

_CURVE_POINTS = 100


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write the precision-recall points by setting, thinned evenly along the thresholds."""
    points = {}
    for setting, curve in evaluation.curves.items():
        index = np.unique(np.linspace(0, len(curve) - 1, _CURVE_POINTS).round().astype(np.intp))
        points[setting] = [[round(float(value), 5) for value in row] for row in curve[index]]
    write_json(path, points)


def write_pictures(folder: Path, detector: FaceDetector, photos: EvaluationSet, count: int) -> None:
    """Draw `count` photos, evenly from those with the most faces downwards: found faces green, missed ones red."""
    widest = photos.settings[-1]
    order = sorted(range(len(photos.photos)), key=lambda i: -int(photos.ground_truth[i].counted[widest].sum()))
    chosen = [order[round(i * (len(order) - 1) / max(1, 2 * count))] for i in range(min(count, len(order)))]
    for number, index in enumerate(chosen, 1):
        try:
            photo = read_image(photos.photos[index])
        except InputError:  # the evaluation names it
            continue
        faces = detector(photo, DEFAULT_MIN_SCORE)
        truth = photos.ground_truth[index]
        boxes = truth.boxes[truth.counted[widest]]
        found = pairwise_iou(boxes, faces.boxes).max(axis=1, initial=0.0) >= IOU
        write_atomic(folder / f"{number}.jpg", encode_jpeg(faces.draw(photo, boxes[~found]), 88))
