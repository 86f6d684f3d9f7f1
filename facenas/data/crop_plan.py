"""What is random about the crops of a batch, and what follows from it for the labels; the pixels are made elsewhere.

The same distributions as `facenas.data.augment`, drawn for all crops of a batch at once, each crop's from (seed, number)
alone. Crop of side s at (x0, y0), resized to `size_px`: x' = (x - x0) * size_px / s, mirrored in every second crop.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facenas.arrays import BoolArray, Float64Array, FloatArray, IndexArray, IntArray
from facenas.data.annotations import LabelledPhoto
from facenas.data.augment import CROP_SCALES, FLIPPED_LANDMARKS, colour_matrix
from facenas.data.draws import uniforms
from facenas.data.labels import Labels, join_labels
from facenas.data.rotation import turn_labels

_TRIES = 20
_SCALE, _CORNERS, _FACE, _OFFSET, _COLOURS, _DAMAGE, _STRENGTH, _FLIP = 0, 1, 41, 42, 44, 49, 50, 51
_TURNED, _ANGLE = 52, 53
_DRAWS = 54


@dataclass(frozen=True, eq=False)
class PhotoTable:
    """All photos of a set as arrays: sizes int64 [p, 2] (width, height in pixels), the labels of all in one, and where those
    of each photo start, int64 [p + 1]."""

    sizes: IntArray
    labels: Labels
    starts: IntArray

    def rows_of(self, photos: IntArray) -> tuple[IntArray, IntArray]:
        """The rows of the labels of these photos, int64 [f], and for each which of `photos` it belongs to."""
        counts = self.starts[photos + 1] - self.starts[photos]
        owner = np.repeat(np.arange(len(photos)), counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        return self.starts[photos][owner] + np.arange(len(owner)) - before, owner


def table_of(photos: Sequence[LabelledPhoto]) -> PhotoTable:
    """The table of some photos, at least one."""
    counts = [len(photo.labels) for photo in photos]
    sizes = np.array([(photo.width_px, photo.height_px) for photo in photos], np.int64)
    return PhotoTable(sizes, join_labels([photo.labels for photo in photos]), np.cumsum([0, *counts]))


@dataclass(frozen=True, eq=False)
class CropPlan:
    """n crops of `size_px` each.

    photo: int64 [n]; seen: int64 [n, 4], the photo's part inside the crop, x1 y1 x2 y2; place: int64 [n, 4], where it lies
    in the crop before it is mirrored: column, row, width, height; mirrored: bool [n]; colours: float32 [n, 4, 3], which
    (r, g, b, 255) is multiplied with; blur: float64 [n], sigma in pixels of the crop, quality: int64 [n], of a JPEG file, 0
    where there is none; labels: of all crops, as they are in the end, owner: int64, the crop of each.
    """

    size_px: int
    photo: IntArray
    seen: IntArray
    place: IntArray
    mirrored: BoolArray
    colours: FloatArray
    blur: Float64Array
    quality: IntArray
    angle: Float64Array
    labels: Labels
    owner: IntArray


def plan_crops(
    table: PhotoTable,
    photo: IntArray,
    numbers: IntArray,
    seed: int,
    size_px: int,
    *,
    crop_scales: tuple[float, ...] = CROP_SCALES,
    min_face_px: float = 3.0,
    rotation_degrees: float = 0.0,
) -> CropPlan:
    """The crops of samples `numbers` int64 [n], each of the photo at its place in `photo` int64 [n]."""
    drawn = uniforms(seed, numbers, _DRAWS)
    size = table.sizes[photo]
    scale = np.array(crop_scales)[_among(drawn[:, _SCALE], len(crop_scales))]
    side = np.maximum(2, np.rint(scale * size.min(axis=1))).astype(np.int64)
    rows, owner = table.rows_of(photo)
    faces = ~table.labels.ignore[rows]
    corner = _corners(size, side, table.labels.boxes[rows[faces]], owner[faces], drawn)
    seen, place = _visible(size, side, corner, size_px)
    mirrored = drawn[:, _FLIP] < 0.5
    kept, moved = _follow(table.labels, rows, owner, (seen, place, mirrored), size_px, min_face_px)
    kind, strength = drawn[:, _DAMAGE], drawn[:, _STRENGTH]
    blur = np.where(kind < 0.1, 0.4 + 0.8 * strength, 0.0)
    quality = np.where((kind >= 0.1) & (kind < 0.2), 35 + _among(strength, 55), 0)
    colours = _colours(drawn[:, _COLOURS:])
    owner = owner[kept]
    angle = np.deg2rad(rotation_degrees) * np.where(drawn[:, _TURNED] < 0.5, 2 * drawn[:, _ANGLE] - 1, 0.0)
    if rotation_degrees:
        left, moved = turn_labels(moved, angle[owner], size_px)
        moved, owner = moved.take(left), owner[left]
    return CropPlan(size_px, photo, seen, place, mirrored, colours, blur, quality, angle, moved, owner)


def _among(drawn: Float64Array, count: IntArray | int) -> IntArray:
    """Whole numbers from 0 up to `count`, not included."""
    return np.asarray(np.floor(drawn * count), np.int64)


def _corners(size: IntArray, side: IntArray, faces: FloatArray, owner: IntArray, drawn: Float64Array) -> IntArray:
    """int64 [n, 2]: left and top of each crop, the first of several draws that holds the centre of a face; where none does, a
    draw around a face. faces: [f, 4], owner: [f], the crop whose photo's it is."""
    n = len(size)
    slack = size - side[:, None]  # negative where the crop exceeds the photo
    low, high = np.minimum(slack, 0), np.maximum(slack, 0)
    tries = drawn[:, _CORNERS : _CORNERS + 2 * _TRIES].reshape(n, _TRIES, 2)
    corners = low[:, None] + _among(tries, (high - low + 1)[:, None])
    centres = (faces[:, :2] + faces[:, 2:]) / 2
    holds = np.zeros((n, _TRIES), bool)
    # Most first draws hold a face, and crowds have many: the others are looked at where it does not.
    for tried in (slice(0, 1), slice(1, None)):
        open_ = ~holds[owner].any(axis=1)
        crop = owner[open_]
        offset = centres[open_, None] - corners[crop, tried]
        inside = ((offset >= 0) & (offset < side[crop][:, None, None])).all(axis=2)
        face, attempt = np.nonzero(inside)
        holds[crop[face], attempt + tried.start] = True
    chosen: IntArray = corners[np.arange(n), holds.argmax(axis=1)]
    counts = np.bincount(owner, minlength=n)
    missed = np.flatnonzero((counts > 0) & ~holds.any(axis=1))
    which = (np.cumsum(counts) - counts)[missed] + _among(drawn[missed, _FACE], counts[missed])
    within = _among(drawn[missed, _OFFSET : _OFFSET + 2], side[missed][:, None])
    chosen[missed] = np.clip(np.floor(centres[which]).astype(np.int64) - within, low[missed], high[missed])
    return chosen


def _visible(size: IntArray, side: IntArray, corner: IntArray, size_px: int) -> tuple[IntArray, IntArray]:
    """`seen` and `place` of a plan."""
    low, high = np.maximum(corner, 0), np.minimum(corner + side[:, None], size)
    ratio = (size_px / side)[:, None]
    start = np.minimum(np.rint((low - corner) * ratio).astype(np.int64), size_px - 1)
    length = np.clip(np.rint((high - low) * ratio).astype(np.int64), 1, size_px - start)
    return np.concatenate([low, high], axis=1), np.concatenate([start, length], axis=1)


def _follow(
    labels: Labels,
    rows: IntArray,
    owner: IntArray,
    crops: tuple[IntArray, IntArray, BoolArray],
    size_px: int,
    min_face_px: float,
) -> tuple[IndexArray, Labels]:
    """Which of the labels at `rows` a crop holds, and they as they are there: moved, clipped, mirrored, and demoted to ignore
    where too little of the face is left. crops: `seen`, `place` and `mirrored` of a plan."""
    seen, place, mirrored = crops
    scale = (place[:, 2:] / (seen[:, 2:] - seen[:, :2])).astype(np.float32)
    shift = (place[:, :2] - seen[:, :2] * scale).astype(np.float32)
    moved = labels.boxes[rows] * np.tile(scale, 2)[owner] + np.tile(shift, 2)[owner]
    clipped = np.clip(moved, 0, size_px)
    # Columns one by one: sums and products over axes of two are slow, and crowds have many labels.
    width, height = clipped[:, 2] - clipped[:, 0], clipped[:, 3] - clipped[:, 1]
    kept = np.flatnonzero((width >= 1) & (height >= 1))
    x, y = (moved[kept, 0] + moved[kept, 2]) / 2, (moved[kept, 1] + moved[kept, 3]) / 2
    inside = (x >= 0) & (x < size_px) & (y >= 0) & (y < size_px)
    ignore = labels.ignore[rows[kept]] | ~inside | (np.sqrt(width[kept] * height[kept]) < min_face_px)
    crop, boxes = owner[kept], clipped[kept]
    turned = mirrored[crop]
    boxes[turned, 0], boxes[turned, 2] = size_px - boxes[turned, 2], size_px - boxes[turned, 0]
    points = labels.landmarks[rows[kept]]
    known = points[:, :, 2] > 0
    points[:, :, :2] = points[:, :, :2] * scale[crop][:, None] + shift[crop][:, None]
    for axis in (0, 1):
        known &= (points[:, :, axis] >= 0) & (points[:, :, axis] < size_px)
    points[turned, :, 0] = size_px - points[turned, :, 0]
    points[:, :, 2] = known
    points[~known] = 0
    points[turned] = points[turned][:, FLIPPED_LANDMARKS]
    return kept, Labels(boxes, points, ignore)


def _colours(drawn: Float64Array) -> FloatArray:
    """float32 [n, 4, 3] of five draws each."""
    contrast = 0.6 + 0.8 * drawn[:, 0]
    saturation = np.where(drawn[:, 1] < 0.05, 0.0, 0.5 + drawn[:, 2])
    angle = np.deg2rad(36 * drawn[:, 3] - 18)
    brightness = 80 * drawn[:, 4] - 40 + 128 * (1 - contrast)
    matrix = colour_matrix(contrast, saturation, angle)
    bias = np.broadcast_to((brightness / 255)[:, None, None], (len(drawn), 1, 3))
    return np.concatenate([matrix.swapaxes(1, 2), bias], axis=1).astype(np.float32)
