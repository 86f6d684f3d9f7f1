"""Batches: a function of seed and step alone, with targets that the decoder turns back into the faces."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from facenas.data.annotations import Dataset
from facenas.data.labels import Labels
from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError
from facenas.training.anchor_targets import AnchorTargets, make_targets, strides_of_cells
from facenas.training.assigner import anchor_centres
from facenas.training.distributed import Processes
from facenas.training.recipe import Recipe
from facenas.training.samples import PhotoCache, batches, make_batch, make_sample

RECIPE = Recipe(epochs=2, size_px=64, batch_size=3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_synthetic_set(tmp_path_factory.mktemp("set"), 7, width_px=96, height_px=96)


def test_a_batch_depends_on_seed_and_step_alone(dataset: Dataset) -> None:
    large, none = PhotoCache(10**9), PhotoCache(0)
    in_order = [make_batch(dataset, RECIPE, step, large) for step in range(4)]
    for step in (3, 1):
        again = make_batch(dataset, RECIPE, step, none)
        np.testing.assert_array_equal(again.images, in_order[step].images)
        for field in fields(AnchorTargets):
            found, expected = (getattr(batch.targets, field.name) for batch in (again, in_order[step]))
            np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(in_order[0].images, in_order[1].images)
    assert not np.array_equal(
        make_batch(dataset, Recipe(size_px=64, batch_size=3, seed=1), 0, none).images, in_order[0].images
    )


def test_every_second_sample_is_turned_and_the_others_are_as_before(dataset: Dataset) -> None:
    cache, turned = PhotoCache(10**9), replace(RECIPE, rotation_degrees=30.0)
    same = 0
    for number in range(40):
        plain, maybe = (make_sample(dataset, recipe, number, cache)[1].image for recipe in (RECIPE, turned))
        same += np.array_equal(plain, maybe)
    assert 10 <= same <= 30


def test_batches_made_ahead_are_those_made_one_by_one(dataset: Dataset) -> None:
    cache = PhotoCache(10**9)
    found = list(batches(dataset, RECIPE, 2, 11, PhotoCache(10**9), threads=3))
    assert len(found) == 9
    for step, batch in enumerate(found, 2):
        np.testing.assert_array_equal(batch.images, make_batch(dataset, RECIPE, step, cache).images)
    assert list(batches(dataset, RECIPE, 4, 4, PhotoCache(0))) == []


def test_the_shapes_of_a_batch(dataset: Dataset) -> None:
    batch = make_batch(dataset, RECIPE, 0, PhotoCache(0))
    assert batch.images.shape == (3, 64, 64, 3)
    assert batch.images.dtype == np.uint8
    targets = batch.targets
    assert targets.boxes.shape == (3, 2, 84, 4)
    assert targets.boxes.dtype == np.float32
    assert targets.positive.shape == targets.counted.shape == (3, 2, 84)
    assert targets.landmarks.shape == (3, 2, 84, 5, 2)
    assert targets.known.shape == (3, 2, 84, 5)
    assert not (targets.positive & ~targets.counted).any()


def test_an_epoch_shows_every_photo_once(dataset: Dataset) -> None:
    asked: list[int] = []

    class Remembering(PhotoCache):
        def get(self, index: int, dataset: Dataset) -> npt.NDArray[np.uint8]:
            asked.append(index)
            return super().get(index, dataset)

    for step in range(7):
        make_batch(dataset, RECIPE, step, Remembering(0))
    epochs = [asked[start : start + 7] for start in (0, 7, 14)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(7))] * 3
    assert epochs[0] != epochs[1]


def test_targets_say_where_the_faces_are() -> None:
    boxes = np.array([[8, 8, 40, 44], [2, 50, 7, 58], [40, 40, 64, 64]], np.float32)
    landmarks = np.zeros((3, 5, 3), np.float32)
    landmarks[0] = [(15, 20, 1), (33, 20, 1), (24, 28, 1), (18, 36, 1), (0, 0, 0)]
    ignore = np.array([False, False, True])
    targets = make_targets(Labels(boxes, landmarks, ignore), 64)
    positive = targets.positive
    assert {tuple(box) for box in targets.boxes[positive]} == {tuple(boxes[0]), tuple(boxes[1])}
    assert not targets.boxes[~positive].any()
    assert not targets.counted[~positive].all()
    first = positive & (targets.boxes == boxes[0]).all(axis=-1)
    cells = np.nonzero(first)[1]
    points = targets.landmarks[first] * strides_of_cells(64)[cells, None, None] + anchor_centres(64)[cells, None]
    np.testing.assert_allclose(points[:, :4], np.broadcast_to(landmarks[0, :4, :2], (len(cells), 4, 2)), atol=1e-4)
    assert targets.known[first].tolist() == [[True] * 4 + [False]] * len(cells)
    assert not targets.known[positive & ~first].any()


def test_the_cache_keeps_what_fits(dataset: Dataset) -> None:
    one = 96 * 96 * 3
    cache = PhotoCache(2 * one)
    photos = [cache.get(index, dataset) for index in range(4)]
    assert [cache.get(index, dataset) is photo for index, photo in enumerate(photos)] == [True, True, False, False]


def test_processes_share_a_batch(dataset: Dataset) -> None:
    recipe, cache = replace(RECIPE, batch_size=4), PhotoCache(10**9)
    whole = make_batch(dataset, recipe, 2, cache)
    parts = [make_batch(dataset, recipe, 2, cache, Processes(rank, 2)) for rank in range(2)]
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), whole.images)
    np.testing.assert_array_equal(np.concatenate([part.targets.boxes for part in parts]), whole.targets.boxes)
    assert parts[0].photos + parts[1].photos == whole.photos
    with pytest.raises(InputError, match=r"a batch of 3 is not shared evenly by 2 processes; change --batch"):
        make_batch(dataset, RECIPE, 0, cache, Processes(0, 2))


def test_a_photo_that_cannot_be_decoded_is_replaced_and_remembered(tmp_path: Path) -> None:
    """Its header and its end are whole, so that only decoding can tell."""
    dataset = write_synthetic_set(tmp_path, 3, width_px=96, height_px=96)
    broken = dataset.photos[1].path
    content = broken.read_bytes()
    broken.write_bytes(content[:2] + bytes(len(content) - 4) + content[-2:])
    cache = PhotoCache(10**9)
    seen = {index for step in range(3) for index in make_batch(dataset, RECIPE, step, cache).photos}
    assert seen == {0, 2}
    assert list(cache.problems) == [1]
    assert str(broken) in cache.problems[1]
    for photo in dataset.photos:
        photo.path.write_bytes(b"no photo")
    with pytest.raises(InputError, match=r"none of the 3 photos of .* can be decoded"):
        make_batch(dataset, RECIPE, 0, PhotoCache(0))


@pytest.mark.parametrize(
    "changes", [{"mosaic_share": 1.0}, {"pasted_faces": 4}, {"mosaic_share": 0.5, "pasted_faces": 2}]
)
def test_combined_samples_depend_on_seed_and_step_alone(dataset: Dataset, changes: dict[str, float]) -> None:
    recipe = replace(RECIPE, **changes)  # type: ignore[arg-type]
    first, again = (make_batch(dataset, recipe, 1, PhotoCache(size)) for size in (0, 10**9))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.targets.boxes, again.targets.boxes)
    assert first.images.shape == (3, 64, 64, 3)
    assert not np.array_equal(first.images, make_batch(dataset, RECIPE, 1, PhotoCache(0)).images)
