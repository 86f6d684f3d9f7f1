"""Reading photos as uint8 RGB, and fitting them into a network's input.

OpenCV decodes a truncated JPEG without a word and fills the rest with grey; so a file that does not end as its format
must is decoded a second time by Pillow, which refuses it.
"""

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from facenas.errors import InputError

Photo = NDArray[np.uint8]

_ENDINGS = (b"\xff\xd9", b"IEND\xaeB`\x82")  # JPEG end-of-image marker, PNG end chunk
_LONGEST_ENDING = 8
_ROTATED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_AREA_BELOW = 0.5  # bilinear samples 2x2 pixels: under half the size it would skip some and alias


def read_image(path: Path) -> Photo:
    """Decode a photo into uint8 RGB [height, width, 3], turned as its EXIF orientation says.

    Raises InputError where the file is absent, truncated, or no image.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read photo {path}: {error.strerror}; check the path") from error
    return decode_image(content, path)


def decode_image(content: bytes, path: Path) -> Photo:
    """Decode the bytes of an image file; `path` names it in the error. Otherwise as `read_image`."""
    if not content.endswith(_ENDINGS):
        _require_whole(content, path)
    try:
        image = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise InputError(f"cannot decode {path}: {error.err}; save it as a smaller JPEG or PNG") from error
    if image is None:
        raise _not_an_image(path)
    return image.astype(np.uint8, copy=False)


def photo_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels as shown (EXIF orientation applied), from the header; the pixels are not decoded.

    Raises InputError where the file is absent, truncated, or no image.
    """
    try:
        with path.open("rb") as file:
            length = file.seek(0, io.SEEK_END)
            file.seek(max(0, length - _LONGEST_ENDING))
            whole = file.read().endswith(_ENDINGS)
            file.seek(0)
            if not whole:
                _require_whole(file.read(), path)
                file.seek(0)
            with Image.open(file) as image:
                width_px, height_px = image.size
                exif = image.getexif() if "exif" in image.info else {}
    except Image.DecompressionBombError as error:
        raise InputError(f"photo {path} is too large: {error}; scale it down") from error
    except UnidentifiedImageError as error:
        raise _not_an_image(path) from error
    except OSError as error:
        raise InputError(f"cannot read photo {path}: {error.strerror or error}; check the file") from error
    rotated = exif.get(ExifTags.Base.Orientation) in _ROTATED
    return (height_px, width_px) if rotated else (width_px, height_px)


def scale_image(image: Photo, width_px: int, height_px: int) -> Photo:
    """Scale to the size (at least 1x1): by area when shrinking to less than half, else bilinear."""
    size = (max(1, width_px), max(1, height_px))
    shrinks = size[0] < _AREA_BELOW * image.shape[1] or size[1] < _AREA_BELOW * image.shape[0]
    return resize(image, *size, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def resize(image: Photo, width_px: int, height_px: int, interpolation: int = cv2.INTER_LINEAR) -> Photo:
    """Scale to the size by one of OpenCV's methods, bilinear where none is given."""
    return cv2.resize(image, (width_px, height_px), interpolation=interpolation).astype(np.uint8, copy=False)


def encode_jpeg(image: Photo, quality: int) -> bytes:
    """The JPEG bytes of a uint8 RGB image at a quality of 1 to 100."""
    done, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InputError(f"cannot encode an image of shape {image.shape} as JPEG; JPEG sides end at 65,500 pixels")
    return content.tobytes()


def _require_whole(content: bytes, path: Path) -> None:
    """Decode with Pillow, which refuses images that end too early."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except Image.DecompressionBombError as error:
        raise InputError(f"photo {path} is too large: {error}; scale it down") from error
    except UnidentifiedImageError as error:
        raise _not_an_image(path) from error
    except (OSError, SyntaxError, ValueError) as error:  # Pillow reports damaged files as any of the three
        raise InputError(f"photo {path} is truncated or damaged ({error}); copy it again or leave it out") from error


def _not_an_image(path: Path) -> InputError:
    return InputError(f"{path} is not a photo that can be decoded; give a JPEG or PNG file")
