"""Photos of any size fit the input of a network, in ratio."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenas.pipeline.fit import Letterbox, LongSide, Stretched, Unscaled
from facenas.units import Size


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([32, 96, 160]), st.sampled_from([32, 64, 128]))
def test_letterbox_keeps_the_ratio_and_pads_right_and_bottom(width: int, height: int, box_w: int, box_h: int) -> None:
    fitted = Letterbox(Size(box_w, box_h))(np.full((height, width, 3), 200, dtype=np.uint8))
    picture, scale = fitted.picture, fitted.scale_x
    assert (fitted.scale_y, fitted.photo_size) == (scale, Size(width, height))
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
    fitted = LongSide(640)(np.full((*shape, 3), 255, np.uint8))
    picture = fitted.picture
    assert picture.shape == (*padded, 3)
    assert (fitted.scale_x, fitted.scale_y) == pytest.approx((scale, scale))
    rows, columns = (max(1, round(side * scale)) for side in shape)
    assert (picture[:rows, :columns] == 255).all()
    assert picture[rows:].sum() + picture[:, columns:].sum() == 0


def test_a_photo_that_is_not_scaled_keeps_its_pixels() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (33, 70, 3), dtype=np.uint8)
    fitted = Unscaled()(photo)
    assert (fitted.picture.shape, fitted.scale_x, fitted.scale_y) == ((64, 96, 3), 1.0, 1.0)
    np.testing.assert_array_equal(fitted.picture[:33, :70], photo)


def test_a_stretched_photo_fills_the_input_out_of_ratio() -> None:
    fitted = Stretched(Size(64, 32))(np.full((64, 32, 3), 9, np.uint8))
    assert (fitted.picture.shape, fitted.scale_x, fitted.scale_y) == ((32, 64, 3), 2.0, 0.5)
    assert (fitted.picture == 9).all()
