"""Calibration photos: chosen with a seed, stored, and never too few."""

from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.artefact import describe
from facenas.exporters.calibration_photos import choose_calibration
from helpers.random_networks import TINY

from facenas.data.image import encode_jpeg
from facenas.errors import InputError
from facenas.units import Size

DESCRIPTION = describe(TINY, Size(96, 64), dynamic=False, origin={})


def write_photos(folder: Path, count: int) -> Path:
    for index in range(count):
        path = folder / f"{index % 3}" / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(np.full((40, 50, 3), 20 * index % 256, np.uint8), 90))
    return folder


def test_the_choice_is_that_of_the_seed_and_is_stored(tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 20)
    calibration = choose_calibration(folder, 8, 1)
    assert calibration == choose_calibration(folder, 8, 1)
    assert calibration.photos != choose_calibration(folder, 8, 2).photos
    assert len(set(calibration.photos)) == 8
    stored = calibration.to_json()
    assert (stored["source"], stored["seed"], stored["count"]) == (str(folder), 1, 8)
    assert stored["photos"] == list(calibration.photos)
    images = list(calibration.images(DESCRIPTION))
    assert len(images) == 8
    assert {(image.shape, image.dtype.name) for image in images} == {((1, 3, 64, 96), "float32")}


def test_without_a_folder_the_photos_are_drawn_and_called_synthetic() -> None:
    calibration = choose_calibration(None, 8, 3)
    assert calibration.to_json() == {"source": "synthetic", "seed": 3, "count": 8, "photos": []}
    first, again = (next(calibration.images(DESCRIPTION)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_too_few_photos_are_refused_with_the_cure(tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 9)
    with pytest.raises(InputError, match=r"holds 9 photos, calibration needs 128; .* --calibration-count 9"):
        choose_calibration(folder)
    with pytest.raises(InputError, match=r"0 photos, calibration needs 8; add photos$"):
        choose_calibration(_made(tmp_path / "bare"), 8)
    with pytest.raises(InputError, match="4 calibration photos are too few"):
        choose_calibration(folder, 4)
    with pytest.raises(InputError, match="no folder"):
        choose_calibration(tmp_path / "absent", 8)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_damaged_photo_is_named(tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 8)
    (folder / "0" / "3.jpg").write_bytes(b"no photo")
    with pytest.raises(InputError, match=r"3\.jpg"):
        list(choose_calibration(folder, 8).images(DESCRIPTION))
