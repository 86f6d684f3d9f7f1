"""Preprocessing: what the network sees of a pixel."""

import numpy as np
import pytest

from facenas.errors import InputError
from facenas.pipeline.preprocess import Preprocessing


def test_each_channel_is_shifted_and_scaled() -> None:
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 14
    planes = Preprocessing().normalise(picture)
    assert planes.shape == (1, 3, 2, 3)
    assert planes.dtype == np.float32
    for channel in range(3):
        np.testing.assert_allclose(planes[0, channel], (picture[:, :, channel] - 127.5) / 128, rtol=1e-6)


def test_the_order_of_the_colours() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    rgb, bgr = (
        Preprocessing(order, mean=100.0, standard_deviation=50.0).normalise(picture) for order in ("RGB", "BGR")
    )
    np.testing.assert_array_equal(rgb[:, ::-1], bgr)
    np.testing.assert_allclose(rgb[0, 0], (picture[:, :, 0].astype(np.float32) - 100) / 50, rtol=1e-6)


def test_each_channel_may_have_a_mean_of_its_own() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    planes = Preprocessing("BGR", (104, 117, 123), 1.0).normalise(picture)
    np.testing.assert_array_equal(
        planes[0], (picture[:, :, ::-1] - np.array([104, 117, 123], np.float32)).transpose(2, 0, 1)
    )


def test_it_reads_back_from_its_json() -> None:
    preprocessing = Preprocessing("BGR", 104.0, 1.0)
    assert Preprocessing(**preprocessing.to_json()) == preprocessing


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"colour_order": "rgb"}, "colour order 'rgb' must be RGB or BGR"),
        ({"standard_deviation": 0.0}, "standard deviation 0.0"),
        ({"standard_deviation": float("nan")}, "standard deviation nan"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Preprocessing(**values)  # type: ignore[arg-type]
