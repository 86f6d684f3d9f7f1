"""One of any kind that answers with faces: this project's files and names, or a published detector's own ONNX file."""

from pathlib import Path

from facenas.detector.face_detector import FaceDetector, require_long_side
from facenas.detector.published import CONVENTIONS, Baseline, family_of
from facenas.errors import InputError
from facenas.exporters.formats import description_of
from facenas.files import is_file
from facenas.given import given_model
from facenas.units import Size

_STRIDE_PX = 32


def any_detector(given: Path | str, long_side_px: int | None = None) -> FaceDetector | Baseline:
    """The detector that is meant, with photos scaled to `long_side_px` instead of its own input.

    Raises InputError where it is neither made by facenas nor named like a published detector, or cannot be used so.
    """
    path = given_model(given)
    try:
        description_of(path)
    except InputError as error:
        if not is_file(path) or path.suffix.lower() != ".onnx":
            raise
        if family_of(path) is None:
            raise InputError(
                f"{path} is no detector that is known: facenas did not make it, and its name does not begin with "
                f"{', '.join(CONVENTIONS)}; export it with `facenas export`, or name it by its own"
            ) from error
        if long_side_px is None:
            return Baseline(path)
        require_long_side(long_side_px)
        side_px = -(-long_side_px // _STRIDE_PX) * _STRIDE_PX
        return Baseline(path, Size(side_px, side_px))
    return FaceDetector(path, long_side_px=long_side_px)
