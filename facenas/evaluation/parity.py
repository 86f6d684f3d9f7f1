"""Parity: does the exported file answer like its reference? Compared as tensors and as faces, on real photos.

tensors   per output: largest and mean absolute difference, the cosine of the angle between the two, and the relative
          difference |artefact - reference| / |reference|
boxes     share of the reference's faces (score >= 0.3) that find a partner with IoU >= 0.9
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facenas.arrays import FloatArray
from facenas.graph import SCORE_CHANNELS
from facenas.pipeline.faces import Faces, pairwise_iou

PARTNER_IOU = 0.9
REFERENCE_MIN_SCORE = 0.3


@dataclass(frozen=True)
class TensorParity:
    """Differences of one output over all photos; `cosine` is the least and `relative` the largest of any photo. The
    differences are None where the output is missing, of another shape, or not finite."""

    max_abs: float | None
    mean_abs: float | None
    cosine: float
    relative: float | None = None


@dataclass(frozen=True)
class BoxParity:
    """`matched`: share of the reference's faces with a partner (1 where there are none, which proves nothing);
    `max_score_difference` of pairs."""

    reference_faces: int
    matched: float
    max_score_difference: float


def compare_tensors(
    reference: Sequence[Mapping[str, FloatArray]], artefact: Sequence[Mapping[str, FloatArray]]
) -> dict[str, TensorParity]:
    """Compare the outputs of two networks, photo by photo; see TensorParity."""
    result = {}
    for name in reference[0]:
        pairs = list(zip(reference, artefact, strict=True))
        if any(name not in found or found[name].shape != expected[name].shape for expected, found in pairs):
            result[name] = TensorParity(None, None, 0.0)
            continue
        max_abs, mean_abs, cosine, relative = 0.0, 0.0, 1.0, 0.0
        for expected, found in pairs:
            a, b = expected[name].astype(np.float64).ravel(), found[name].astype(np.float64).ravel()
            difference = np.abs(a - b)
            max_abs = max(max_abs, float(difference.max()))
            mean_abs += float(difference.mean()) / len(reference)
            relative = max(relative, relative_difference(a, b))
            norms = float(np.linalg.norm(a) * np.linalg.norm(b))
            cosine = min(cosine, float(a @ b) / norms if norms else float(np.array_equal(a, b)))
        finite = np.isfinite([max_abs, mean_abs, cosine, relative]).all()
        result[name] = TensorParity(max_abs, mean_abs, cosine, relative) if finite else TensorParity(None, None, 0.0)
    return result


def with_logits_from(outputs: Sequence[Mapping[str, FloatArray]], least: float) -> list[dict[str, FloatArray]]:
    """The outputs of a detector, [n, channels, height, width] each, with score logits below `least` raised to it."""
    raised = []
    for each in outputs:
        copies = {name: np.array(values) for name, values in each.items()}
        for values in copies.values():
            values[:, SCORE_CHANNELS] = np.maximum(values[:, SCORE_CHANNELS], least)
        raised.append(copies)
    return raised


def relative_difference(expected: npt.NDArray[np.floating], found: npt.NDArray[np.floating]) -> float:
    """|found - expected| / |expected|, Euclidean norms; infinite where the shapes differ or a value is not finite."""
    if expected.shape != found.shape or not np.isfinite(found).all():
        return float("inf")
    a, b = expected.astype(np.float64), found.astype(np.float64)
    norm = float(np.linalg.norm(a))
    return float(np.linalg.norm(b - a)) / norm if norm else float(np.abs(b).max(initial=0.0) > 0)


def compare_faces(reference: Sequence[Faces], artefact: Sequence[Faces]) -> BoxParity:
    """Match every face of the reference with the artefact's best overlapping one. The artefact's faces should have been
    decoded at a slightly lower score, so that one on the brink is not called lost."""
    matched = total = 0
    difference = 0.0
    for expected, found in zip(reference, artefact, strict=True):
        total += len(expected)
        if not len(expected) or not len(found):
            continue
        overlap = pairwise_iou(expected.boxes, found.boxes)
        partner = overlap.argmax(axis=1)
        good = overlap[np.arange(len(expected)), partner] >= PARTNER_IOU
        matched += int(good.sum())
        if good.any():
            difference = max(difference, float(np.abs(expected.scores - found.scores[partner])[good].max()))
    return BoxParity(total, matched / total if total else 1.0, difference)
