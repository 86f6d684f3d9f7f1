"""Photos made small enough to live inside a page."""

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

WIDTH_PX = 480
JPEG_QUALITY = 80


def as_data_uri(photo: npt.NDArray[np.uint8]) -> str:
    """A photo (uint8 RGB [height, width, 3]) as a JPEG data URI, scaled down to WIDTH_PX where it is wider."""
    picture = Image.fromarray(photo)
    if picture.width > WIDTH_PX:
        height_px = max(1, round(picture.height * WIDTH_PX / picture.width))
        picture = picture.resize((WIDTH_PX, height_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
