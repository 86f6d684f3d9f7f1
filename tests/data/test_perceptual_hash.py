"""Copies of a photo have near hashes, other photos far ones, and a photo that shows nothing has none."""

import cv2
import numpy as np
import pytest

from facenas.data.image import Photo
from facenas.data.perceptual_hash import ALIKE_BITS, alike, perceptual_hash
from facenas.data.synthetic import draw_photo


def drawn(seed: int) -> Photo:
    return draw_photo(320, 240, np.random.default_rng(seed))[0]


def recompressed(photo: Photo) -> Photo:
    half = cv2.resize(photo, None, fx=0.5, fy=0.5)
    decoded = cv2.imdecode(cv2.imencode(".jpg", half, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    return np.asarray(decoded, np.uint8)


@pytest.mark.parametrize(
    "change",
    [recompressed, lambda photo: photo[..., ::-1].copy(), lambda photo: cv2.convertScaleAbs(photo, alpha=0.8, beta=10)],
    ids=["half the size, compressed", "blue for red", "darker"],
)
def test_copies_are_alike_and_others_are_not(change: object) -> None:
    assert callable(change)
    photos = [drawn(seed) for seed in range(8)]
    hashes = [perceptual_hash(photo) for photo in photos]
    copies = [perceptual_hash(change(photo)) for photo in photos]
    found = list(alike(np.stack([h for h in hashes if h is not None]), np.stack([h for h in copies if h is not None])))
    assert found == [(index, index) for index in range(8)]


def test_a_photo_that_shows_nothing_has_no_hash() -> None:
    assert perceptual_hash(np.full((100, 120, 3), 90, np.uint8)) is None


def test_pairs_are_those_within_the_bits() -> None:
    random = np.random.default_rng(0)
    first = random.integers(0, 2**63, (600, 4), dtype=np.uint64)
    second = first[[5, 599]].copy()
    second[1, 0] ^= np.uint64(0b111)
    assert list(alike(first, second, 3)) == [(5, 0), (599, 1)]
    assert list(alike(first, second, 2)) == [(5, 0)]
    assert list(alike(first[:0], second, ALIKE_BITS)) == []
