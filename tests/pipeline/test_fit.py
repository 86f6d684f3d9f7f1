"""Photos of any size fit the input of a network, in ratio."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenas.pipeline.fit import fit_long_side, letterbox


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([32, 96, 160]), st.sampled_from([32, 64, 128]))
def test_letterbox_keeps_the_ratio_and_pads_right_and_bottom(width: int, height: int, box_w: int, box_h: int) -> None:
    picture, scale = letterbox(np.full((height, width, 3), 200, dtype=np.uint8), box_w, box_h)
    assert (picture.shape, picture.dtype) == ((box_h, box_w, 3), np.dtype("u1"))
    assert scale == min(box_w / width, box_h / height)
    filled_w, filled_h = max(1, round(width * scale)), max(1, round(height * scale))
    assert (picture[:filled_h, :filled_w] == 200).all()
    assert not picture[filled_h:].any()
    assert not picture[:, filled_w:].any()


@pytest.mark.parametrize(
    ("shape", "padded", "scale"),
    [((480, 640), (480, 640), 1.0), ((100, 200), (320, 640), 3.2), ((7, 999), (32, 640), 640 / 999)],
)
def test_fitting_a_long_side(shape: tuple[int, int], padded: tuple[int, int], scale: float) -> None:
    picture, found = fit_long_side(np.full((*shape, 3), 255, np.uint8), 640)
    assert picture.shape == (*padded, 3)
    assert found == pytest.approx(scale)
    rows, columns = (max(1, round(side * scale)) for side in shape)
    assert (picture[:rows, :columns] == 255).all()
    assert picture[rows:].sum() + picture[:, columns:].sum() == 0
