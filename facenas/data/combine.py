"""Samples made of several: four half-sized ones as a mosaic, and small faces of another photo pasted into one.

Both give a detector more small faces than few photos hold. A mosaic shrinks all that it shows by two; a pasted face is
shrunk to a side of `PASTED_PX` and blended in with a soft border, where no other box is.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from facenas.arrays import FloatArray
from facenas.data.annotations import LabelledPhoto
from facenas.data.augment import Sample
from facenas.data.image import Photo, scale_image
from facenas.data.labels import Labels, join_labels
from facenas.graph import LANDMARK_COUNT

PASTED_PX = (6.0, 28.0)
"""Least and greatest side (geometric mean) of a pasted face in the sample, drawn log-uniformly."""

_MIN_DONOR_PX = 24  # smaller faces hold too little to be shrunk
_CONTEXT = 0.3  # of the face's sides around it: hair and neck belong to what is seen
_TRIES = 10


def mosaic(samples: Sequence[Sample]) -> Sample:
    """Four samples of side s as one of side 2 s, in reading order."""
    side = samples[0].image.shape[0]
    images = [sample.image for sample in samples]
    image = np.concatenate([np.concatenate(images[:2], axis=1), np.concatenate(images[2:], axis=1)])
    parts = []
    for index, sample in enumerate(samples):
        shift = np.array([index % 2 * side, index // 2 * side], np.float32)
        moved = sample.labels.landmarks.copy()
        moved[:, :, :2] += shift * (moved[:, :, 2:] > 0)
        parts.append(Labels(sample.labels.boxes + np.tile(shift, 2), moved, sample.labels.ignore))
    return Sample(image, join_labels(parts))


def paste_faces(sample: Sample, image: Photo, photo: LabelledPhoto, count: int, rng: np.random.Generator) -> Sample:
    """The sample with up to `count` faces of a photo (its pixels: `image`) shrunk and pasted in."""
    given = photo.labels
    sides = np.sqrt(np.prod(given.boxes[:, 2:] - given.boxes[:, :2], axis=1))
    donors = np.flatnonzero(~given.ignore & (sides >= _MIN_DONOR_PX))
    if not len(donors):
        return sample
    picture, size_px = sample.image.copy(), sample.image.shape[0]
    boxes, landmarks = list(sample.labels.boxes), list(sample.labels.landmarks)
    for _ in range(int(rng.integers(1, count + 1))):
        donor = int(rng.choice(donors))
        shrunk = min(1.0, float(np.exp(rng.uniform(*np.log(PASTED_PX)))) / float(sides[donor]))
        patch, corner, scale = _cut_face(image, given.boxes[donor], shrunk)
        height, width = patch.shape[:2]
        if max(height, width) >= size_px // 2:
            continue
        for _ in range(_TRIES):
            place = rng.integers(0, (size_px - width, size_px - height)).astype(np.float32)
            if not _overlaps(np.concatenate([place, place + np.array(patch.shape[1::-1])]), np.reshape(boxes, (-1, 4))):
                _blend(picture, patch, int(place[0]), int(place[1]))
                boxes.append(((np.reshape(given.boxes[donor], (2, 2)) - corner) * scale + place).ravel())
                points = given.landmarks[donor].copy()
                points[:, :2] = ((points[:, :2] - corner) * scale + place) * (points[:, 2:] > 0)
                landmarks.append(points)
                break
    ignore = np.append(sample.labels.ignore, np.zeros(len(boxes) - len(sample.labels), bool))
    points = np.reshape(np.array(landmarks, np.float32), (-1, LANDMARK_COUNT, 3))
    return Sample(picture, Labels(np.reshape(np.array(boxes, np.float32), (-1, 4)), points, ignore))


def _cut_face(image: Photo, box: FloatArray, scale: float) -> tuple[Photo, FloatArray, FloatArray]:
    """The face with its surroundings, scaled, the corner in the photo that it was cut at, and the scale after rounding."""
    margin = _CONTEXT * (box[2:] - box[:2])
    low = np.floor(np.maximum(box[:2] - margin, 0)).astype(int)
    high = np.ceil(np.minimum(box[2:] + margin, image.shape[1::-1])).astype(int)
    size = np.maximum(1, np.round((high - low) * scale)).astype(int)
    patch = scale_image(image[low[1] : high[1], low[0] : high[0]], int(size[0]), int(size[1]))
    return patch, low.astype(np.float32), (size / (high - low)).astype(np.float32)


def _overlaps(patch: FloatArray, boxes: FloatArray) -> bool:
    low, high = np.maximum(patch[:2], boxes[:, :2]), np.minimum(patch[2:], boxes[:, 2:])
    return bool(((high - low) > 0).all(axis=1).any())


def _blend(picture: Photo, patch: Photo, column: int, row: int) -> None:
    """Put the patch in place, fading out at its border."""
    height, width = patch.shape[:2]
    across, down = np.hanning(width + 2)[1:-1], np.hanning(height + 2)[1:-1]
    weight = np.minimum(1, 3 * np.outer(down, across))[..., None].astype(np.float32)
    place = picture[row : row + height, column : column + width]
    place[:] = cv2.convertScaleAbs(place * (1 - weight) + patch * weight)
