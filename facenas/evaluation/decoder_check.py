"""Does a file that decodes and suppresses itself find the faces that our own decoder finds in its raw maps?

The file is run beside a copy whose outputs are the raw maps again. Faces are equal where

    IoU > 0.999  and  |score - score'| <= 1e-5;

in another runtime two suppressions may part on a pair of boxes whose overlap is the threshold to the last bit.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facenas.data.image import Photo
from facenas.devices.target import Target
from facenas.evaluation.gates import Gate
from facenas.exporters.artefact import Description
from facenas.exporters.formats import description_of, format_of
from facenas.pipeline.faces import Faces, pairwise_iou
from facenas.pipeline.pipeline import Pipeline
from facenas.pipeline.postprocess import find_faces
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.runtime import Load, load_model

EQUAL_IOU = 0.999
EQUAL_SCORE = 1e-5
LEAST_EQUAL = 0.999


@dataclass(frozen=True)
class DecoderParity:
    """Of `faces` of both decoders, the share `equal` that has its equal on the other side; what the pairs differ by at most:
    `score`, and in overlap, `iou` (the least)."""

    faces: int
    equal: float
    iou: float
    score: float


def open_raw(path: Path, target: Target, load: Load = load_model) -> tuple[CompiledModel, Description]:
    """The network of a file with raw maps for outputs, whatever the file answers with, and the description of that; `load`
    compiles it."""
    description = description_of(path)
    undecoded = format_of(path).undecoded
    if description.decoding is None or undecoded is None:
        return load(path, target), description
    with tempfile.TemporaryDirectory(prefix="facenas-") as folder:
        return load(undecoded(path, Path(folder)), target), replace(description, decoding=None)


def compare_decoders(
    expected: Sequence[Faces],
    found: Sequence[Faces],
    equal_iou: float = EQUAL_IOU,
    equal_score: float = EQUAL_SCORE,
) -> DecoderParity:
    """Faces of the same photos by both decoders."""
    faces = equal = 0
    iou, score = 1.0, 0.0
    for ours, theirs in zip(expected, found, strict=True):
        faces += len(ours) + len(theirs)
        if len(ours) and len(theirs):
            overlap = pairwise_iou(ours.boxes, theirs.boxes)
            difference = np.abs(ours.scores[:, None] - theirs.scores[None])
            same = (overlap > equal_iou) & (difference <= equal_score)
            equal += int(same.any(1).sum() + same.any(0).sum())
            iou = min(iou, float(overlap[same].min(initial=1.0)))
            score = max(score, float(difference[same].max(initial=0.0)))
    return DecoderParity(faces, equal / max(1, faces), iou, score)


def check_decoder(own: Pipeline, raw: Pipeline, photos: Sequence[Photo], min_score: float) -> DecoderParity:
    """Both on the same photos, uint8 RGB: `own` reads the file's faces, `raw` decodes its maps; in pixels of the input, where
    no box is clipped to nothing."""
    expected, found = ([_in_input(each, photo, min_score) for photo in photos] for each in (raw, own))
    return compare_decoders(expected, found)


def _in_input(pipeline: Pipeline, photo: Photo, min_score: float) -> Faces:
    outputs, _ = pipeline.outputs(photo)
    return find_faces(outputs, min_score, pipeline.nms_iou, pipeline.decode)


def decoder_gate(parity: DecoderParity) -> Gate:
    """Of no face nothing can be said."""
    if not parity.faces:
        return Gate("decoder", None, None, LEAST_EQUAL, "not measured: neither decoder finds a face in these photos")
    note = f"share of {parity.faces} faces equal to the numpy decoder's; scores within {parity.score:.1g}"
    return Gate("decoder", parity.equal >= LEAST_EQUAL, parity.equal, LEAST_EQUAL, note)
