"""What a curve of precision and recall is made of, by photo: so that it can be drawn anew of any choice of the photos.

Of photos i that are taken w_i times, at each threshold t:
precision = sum of w_i recalled_i(t) / sum of w_i judged_i(t), recall = sum of w_i recalled_i(t) / sum of w_i faces_i,
and the AP is the area under the envelope.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from facenas.arrays import BoolArray, Float64Array, FloatArray, IntArray

Numbers = IntArray | FloatArray | Float64Array
THRESHOLDS = 1000
_BLOCK = 256  # photos whose counts are held at once, 1 MB a block


@dataclass(frozen=True, eq=False)
class PhotoCounts:
    """photo, threshold, int64 [d]: of each detection, the index of its photo and the first of the falling thresholds that it
    reaches; judged, bool [d]: not taken out of the reckoning; recalled, bool [d]: the first to find a face that counts; faces,
    int64 [photos]: that count."""

    photo: IntArray
    threshold: IntArray
    judged: BoolArray
    recalled: BoolArray
    faces: IntArray

    def curve(self) -> tuple[Float64Array, float | None]:
        """Of all photos: precision and recall at each threshold, float64 [1000, 2], and the AP, None of no face."""
        judged, recalled = (
            np.bincount(self.threshold[kept], minlength=THRESHOLDS) for kept in (self.judged, self.recalled)
        )
        faces = self.faces.sum(keepdims=True)
        curves = _curves(judged[None], recalled[None], faces)
        return curves[0], float(_areas_under(curves)[0]) if faces[0] else None

    def average_precisions(self, times: FloatArray) -> Float64Array:
        """The APs, float64 [c], of choices that take each photo so many `times`, [c, photos]; 0 of no face."""
        judged, recalled = (
            sum(times[:, block] @ counts for block, counts in self._blocks(kept))
            for kept in (self.judged, self.recalled)
        )
        return _areas_under(_curves(np.asarray(judged), np.asarray(recalled), times @ self.faces))

    def _blocks(self, kept: BoolArray) -> Iterator[tuple[slice, FloatArray]]:
        """Some photos and their counts at each threshold, [photos, 1000], until all were there."""
        photo, threshold = self.photo[kept], self.threshold[kept]
        for first in range(0, len(self.faces), _BLOCK):
            count = min(_BLOCK, len(self.faces) - first)
            inside = (photo >= first) & (photo < first + count)
            cells = (photo[inside] - first) * THRESHOLDS + threshold[inside]
            counts = np.bincount(cells, minlength=count * THRESHOLDS).reshape(count, THRESHOLDS)
            yield slice(first, first + count), counts.astype(np.float32)


def _curves(judged: Numbers, recalled: Numbers, faces: Numbers) -> Float64Array:
    proposals, found = judged.cumsum(axis=1), recalled.cumsum(axis=1)
    return np.stack([found / np.maximum(proposals, 1), found / np.maximum(faces, 1)[:, None]], axis=2, dtype=np.float64)


def _areas_under(curves: Float64Array) -> Float64Array:
    """Of each of [c, 1000, 2]: the area under the envelope."""
    envelope = np.maximum.accumulate(curves[:, ::-1, 0], axis=1)[:, ::-1]
    return np.asarray((np.diff(curves[:, :, 1], prepend=0.0, axis=1) * envelope).sum(axis=1))
