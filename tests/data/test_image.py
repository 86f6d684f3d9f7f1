"""Photos in: colours, orientation, refusal of damaged files, and the letterbox."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from facenas.data.image import encode_jpeg, photo_size, read_image
from facenas.errors import InputError

PICTURE = np.zeros((40, 60, 3), dtype=np.uint8)
PICTURE[:, :30] = (250, 10, 10)  # red on the left
PICTURE[:20, 30:] = (10, 10, 250)  # blue at the top right


def saved(path: Path, **options: Any) -> Path:
    Image.fromarray(PICTURE).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.webp"])
def test_reads_rgb(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name)
    image = read_image(path)
    assert (image.shape, image.dtype) == ((40, 60, 3), np.dtype("u1"))
    assert image[20, 10, 0] > 200 > 60 > image[20, 10, 2]
    assert photo_size(path) == (60, 40)


def test_grey_and_alpha_become_rgb(tmp_path: Path) -> None:
    for mode in ("L", "RGBA"):
        path = tmp_path / f"{mode}.png"
        Image.fromarray(PICTURE).convert(mode).save(path)
        assert read_image(path).shape == (40, 60, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_honours_exif_orientation(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    with Image.open(path) as original:
        expected = np.asarray(ImageOps.exif_transpose(original))
    image = read_image(path)
    assert photo_size(path) == (image.shape[1], image.shape[0])
    assert np.abs(image.astype(int) - expected).mean() < 2


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.webp"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_refuses_truncated_files(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    for read in (read_image, photo_size):
        with pytest.raises(InputError, match=str(path)) as raised:
            read(path)
        assert "\n" not in str(raised.value)


def test_accepts_a_whole_jpeg_with_bytes_after_its_end(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes() + b"\0\0 camera data")
    assert read_image(path).shape == (40, 60, 3)
    assert photo_size(path) == (60, 40)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff\xd9", b"<svg/>"])
def test_refuses_what_is_no_photo(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    for read in (read_image, photo_size):
        with pytest.raises(InputError, match=r"a\.jpg"):
            read(path)


def test_names_an_absent_file_and_a_folder(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "absent.jpg", "no photo at"), (tmp_path, "cannot read the photo")):
        for read in (read_image, photo_size):
            with pytest.raises(InputError, match=words):
                read(path)


def test_jpeg_bytes_decode_to_nearly_the_same(tmp_path: Path) -> None:
    with Image.open(io.BytesIO(encode_jpeg(PICTURE, 95))) as image:
        assert np.abs(np.asarray(image).astype(int) - PICTURE).mean() < 5
