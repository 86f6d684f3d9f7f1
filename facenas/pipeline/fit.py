"""How a photo of any size becomes a picture of a size that a network takes: each way a `Fit` of `facenas.pipeline.pipeline`.

A point of the photo, times the scales of the `Fitted`, is the point of the picture.
"""

from dataclasses import dataclass

import numpy as np

from facenas.data.image import Photo, resize, scale_image
from facenas.units import Size

_STRIDE_PX = 32


@dataclass(frozen=True, eq=False)
class Fitted:
    """`picture`: uint8 RGB [height, width, 3] of the network's size; `photo_size`: the size of the photo that it shows."""

    picture: Photo
    scale_x: float
    scale_y: float
    photo_size: Size


@dataclass(frozen=True)
class Letterbox:
    """Scaled, in ratio, as large as fits into `size`; placed top-left, the rest black."""

    size: Size

    def __call__(self, photo: Photo) -> Fitted:
        height, width = photo.shape[:2]
        width_px, height_px = self.size.width_px, self.size.height_px
        scale = min(width_px / width, height_px / height)
        scaled = scale_image(photo, min(width_px, round(width * scale)), min(height_px, round(height * scale)))
        return Fitted(_on_black(scaled, self.size), scale, scale, Size(width, height))


@dataclass(frozen=True)
class LongSide:
    """Scaled to a long side in ratio, with black to the right and below up to multiples of 32."""

    long_side_px: int

    def __call__(self, photo: Photo) -> Fitted:
        height, width = photo.shape[:2]
        scale = self.long_side_px / max(height, width)
        scaled = scale_image(photo, max(1, round(width * scale)), max(1, round(height * scale)))
        height_px, width_px = (-(-side // _STRIDE_PX) * _STRIDE_PX for side in scaled.shape[:2])
        return Fitted(_on_black(scaled, Size(width_px, height_px)), scale, scale, Size(width, height))


@dataclass(frozen=True)
class Unscaled:
    """As it is, with black to the right and below up to multiples of 32."""

    def __call__(self, photo: Photo) -> Fitted:
        return LongSide(max(photo.shape[:2]))(photo)


@dataclass(frozen=True)
class Stretched:
    """Scaled to fill `size`, out of ratio."""

    size: Size

    def __call__(self, photo: Photo) -> Fitted:
        height, width = photo.shape[:2]
        width_px, height_px = self.size.width_px, self.size.height_px
        picture = resize(photo, width_px, height_px)
        return Fitted(picture, width_px / width, height_px / height, Size(width, height))


def _on_black(scaled: Photo, size: Size) -> Photo:
    picture = np.zeros((size.height_px, size.width_px, 3), dtype=np.uint8)
    picture[: scaled.shape[0], : scaled.shape[1]] = scaled
    return picture
