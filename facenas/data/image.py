"""Reading photos as uint8 RGB, and fitting them into a network's input.

A file says first, in its header, which format it is, how many pixels it has and how it is turned; that is read by Pillow for
every purpose. Only the formats that are meant are ever decoded: the others lead to helper programs. OpenCV then decodes the
pixels, without turning them, for it understands fewer headers; and it decodes a truncated JPEG without a word and fills
the rest with grey, so a file that does not end as its format must is decoded a second time by Pillow, which refuses it.
"""

import io
import struct
import zlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from facenas.data.pieces import in_piece, read_in_piece
from facenas.errors import InputError
from facenas.files import open_file, read_bytes

Photo = NDArray[np.uint8]

MAX_PIXELS = 200_000_000
"""The largest sensors of telephones; decoded it takes 600 MB."""
MAX_FILE_BYTES = 1_000_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
_FORMATS = (  # how its files begin, and what reads them
    (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (_PNG, PngImagePlugin.PngImageFile),
    (b"RIFF", WebPImagePlugin.WebPImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
)
_BEGINNING = 8
_ENDINGS = (b"\xff\xd9", b"IEND\xaeB`\x82")  # JPEG end-of-image marker, PNG end chunk
_LONGEST_ENDING = 8
_RIFF_HEADER = 12  # RIFF, the length of what follows these eight bytes, WEBP
_MAX_EXIF_BYTES = 1_000_000
_ORIENTATION_TAG, _LONG = 0x0112, 4
_SWAPPED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_TURNS = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
_FLIPS = {2: 1, 4: 0}
_AREA_BELOW = 0.5  # bilinear samples 2x2 pixels: under half the size it would skip some and alias
# Damage shows in any of these, as Pillow's readers are written.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError),
    *(EOFError, MemoryError, struct.error, zlib.error),
)


@dataclass(frozen=True)
class _Header:
    """Pixels as they are stored, and the EXIF orientation, 1 to 8."""

    width_px: int
    height_px: int
    orientation: int

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height once it is turned."""
        turned = self.orientation in _SWAPPED
        return (self.height_px, self.width_px) if turned else (self.width_px, self.height_px)


def read_image(path: Path) -> Photo:
    """Decode a photo, a file or one in a piece, into uint8 RGB [height, width, 3], turned as its EXIF orientation says.

    Raises InputError where it is absent, truncated, too large, or no photo.
    """
    return decode_image(read_photo_bytes(path), path)


def read_photo_bytes(path: Path) -> bytes:
    """The bytes of a photo's file, or of one in a piece. Raises InputError where it is absent or too large."""
    return read_in_piece(path) if in_piece(path) else read_bytes(path, "photo", MAX_FILE_BYTES)


def decode_image(content: bytes, path: Path) -> Photo:
    """Decode the bytes of an image file; `path` names it in the error. Otherwise as `read_image`."""
    header = _read_header(io.BytesIO(content), path)
    if not _is_whole(io.BytesIO(content)):
        _require_whole(io.BytesIO(content), path)
    return _turned(_decode(content, path), header.orientation)


def decode_own_image(content: bytes) -> Photo:
    """Decode what `encode_jpeg` gave."""
    return _decode(content, Path("photo.jpg"))


def _decode(content: bytes, path: Path) -> Photo:
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flags)
    except cv2.error as error:
        raise InputError(f"cannot decode {path}: {error.err}; save it as a smaller JPEG or PNG") from error
    if image is None:
        raise _not_a_photo(path)
    return image.astype(np.uint8, copy=False)


def photo_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels as shown (EXIF orientation applied), from the header; the pixels are not decoded.

    Raises InputError where the file is absent, truncated, too large, or no photo.
    """
    with _opened_bytes(path) as file:
        try:
            whole = _is_whole(file)
        except OSError as error:
            raise InputError(f"cannot read photo {path}: {error.strerror or error}; check the file") from error
        header = _read_header(file, path)
        if not whole:
            _require_whole(file, path)
    return header.shown_size


def _opened_bytes(path: Path) -> AbstractContextManager[IO[bytes]]:
    return io.BytesIO(read_in_piece(path)) if in_piece(path) else open_file(path, "photo", MAX_FILE_BYTES)


def _is_whole(file: IO[bytes]) -> bool:
    """Whether a photo's file ends where its format says: JPEG and PNG by their last bytes, WebP by the length in its header."""
    length = file.seek(0, io.SEEK_END)
    file.seek(max(0, length - _LONGEST_ENDING))
    if file.read().endswith(_ENDINGS):
        return True
    file.seek(0)
    beginning = file.read(_RIFF_HEADER)
    is_webp = beginning[:4] == b"RIFF" and beginning[8:] == b"WEBP"
    return is_webp and length >= int.from_bytes(beginning[4:8], "little") + 8


def _read_header(file: IO[bytes], path: Path) -> _Header:
    try:
        with _opened(file, path) as image:
            orientation = _orientation(image)
            header = _Header(*image.size, orientation)
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    if (pixels := header.width_px * header.height_px) > MAX_PIXELS:
        raise InputError(
            f"photo {path} is too large: {header.width_px}x{header.height_px} are {pixels / 1e6:,.0f} megapixels of"
            f" {MAX_PIXELS / 1e6:.0f} at most; scale it down"
        )
    return header


def _opened(file: IO[bytes], path: Path) -> ImageFile.ImageFile:
    """The file in the reader that its first bytes ask for. Raises InputError where that is none of the formats."""
    file.seek(0)
    beginning = file.read(_BEGINNING)
    file.seek(0)
    for magic, reader in _FORMATS:
        if beginning.startswith(magic):
            return reader(file)
    raise _not_a_photo(path)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation of an opened image, 1 where there is none that means anything. Nothing but EXIF counts: other
    programs that show photos look nowhere else."""
    block = image.info.get("exif")
    if block is None and isinstance(image, PngImagePlugin.PngImageFile) and image.fp is not None:
        block = _late_exif(image.fp)
    return orientation_of_exif(block) if isinstance(block, bytes) else 1


def _late_exif(png: IO[bytes]) -> bytes | None:
    """The eXIf chunk of a PNG file, which may stand behind the pixels."""
    place = png.tell()
    try:
        png.seek(len(_PNG))
        while len(start := png.read(8)) == 8:
            length, kind = struct.unpack(">I4s", start)
            if kind == b"eXIf":
                return png.read(min(length, _MAX_EXIF_BYTES))
            png.seek(length + 4, io.SEEK_CUR)
    finally:
        png.seek(place)
    return None


def orientation_of_exif(block: bytes) -> int:
    """The orientation, 1 to 8, in an EXIF block: a TIFF header and a list of entries of 12 bytes; 1 where it is damaged."""
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, first)
        for index in range(entries):
            tag, kind, _ = struct.unpack_from(f"{order}HHI", block, first + 2 + 12 * index)
            if tag == _ORIENTATION_TAG:
                (value,) = struct.unpack_from(f"{order}{'I' if kind == _LONG else 'H'}", block, first + 10 + 12 * index)
                return value if 1 <= value <= 8 else 1
    except struct.error:  # a damaged note on a photo that may be whole
        pass
    return 1


def _turned(photo: Photo, orientation: int) -> Photo:
    if orientation in (5, 7):
        photo = cv2.transpose(photo).astype(np.uint8, copy=False)
        orientation = {5: 1, 7: 3}[orientation]
    if orientation in _TURNS:
        return cv2.rotate(photo, _TURNS[orientation]).astype(np.uint8, copy=False)
    if orientation in _FLIPS:
        return cv2.flip(photo, _FLIPS[orientation]).astype(np.uint8, copy=False)
    return photo


def photo_of(image: Image.Image) -> Photo:
    """A PIL image as `read_image` would give its file: turned as its EXIF orientation says, 16 bits as their upper 8.

    Raises InputError where it is too large, damaged, or has a mode that is no picture.
    """
    width_px, height_px = image.size
    if not 0 < width_px * height_px <= MAX_PIXELS:
        raise InputError(
            f"a photo of {width_px}x{height_px} cannot be used; scale it to {MAX_PIXELS / 1e6:.0f} megapixels"
        )
    try:
        orientation = _orientation(image)
        if image.mode.startswith("I"):
            return _turned(_from_wide_grey(np.asarray(image)), orientation)
        if image.mode == "F":
            raise InputError("a photo of mode F has no known range; convert it to RGB first")
        # By way of RGBA, or Pillow warns of palettes with transparent colours.
        plain = image.convert("RGBA") if image.mode in ("P", "PA") else image
        return _turned(np.asarray(plain.convert("RGB")), orientation)
    except _DAMAGE as error:
        raise InputError(
            f"a photo of mode {image.mode} cannot be decoded ({error}); convert it to RGB first"
        ) from error


def _from_wide_grey(values: NDArray[np.integer]) -> Photo:
    """Grey of 16 bits, or of 32 that hold no more, as RGB of 8."""
    most = int(values.max(initial=0))
    if int(values.min(initial=0)) < 0 or most > 0xFFFF:
        raise InputError(f"a photo with greys of {most} is none of 16 bits; convert it to RGB first")
    shift = 0 if values.dtype != np.uint16 and most <= 0xFF else 8
    return np.repeat((values >> shift).astype(np.uint8)[..., None], 3, axis=2)


def scale_image(image: Photo, width_px: int, height_px: int) -> Photo:
    """Scale to the size (at least 1x1): by area when shrinking to less than half, else bilinear."""
    size = (max(1, width_px), max(1, height_px))
    shrinks = size[0] < _AREA_BELOW * image.shape[1] or size[1] < _AREA_BELOW * image.shape[0]
    return resize(image, *size, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def resize(image: Photo, width_px: int, height_px: int, interpolation: int = cv2.INTER_LINEAR) -> Photo:
    """Scale to the size by one of OpenCV's methods, bilinear where none is given."""
    return cv2.resize(image, (width_px, height_px), interpolation=interpolation).astype(np.uint8, copy=False)


def encode_webp(image: Photo, quality: int) -> bytes:
    """The WebP bytes of a uint8 RGB image at a quality of 1 to 100."""
    done, content = cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise InputError(f"cannot encode an image of shape {image.shape} as WebP; WebP sides end at 16,383 pixels")
    return content.tobytes()


def encode_jpeg(image: Photo, quality: int) -> bytes:
    """The JPEG bytes of a uint8 RGB image at a quality of 1 to 100."""
    done, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InputError(f"cannot encode an image of shape {image.shape} as JPEG; JPEG sides end at 65,500 pixels")
    return content.tobytes()


def _require_whole(file: IO[bytes], path: Path) -> None:
    """Decode with Pillow, which refuses images that end too early."""
    try:
        with _opened(file, path) as image:
            image.load()
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: BaseException) -> InputError:
    return InputError(f"photo {path} is truncated or damaged ({error}); copy it again or leave it out")


def _not_a_photo(path: Path) -> InputError:
    return InputError(f"{path} is not a photo that can be decoded; give a JPEG, PNG, WebP or BMP file")
