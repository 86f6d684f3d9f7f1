"""One of any kind that answers with faces: this project's files and names, or a published detector's own ONNX file."""

from collections.abc import Sequence
from pathlib import Path

from facenas.detector.face_detector import FaceDetector, require_long_side
from facenas.detector.many_photos import Detect
from facenas.detector.published import CONVENTIONS, Baseline, family_of
from facenas.detector.views import Views
from facenas.devices.target import Target
from facenas.errors import InputError
from facenas.exporters.formats import description_of
from facenas.files import is_file
from facenas.given import given_model
from facenas.units import Size

_STRIDE_PX = 32


def in_views(
    given: Path | str, long_sides_px: Sequence[int], *, mirrored: bool, target: Target | None = None
) -> Detect:
    """The detector that is meant, as it answers from several views of a photo: scaled to each long side (none: to its own
    input alone), and mirrored, too. Raises InputError as `any_detector` does."""
    detectors = [any_detector(given, side_px, target) for side_px in dict.fromkeys(long_sides_px or (None,))]
    return Views(detectors, mirrored=mirrored) if mirrored or len(detectors) > 1 else detectors[0]


def any_detector(
    given: Path | str, long_side_px: int | None = None, target: Target | None = None
) -> FaceDetector | Baseline:
    """The detector that is meant, on `target` (default: the file's own, else this CPU), with photos scaled to `long_side_px`
    instead of its own input.

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
            return Baseline(path, target=target)
        require_long_side(long_side_px)
        side_px = -(-long_side_px // _STRIDE_PX) * _STRIDE_PX
        return Baseline(path, Size(side_px, side_px), target)
    return FaceDetector(path, target, long_side_px)
