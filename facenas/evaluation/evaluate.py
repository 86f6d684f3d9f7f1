"""Average precision of a detector on labelled photos: run it on every photo, then the WIDER protocol.

Protocol `vga`: photos scaled to long side 640 in ratio; `own`: letterboxed into the file's own input size. Scores from
0.02, suppression as the file says.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from facenas.data.image import read_image
from facenas.detector.postprocess import Faces
from facenas.errors import InputError
from facenas.evaluation.wider import Evaluation, EvaluationSet, evaluate_detections

LONG_SIDE_PX: Mapping[str, int | None] = {"vga": 640, "own": None}
EVALUATION_MIN_SCORE = 0.02

Report = Callable[[int, int, str], None]
Detect = Callable[[npt.NDArray[np.uint8], float], Faces]


def long_side_of(protocol: str) -> int | None:
    """The long side in pixels that a protocol scales photos to, None for the file's own input. Raises InputError."""
    if protocol not in LONG_SIDE_PX:
        raise InputError(f"no protocol '{protocol}'; there are {', '.join(LONG_SIDE_PX)}")
    return LONG_SIDE_PX[protocol]


def evaluate(detect: Detect, photos: EvaluationSet, report: Report) -> Evaluation:
    """Detect in all photos and judge. `detect(photo, min_score)` is a `FaceDetector` or anything that answers like it."""
    detections = {}
    total = len(photos.photos)
    for index, (path, truth) in enumerate(zip(photos.photos, photos.ground_truth, strict=True)):
        detections[truth.name] = detect(read_image(path), EVALUATION_MIN_SCORE).rows
        report(index + 1, total, "evaluating")
    return evaluate_detections(detections, photos)


def average_precisions(evaluation: Evaluation) -> dict[str, float | None]:
    """The figures by setting: easy, medium and hard, or `all` where the labels know no such settings."""
    settings = {"easy": evaluation.easy, "medium": evaluation.medium, "hard": evaluation.hard}
    if evaluation.all is not None:
        settings["all"] = evaluation.all
    return {name: None if value is None else round(value, 5) for name, value in settings.items()}


def evaluation_to_json(evaluation: Evaluation, protocol: str) -> dict[str, Any]:
    """The fields of the command line's contract."""
    return {
        "protocol": protocol,
        **average_precisions(evaluation),
        "images": evaluation.images,
        "faces": evaluation.faces,
        "by_size": dict(evaluation.by_size),
    }
