"""Crops planned a batch at a time: each a function of (seed, number), distributed as those that the host makes alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenas.arrays import Float64Array
from facenas.data.annotations import Dataset
from facenas.data.augment import augment
from facenas.data.crop_plan import CropPlan, plan_crops, table_of
from facenas.data.draws import uniforms
from facenas.data.source import open_dataset
from facenas.data.synthetic import write_synthetic_set

SIZE_PX, COUNT = 128, 3000


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("photos")
    write_synthetic_set(folder / "wide", 4, seed=1, width_px=320, height_px=240)
    write_synthetic_set(folder / "high", 4, seed=2, width_px=192, height_px=288)
    return open_dataset(folder)


def plan_of(photos: Dataset, numbers: np.ndarray[tuple[int], np.dtype[np.int64]], seed: int = 0) -> CropPlan:
    return plan_crops(table_of(photos.photos), numbers % len(photos.photos), numbers, seed, SIZE_PX)


@given(st.integers(0, 2**63 - 1), st.lists(st.integers(0, 2**40), min_size=1, max_size=8, unique=True))
def test_a_sample_draws_the_same_whoever_is_drawn_with_it(seed: int, numbers: list[int]) -> None:
    together = uniforms(seed, np.array(numbers), 5)
    alone = [uniforms(seed, np.array([number]), 5)[0] for number in numbers]
    assert (together == np.array(alone)).all()
    assert ((together >= 0) & (together < 1)).all()


def test_draws_are_uniform_and_independent() -> None:
    drawn = uniforms(3, np.arange(20_000), 4)
    assert np.abs(drawn.mean(axis=0) - 1 / 2).max() < 0.01
    assert np.abs(drawn.var(axis=0) - 1 / 12).max() < 0.002
    others = np.column_stack([drawn, np.roll(drawn[:, 0], 1), uniforms(4, np.arange(20_000), 1)])
    assert np.abs(np.corrcoef(others.T) - np.eye(6)).max() < 0.03


def test_a_crop_is_planned_the_same_in_any_batch(photos: Dataset) -> None:
    whole = plan_of(photos, np.arange(12))
    for number in range(12):
        alone = plan_of(photos, np.array([number]))
        mine = whole.owner == number
        assert (alone.seen[0] == whole.seen[number]).all()
        assert (alone.colours[0] == whole.colours[number]).all()
        assert (alone.labels.boxes == whole.labels.boxes[mine]).all()
        assert (alone.labels.landmarks == whole.labels.landmarks[mine]).all()


def test_faces_stay_inside_and_landmarks_in_their_order(photos: Dataset) -> None:
    plan = plan_of(photos, np.arange(400))
    assert (plan.labels.boxes >= 0).all()
    assert (plan.labels.boxes <= SIZE_PX).all()
    left, right = plan.labels.landmarks[:, 0], plan.labels.landmarks[:, 1]
    both = (left[:, 2] > 0) & (right[:, 2] > 0)
    assert both.sum() > 50
    assert (left[both, 0] < right[both, 0]).mean() > 0.95  # synthetic faces are tilted, never upside down


def figures_of(boxes: Float64Array, ignore: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[float]:
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))[~ignore]
    centres = (boxes[:, :2] + boxes[:, 2:])[~ignore] / 2
    return [len(boxes) / COUNT, ignore.mean(), np.log(sides).mean(), np.log(sides).std(), *centres.mean(axis=0)]


def test_labels_are_distributed_as_the_hosts(photos: Dataset) -> None:
    plan = plan_of(photos, np.arange(COUNT))
    boxes, ignore = [], []
    for number in range(COUNT):
        photo = photos.photos[number % len(photos.photos)]
        black = np.zeros((photo.height_px, photo.width_px, 3), np.uint8)
        sample = augment(black, photo.labels, SIZE_PX, np.random.default_rng(number))
        boxes.append(sample.labels.boxes)
        ignore.append(sample.labels.ignore)
    host = figures_of(np.concatenate(boxes).astype(float), np.concatenate(ignore))
    planned = figures_of(plan.labels.boxes.astype(float), plan.labels.ignore)
    np.testing.assert_allclose(planned, host, rtol=0.06, atol=0.04)


def test_colours_and_damage_are_distributed_as_the_hosts(photos: Dataset) -> None:
    """Of a grey photo the mean and the spread over crops tell brightness and contrast; of a red one, hue and saturation."""
    plan = plan_of(photos, np.arange(COUNT))
    photo = photos.photos[0]
    for colour in ((128, 128, 128), (200, 60, 60)):
        flat = np.full((photo.height_px, photo.width_px, 3), colour, np.uint8)
        host = []
        for number in range(COUNT):
            image = augment(flat, photo.labels.take(slice(0, 0)), 64, np.random.default_rng(number), (0.3,)).image
            host.append(image[32, 32])
        planned = np.clip(np.array([*colour, 255], np.float32) @ plan.colours, 0, 255)
        np.testing.assert_allclose(planned.mean(axis=0), np.mean(host, axis=0), atol=4)
        np.testing.assert_allclose(planned.std(axis=0), np.std(host, axis=0), atol=4)
    assert 0.07 < (plan.blur > 0).mean() < 0.13
    assert 0.07 < (plan.quality > 0).mean() < 0.13
    assert 0.45 < plan.mirrored.mean() < 0.55
    assert 0.4 <= plan.blur[plan.blur > 0].min() < plan.blur.max() <= 1.2
    assert 35 <= plan.quality[plan.quality > 0].min() < plan.quality.max() <= 89
