"""How a photo of any size becomes a picture of the size that a network takes."""

import numpy as np
import numpy.typing as npt

from facenas.data.image import Photo, scale_image

_STRIDE_PX = 32


def letterbox(image: Photo, width_px: int, height_px: int) -> tuple[Photo, float]:
    """Scale an image, in ratio, as large as fits; place it top-left in uint8 [height_px, width_px, 3], the rest black.

    Returns the picture and the scale: a point of the image times the scale is the point of the picture.
    """
    height, width = image.shape[:2]
    scale = min(width_px / width, height_px / height)
    fitted = scale_image(image, min(width_px, round(width * scale)), min(height_px, round(height * scale)))
    picture = np.zeros((height_px, width_px, 3), dtype=np.uint8)
    picture[: fitted.shape[0], : fitted.shape[1]] = fitted
    return picture, scale


def fit_long_side(image: npt.NDArray[np.uint8], long_side_px: int) -> tuple[npt.NDArray[np.uint8], float]:
    """Scale a photo to a long side in ratio, and fill right and bottom with black up to multiples of 32.

    Returns the picture and the scale, as `letterbox` does.
    """
    height, width = image.shape[:2]
    scale = long_side_px / max(height, width)
    scaled_width, scaled_height = max(1, round(width * scale)), max(1, round(height * scale))
    sides = (-(-side // _STRIDE_PX) * _STRIDE_PX for side in (scaled_height, scaled_width))
    picture = np.zeros((*sides, 3), np.uint8)
    picture[:scaled_height, :scaled_width] = scale_image(image, scaled_width, scaled_height)
    return picture, scale
