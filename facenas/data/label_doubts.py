"""Labels that are well-formed and cannot be right: numbers in another order, or shares of the photo's sides for pixels.

A face's box is *plausible* where it has an area of a pixel or more, lies on its photo, and is at most three times as wide as
high or high as wide. Where far more boxes of a file are plausible when their four numbers are read in another order, that
order is likely what was written.
"""

import numpy as np

from facenas.arrays import BoolArray, FloatArray, IntArray

_MAX_ASPECT = 3.0
_SLACK_PX = 1.0
# Of honest labels a few reach over the border, and read in another order very many.
_MIN_PLAUSIBLE = 0.99
_CLEARLY, _CLEARLY_BOXES = 0.03, 3


def in_other_units(boxes: FloatArray) -> bool:
    """Whether boxes [n, 4] look like shares of the photo's sides."""
    return bool(len(boxes) and (boxes >= 0).all() and (boxes <= 1).all() and (boxes > 0).any())


def likeliest_order(boxes: FloatArray, sizes: FloatArray) -> str | None:
    """What the numbers of the boxes [n, 4], read as x1 y1 x2 y2, most likely are, where that is something else.

    sizes: float [n, 2], width and height in pixels of the photo of each.
    """
    as_written = _plausible(boxes, sizes)
    a, b, c, d = boxes.T
    others = {
        "x y w h": (a, b, a + c, b + d),
        "cx cy w h": (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
        "y1 x1 y2 x2": (b, a, d, c),
        "y x h w": (b, a, b + d, a + c),
        "x1 x2 y1 y2": (a, c, b, d),
    }
    shares = {name: float(_plausible(np.stack(order, axis=1), sizes).mean()) for name, order in others.items()}
    best, share = max(shares.values()), float(as_written.mean())
    if (
        best < _MIN_PLAUSIBLE
        or best - share < _CLEARLY
        or (best - share) * len(boxes) < min(_CLEARLY_BOXES, len(boxes))
    ):
        return None
    return " or ".join(name for name in shares if shares[name] == best)


def _plausible(boxes: FloatArray, sizes: FloatArray) -> BoolArray:
    sides = boxes[:, 2:] - boxes[:, :2]
    inside = (boxes[:, :2] >= -_SLACK_PX).all(axis=1) & (boxes[:, 2:] <= sizes + _SLACK_PX).all(axis=1)
    large = (sides >= 1).all(axis=1)
    aspect = np.divide(sides.max(axis=1), sides.min(axis=1), out=np.full(len(boxes), np.inf), where=large)
    return np.asarray(inside & large & (aspect <= _MAX_ASPECT))


def repeated(boxes: FloatArray, photo: IntArray) -> BoolArray:
    """bool [n]: boxes that an earlier one of the same photo (its number: `photo` [n]) equals in all numbers."""
    _, first = np.unique(np.column_stack([photo, boxes]).astype(np.float64), axis=0, return_index=True)
    again = np.ones(len(boxes), dtype=bool)
    again[first] = False
    return again
