"""Turned samples: heads lean, and a detector that saw none lean finds fewer of those that do.

    p' = R(angle) (p - c) + c,  c the middle of the sample

A face is taken as the ellipse in its box, of half axes a and b. Turned, its box has the half sides

    sqrt((a cos)^2 + (b sin)^2),  sqrt((a sin)^2 + (b cos)^2)

Ignored boxes are covered whole, corners too. What comes in from beyond the sample is black, as in inference.
"""

import cv2
import numpy as np

from facenas.arrays import FloatArray
from facenas.data.augment import Sample
from facenas.data.labels import Labels


def rotate(sample: Sample, degrees: float) -> Sample:
    """The sample turned about its middle, clockwise as seen; a face whose centre leaves it is ignored from then on."""
    size_px = sample.image.shape[0]
    angle, middle = np.deg2rad(degrees), (size_px - 1) / 2
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    turn = np.array([[cosine, -sine], [sine, cosine]], np.float32)
    shift = middle - turn @ np.array([middle, middle], np.float32)
    image = cv2.warpAffine(sample.image, np.column_stack([turn, shift]), (size_px, size_px), flags=cv2.INTER_LINEAR)
    # Pixel i covers i to i + 1 of the labels' coordinates.
    offset = shift + 0.5 - turn @ np.array([0.5, 0.5], np.float32)
    return Sample(image.astype(np.uint8, copy=False), _turned(sample.labels, turn, offset, size_px))


def _turned(labels: Labels, turn: FloatArray, offset: FloatArray, size_px: int) -> Labels:
    corners = labels.boxes.reshape(-1, 2, 2)
    centre = corners.mean(axis=1) @ turn.T + offset
    half = (corners[:, 1] - corners[:, 0]) / 2
    of_face = np.sqrt(np.square(half) @ np.square(turn).T)
    of_corners = half @ np.abs(turn).T
    half = np.where(labels.ignore[:, None], of_corners, of_face)
    clipped = np.clip(np.stack([centre - half, centre + half], axis=1), 0, size_px)
    sides = clipped[:, 1] - clipped[:, 0]
    inside = ((centre >= 0) & (centre < size_px)).all(axis=1)
    points = labels.landmarks.copy()
    points[:, :, :2] = points[:, :, :2] @ turn.T + offset
    known = (points[:, :, 2] > 0) & ((points[:, :, :2] >= 0) & (points[:, :, :2] < size_px)).all(axis=2)
    points[:, :, 2] = known
    points[~known] = 0
    turned = Labels(clipped.reshape(-1, 4).astype(np.float32), points.astype(np.float32), labels.ignore | ~inside)
    return turned.take((sides >= 1).all(axis=1))
