"""One detector's answer from several views of a photo: at several sizes, upright and mirrored.

What overlaps the best box that is left by more than IOU, in whatever view, is one face seen in several:

    score = (1 / views) sum over views of its best score there,    box, landmarks = means weighted by the scores

so a face that half of the views miss loses half of its score. Slower by the number of views, and better than any of them
(docs/photos.md): a teacher's way to look.
"""

from collections.abc import Sequence

import numpy as np

from facenas.arrays import FloatArray
from facenas.data.augment import FLIPPED_LANDMARKS
from facenas.data.image import Photo
from facenas.detector.many_photos import Detect
from facenas.pipeline.faces import Faces, pairwise_iou

IOU = 0.5
_LEAST_SCORE = 0.05  # of a box in a view: below there is little but background, and much of it


class Views:
    """Answers for a photo like one of `detectors`, which look at it at one size each; `mirrored`: each of them twice."""

    def __init__(self, detectors: Sequence[Detect], *, mirrored: bool) -> None:
        self.detectors, self.mirrored = tuple(detectors), mirrored

    def __call__(self, photo: Photo, min_score: float) -> Faces:
        """Faces of a uint8 RGB photo, best first, with scores >= `min_score`."""
        least = min(min_score, _LEAST_SCORE)
        seen = [detect(photo, least) for detect in self.detectors]
        if self.mirrored:
            other = np.ascontiguousarray(photo[:, ::-1])
            seen += [_mirrored(detect(other, least), photo.shape[1]) for detect in self.detectors]
        faces = joined(seen)
        return faces.take(np.flatnonzero(faces.scores >= min_score))


def joined(views: Sequence[Faces]) -> Faces:
    """One set of faces, best first, from what was seen in each view of the same photo, in its pixels."""
    boxes = np.concatenate([faces.boxes for faces in views])
    scores = np.concatenate([faces.scores for faces in views])
    points = [faces.landmarks for faces in views]
    landmarks = None if any(each is None for each in points) else np.concatenate([p for p in points if p is not None])
    view = np.repeat(np.arange(len(views)), [len(faces) for faces in views])

    left = np.argsort(-scores, kind="stable")
    groups = []
    while len(left):
        same = pairwise_iou(boxes[left[:1]], boxes[left])[0] > IOU
        same[0] = True  # also a box without area
        groups.append(left[same])
        left = left[~same]
    best = [np.unique(view[group], return_index=True)[1] for group in groups]  # groups are in falling order of score
    means = np.array([scores[group[first]].sum() / len(views) for group, first in zip(groups, best, strict=True)])
    order = np.argsort(-means, kind="stable")

    def weighted(values: FloatArray) -> FloatArray:
        rows = [np.average(values[groups[index]], axis=0, weights=scores[groups[index]]) for index in order]
        return np.array(rows, np.float32).reshape(-1, *values.shape[1:])

    return Faces(weighted(boxes), means[order].astype(np.float32), None if landmarks is None else weighted(landmarks))


def _mirrored(faces: Faces, width_px: int) -> Faces:
    """Faces of a photo that was mirrored, in pixels of the photo itself."""
    boxes, landmarks = faces.boxes.copy(), faces.landmarks
    boxes[:, [0, 2]] = width_px - boxes[:, [2, 0]]
    if landmarks is not None:
        landmarks = landmarks[:, FLIPPED_LANDMARKS]  # a copy
        landmarks[:, :, 0] = width_px - landmarks[:, :, 0]
    return Faces(boxes, faces.scores, landmarks)
