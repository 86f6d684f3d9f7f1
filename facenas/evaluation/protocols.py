"""Average precision of a detector on labelled photos: run it on every photo, then the WIDER protocol.

Protocol `own`: photos letterboxed into the file's own input size, as the file is used; `vga`: scaled to long side 640 in
ratio, whatever the file's input; `original`: not scaled at all. Scores from 0.02, suppression as the file says. Figures of
different protocols do not compare.
"""

from dataclasses import replace
from pathlib import Path

from facenas.arrays import Float64Array, FloatArray
from facenas.data.face_sizes import LONG_SIDE_PX
from facenas.data.image import read_image
from facenas.detector.face_detector import FaceDetector
from facenas.detector.many_photos import Detect
from facenas.devices.target import Target
from facenas.errors import InputError, meant
from facenas.evaluation.evaluation_set import EvaluationSet
from facenas.evaluation.landmark_error import face_errors, landmark_error
from facenas.evaluation.wider import Evaluation, evaluate_detections
from facenas.pipeline.fit import Unscaled
from facenas.progress import SILENT, Progress
from facenas.runtimes.runtime import Load, load_model

PROTOCOLS = ("own", "vga", "original")
EVALUATION_MIN_SCORE = 0.02


def require_protocol(protocol: str) -> None:
    """Raises InputError for a protocol that there is not."""
    if protocol not in PROTOCOLS:
        raise InputError(f"no protocol '{protocol}'; there are {', '.join(PROTOCOLS)}{meant(protocol, PROTOCOLS)}")


def open_detector(path: Path, protocol: str, target: Target | None = None, load: Load = load_model) -> Detect:
    """The exported file as a protocol runs it, on `target` (default: the one that the file names). Raises InputError for
    another protocol, or a file that is no detector."""
    require_protocol(protocol)
    if protocol == "own":
        return FaceDetector(path, target, load=load)
    detector = FaceDetector(path, target, LONG_SIDE_PX, load)
    return detector if protocol == "vga" else replace(detector.pipeline, fit=Unscaled())


def evaluate(detect: Detect, photos: EvaluationSet, progress: Progress = SILENT) -> Evaluation:
    """Detect in all photos and judge. `detect(photo, min_score)` is a `FaceDetector` or anything that answers like it.

    Photos that cannot be read are left out, and listed in the result's `unread`. Raises InputError where none can be.
    """
    detections: dict[str, FloatArray] = {}
    unread = []
    errors: list[Float64Array] = []
    total = len(photos.photos)
    for index, (path, truth) in enumerate(zip(photos.photos, photos.ground_truth, strict=True)):
        try:
            photo = read_image(path)
        except InputError as error:
            unread.append(str(error))
            continue
        faces = detect(photo, EVALUATION_MIN_SCORE)
        detections[truth.name] = faces.rows
        if truth.landmarks is not None:
            counted = truth.counted[photos.settings[-1]]
            size = truth.width_px, truth.height_px
            errors.append(face_errors(faces, truth.boxes[counted], truth.landmarks[counted], size))
        progress(index + 1, total, "evaluating")
    if unread and not detections:
        raise InputError(f"none of the {total} photos of {photos.name} can be read, first: {unread[0]}")
    result = evaluate_detections(detections, photos.of(detections))
    return replace(result, unread=tuple(unread), landmarks=landmark_error(errors))
