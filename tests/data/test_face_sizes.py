"""Face-size shares."""

from pathlib import Path

import numpy as np
import pytest

from facenas.arrays import FloatArray
from facenas.data.annotations import LabelledPhoto
from facenas.data.face_sizes import face_sizes_between, face_sizes_of, face_sizes_px
from facenas.data.labels import Labels
from facenas.data.labelv2 import read_labelv2
from facenas.errors import InputError
from facenas.units import Size


def floats(values: object) -> FloatArray:
    return np.array(values, dtype=np.float32)


def photo(boxes: list[list[float]], ignore: list[bool]) -> LabelledPhoto:
    count = len(boxes)
    return LabelledPhoto(
        Path("a.jpg"),
        1280,
        960,
        Labels(floats(boxes).reshape(-1, 4), np.zeros((count, 5, 3), np.float32), np.array(ignore, bool)),
    )


def test_sizes_are_scaled_to_the_long_side() -> None:
    assert face_sizes_px(floats([[0, 0, 20, 80]]), 1280, 960).tolist() == [20.0]
    assert face_sizes_px(floats([[0, 0, 20, 80]]), 300, 320).tolist() == [80.0]


def test_shares_by_octave_leave_ignored_boxes_out() -> None:
    boxes: list[list[float]] = [[0, 0, 12, 12], [0, 0, 23, 23], [0, 0, 200, 200], [0, 0, 200, 200]]
    assert face_sizes_of([photo(boxes, [False, False, False, True])]).shares() == pytest.approx((0, 2 / 3, 0, 0, 1 / 3))
    with pytest.raises(InputError, match="no face"):
        face_sizes_of([photo([], [])])


def test_faces_between_two_sizes_are_as_many_in_each_octave() -> None:
    sizes = face_sizes_between(24, 192, Size(1280, 960))  # 12 to 96 px at a long side of 640
    assert sizes.shares() == pytest.approx((0, 0, 1 / 3, 1 / 3, 1 / 3), abs=0.002)
    assert sizes.shares(320) == pytest.approx((0, 1 / 3, 1 / 3, 1 / 3, 0), abs=0.002)
    with pytest.raises(InputError, match=r"faces of 200 to 20 px in pictures of 640x480 cannot be"):
        face_sizes_between(200, 20, Size(640, 480))


def test_wider_train_has_the_published_distribution(shared_dir: Path) -> None:
    labels = read_labelv2(shared_dir / "data" / "annotations" / "train_boxes_rebuilt.txt", None)
    assert len(labels.photos) == 12_880
    assert face_sizes_of(labels.photos).shares() == pytest.approx((0.234, 0.318, 0.243, 0.131, 0.074), abs=6e-4)
