"""Turned samples: heads lean, and a detector that saw none lean finds fewer of those that do.

    p' = R(angle) (p - c) + c,  c the middle of the sample

A face is taken as the ellipse in its box, of half axes a and b. Turned, its box has the half sides

    sqrt((a cos)^2 + (b sin)^2),  sqrt((a sin)^2 + (b cos)^2)

Ignored boxes are covered whole, corners too. What comes in from beyond the sample is black, as in inference.
"""

import cv2
import numpy as np

from facenas.arrays import BoolArray, Float64Array
from facenas.data.augment import Sample
from facenas.data.labels import Labels


def rotate(sample: Sample, degrees: float) -> Sample:
    """The sample turned about its middle, clockwise as seen; a face whose centre leaves it is ignored from then on."""
    size_px = sample.image.shape[0]
    angle, middle = np.deg2rad(degrees), (size_px - 1) / 2
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    shift = middle - turn @ np.array([middle, middle])
    image = cv2.warpAffine(sample.image, np.column_stack([turn, shift]), (size_px, size_px), flags=cv2.INTER_LINEAR)
    kept, labels = turn_labels(sample.labels, np.full(len(sample.labels), angle), size_px)
    return Sample(image.astype(np.uint8, copy=False), labels.take(kept))


def turn_labels(labels: Labels, angles: Float64Array, size_px: int) -> tuple[BoolArray, Labels]:
    """Which of the labels, bool [n], still lie in a sample of `size_px` after a turn about its middle, each by its own of
    `angles` (radians, float64 [n]), and all of them, turned."""
    cosine, sine = np.cos(angles), np.sin(angles)
    turn = np.stack([np.stack([cosine, -sine], axis=-1), np.stack([sine, cosine], axis=-1)], axis=-2)  # [n, 2, 2]
    middle = size_px / 2
    corners = labels.boxes.reshape(-1, 2, 2).astype(np.float64)
    centre = np.einsum("nij,nj->ni", turn, corners.mean(axis=1) - middle) + middle
    half = (corners[:, 1] - corners[:, 0]) / 2
    of_face = np.sqrt(np.einsum("nij,nj->ni", np.square(turn), np.square(half)))
    of_corners = np.einsum("nij,nj->ni", np.abs(turn), half)
    half = np.where(labels.ignore[:, None], of_corners, of_face)
    clipped = np.clip(np.stack([centre - half, centre + half], axis=1), 0, size_px)
    inside = ((centre >= 0) & (centre < size_px)).all(axis=1)
    points = labels.landmarks.copy()
    points[:, :, :2] = np.einsum("nij,npj->npi", turn, points[:, :, :2] - middle) + middle
    known = (points[:, :, 2] > 0) & ((points[:, :, :2] >= 0) & (points[:, :, :2] < size_px)).all(axis=2)
    points[:, :, 2] = known
    points[~known] = 0
    kept = (clipped[:, 1] - clipped[:, 0] >= 1).all(axis=1)
    return kept, Labels(clipped.reshape(-1, 4).astype(np.float32), points, labels.ignore | ~inside)
