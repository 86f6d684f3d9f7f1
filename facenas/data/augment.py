"""Training samples: a random square crop, a flip, colours and damage, with boxes and landmarks that follow the pixels.

Crop of side s = scale x short side at (x0, y0), resized to `size_px`: x' = (x - x0) * size_px / s, so scales below one
enlarge the faces and scales above one shrink them; what lies beyond the photo is black, as in inference. All of it is
drawn from the given generator: an equal generator state gives equal bytes.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from facenas.arrays import Float64Array, FloatArray
from facenas.data.image import Photo, decode_own_image, encode_jpeg, scale_image
from facenas.data.labels import Labels

CROP_SCALES = (0.3, 0.45, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0)
"""Default sides of the crop as multiples of the photo's short side."""
FLIPPED_LANDMARKS = (1, 0, 2, 4, 3)
"""Which point stands where after a flip: the left eye becomes the right one, and the mouth corners change sides."""

_CROP_TRIES = 20
_RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)


@dataclass(frozen=True, eq=False)
class Sample:
    """One training picture, uint8 RGB [size, size, 3], and the labels in its pixels."""

    image: Photo
    labels: Labels


def augment(
    image: Photo,
    labels: Labels,
    size_px: int,
    rng: np.random.Generator,
    crop_scales: tuple[float, ...] = CROP_SCALES,
    min_face_px: float = 3.0,
) -> Sample:
    """One random sample of size_px x size_px from a photo (uint8 RGB [height, width, 3]) and its labels.

    A face whose centre is inside the crop stays a face, clipped to it; one that only reaches into the crop, or is
    smaller than `min_face_px` (geometric mean of its sides in the sample), becomes an ignore box.
    """
    side_px = max(2, round(float(rng.choice(crop_scales)) * min(image.shape[:2])))
    left, top = _choose_corner(image.shape[1], image.shape[0], side_px, labels.face_boxes, rng)
    crop = _cut(image, left, top, side_px, size_px)
    visible = _damage(_distort_colours(crop.visible, rng), rng)
    picture = _place(visible, crop.column, crop.row, size_px)
    sample = Sample(picture, _follow(labels, crop, size_px, min_face_px))
    return flip(sample) if rng.random() < 0.5 else sample


def flip(sample: Sample) -> Sample:
    """The mirror image, left to right; left and right landmarks change places."""
    width_px = sample.image.shape[1]
    labels = sample.labels
    boxes = labels.boxes.copy()
    boxes[:, [0, 2]] = width_px - labels.boxes[:, [2, 0]]
    landmarks = labels.landmarks[:, FLIPPED_LANDMARKS, :].copy()
    landmarks[:, :, 0] = np.where(landmarks[:, :, 2] > 0, width_px - landmarks[:, :, 0], 0)
    mirrored = cv2.flip(sample.image, 1).astype(np.uint8, copy=False)
    return Sample(mirrored, Labels(boxes, landmarks, labels.ignore))


def _choose_corner(
    width_px: int, height_px: int, side_px: int, faces: FloatArray, rng: np.random.Generator
) -> tuple[int, int]:
    """Left and top of the crop: at random, the first of several draws that holds the centre of a face.

    Where none does, as with one small face in a large photo, the crop is drawn around a face.
    """
    slack = np.array([width_px - side_px, height_px - side_px])  # negative where the crop exceeds the photo
    low, high = np.minimum(slack, 0), np.maximum(slack, 0)
    corners = rng.integers(low, high + 1, size=(_CROP_TRIES, 2))
    centres = (faces[:, :2] + faces[:, 2:]) / 2
    offset = centres[None] - corners[:, None]  # [tries, n, 2]
    holds_face = np.any(np.all((offset >= 0) & (offset < side_px), axis=2), axis=1)
    if len(faces) and not holds_face.any():
        centre = np.floor(centres[rng.integers(len(centres))]).astype(np.int64)
        left, top = np.clip(centre - rng.integers(0, side_px, size=2), low, high)
    else:
        left, top = corners[int(holds_face.argmax())]  # the first draw where there is no face
    return int(left), int(top)


@dataclass(frozen=True, eq=False)
class _Crop:
    """The photo's part of a crop, scaled, and where it lies: x' = scale[0] * x + shift[0], and the same for y."""

    visible: Photo
    column: int
    row: int
    scale: FloatArray
    shift: FloatArray


def _cut(image: Photo, left: int, top: int, side_px: int, size_px: int) -> _Crop:
    """Cut the part of the photo inside the square and scale it. `scale` is that of the pixels, rounding included."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + side_px, width), min(top + side_px, height)
    ratio = size_px / side_px
    column, row = min(round((x1 - left) * ratio), size_px - 1), min(round((y1 - top) * ratio), size_px - 1)
    fit_width = max(1, min(round((x2 - x1) * ratio), size_px - column))
    fit_height = max(1, min(round((y2 - y1) * ratio), size_px - row))
    visible = scale_image(image[y1:y2, x1:x2], fit_width, fit_height)
    scale = np.array([fit_width / (x2 - x1), fit_height / (y2 - y1)], dtype=np.float32)
    return _Crop(visible, column, row, scale, np.array([column - x1 * scale[0], row - y1 * scale[1]], np.float32))


def _place(visible: Photo, column: int, row: int, size_px: int) -> Photo:
    """The picture of size_px x size_px with the visible part in its place, black around it."""
    height, width = visible.shape[:2]
    if (height, width) == (size_px, size_px):
        return visible
    picture = np.zeros((size_px, size_px, 3), dtype=np.uint8)
    picture[row : row + height, column : column + width] = visible
    return picture


def _follow(labels: Labels, crop: _Crop, size_px: int, min_face_px: float) -> Labels:
    """The labels after the crop: moved, clipped, and demoted to ignore where too little of the face is left."""
    moved = labels.boxes.reshape(-1, 2, 2) * crop.scale + crop.shift  # [n, 2 corners, xy]
    centre = moved.mean(axis=1)
    clipped = np.clip(moved, 0, size_px)
    sides = clipped[:, 1] - clipped[:, 0]
    visible = (sides >= 1).all(axis=1)
    inside = ((centre >= 0) & (centre < size_px)).all(axis=1)
    too_small = np.sqrt(np.maximum(sides, 0).prod(axis=1)) < min_face_px
    points = labels.landmarks.copy()
    points[:, :, :2] = points[:, :, :2] * crop.scale + crop.shift
    known = (points[:, :, 2] > 0) & ((points[:, :, :2] >= 0) & (points[:, :, :2] < size_px)).all(axis=2)
    points[:, :, 2] = known
    points[~known] = 0
    return Labels(clipped.reshape(-1, 4), points, labels.ignore | ~inside | too_small).take(visible)


def _distort_colours(image: Photo, rng: np.random.Generator) -> Photo:
    """Brightness, contrast, saturation and hue in one affine map of the colours, rgb' = M rgb + b."""
    contrast = rng.uniform(0.6, 1.4)
    saturation = 0.0 if rng.random() < 0.05 else rng.uniform(0.5, 1.5)
    angle = np.deg2rad(rng.uniform(-18, 18))
    brightness = rng.uniform(-40, 40) + 128 * (1 - contrast)
    matrix = colour_matrix(np.array([contrast]), np.array([saturation]), np.array([angle]))[0]
    affine = np.column_stack([matrix, np.full(3, brightness)])
    return cv2.transform(image, affine.astype(np.float32)).astype(np.uint8, copy=False)


def colour_matrix(contrast: Float64Array, saturation: Float64Array, angle: Float64Array) -> Float64Array:
    """float64 [n, 3, 3], M of rgb' = M rgb for contrasts, saturations and hue angles in radians, float64 [n] each.

    M = contrast x (YIQ -> RGB) (rotate the chroma plane by the hue angle, stretch it by the saturation) (RGB -> YIQ).
    """
    cosine, sine = saturation * np.cos(angle), saturation * np.sin(angle)
    chroma = np.zeros((len(contrast), 3, 3))
    chroma[:, 0, 0] = 1
    chroma[:, 1, 1], chroma[:, 1, 2] = cosine, -sine
    chroma[:, 2, 1], chroma[:, 2, 2] = sine, cosine
    return np.asarray(contrast[:, None, None] * _YIQ_TO_RGB @ chroma @ _RGB_TO_YIQ)


def _damage(image: Photo, rng: np.random.Generator) -> Photo:
    """Now and then a slight blur or JPEG artefacts, as photos from elsewhere have them."""
    kind = rng.random()
    if kind < 0.1:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2)).astype(np.uint8, copy=False)
    if kind < 0.2:
        quality = int(rng.integers(35, 90))
        return decode_own_image(encode_jpeg(image, quality))
    return image
