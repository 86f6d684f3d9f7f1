"""Batches made by torch: the pixels and targets that the host's functions give for the same crops, and exact resumption."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.tiny_training import DETECTOR, SIZE

from facenas.arrays import BoolArray
from facenas.data.annotations import Dataset
from facenas.data.augment import Sample
from facenas.data.crop_plan import CropPlan, plan_crops, table_of
from facenas.data.image import Photo, decode_own_image, encode_jpeg, read_image, scale_image
from facenas.data.rotation import rotate
from facenas.data.source import open_dataset
from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError
from facenas.training.device_batches import DeviceBatch, DevicePhotos
from facenas.training.jpeg import through_jpeg
from facenas.training.loop import Trainer
from facenas.training.photo_memory import PhotoMemory
from facenas.training.pixels import make_pixels
from facenas.training.recipe import Pace, Recipe

CPU = torch.device("cpu")
DEVICES = [CPU, *([torch.device("cuda")] if torch.cuda.is_available() else [])]
RECIPE = Recipe(epochs=4, size_px=64, batch_size=4, photos_on_device=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("photos")
    write_synthetic_set(folder, 8, seed=5, width_px=320, height_px=240)
    return open_dataset(folder)


def planned(photos: Dataset, count: int, size_px: int = 64) -> CropPlan:
    numbers = np.arange(count)
    return plan_crops(table_of(photos.photos), numbers % len(photos.photos), numbers, 0, size_px)


def by_host(photo: Photo, plan: CropPlan, index: int) -> Photo:
    """The crop of a plan as OpenCV makes it."""
    x1, y1, x2, y2 = plan.seen[index]
    column, row, width, height = plan.place[index]
    visible = scale_image(photo[y1:y2, x1:x2], int(width), int(height))
    affine = np.column_stack([plan.colours[index, :3].T, plan.colours[index, 3] * 255])
    visible = cv2.transform(visible, affine.astype(np.float32)).astype(np.uint8)
    if plan.blur[index]:
        visible = cv2.GaussianBlur(visible, (0, 0), plan.blur[index]).astype(np.uint8)
    if plan.quality[index]:
        visible = decode_own_image(encode_jpeg(visible, int(plan.quality[index])))
    whole = np.zeros((plan.size_px, plan.size_px, 3), np.uint8)
    whole[row : row + height, column : column + width] = visible
    return whole[:, ::-1] if plan.mirrored[index] else whole


def beyond_the_photo(plan: CropPlan, index: int) -> BoolArray:
    beyond = np.ones((plan.size_px, plan.size_px), bool)
    column, row, width, height = plan.place[index]
    beyond[row : row + height, column : column + width] = False
    return beyond[:, ::-1] if plan.mirrored[index] else beyond


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_pixels_are_those_that_opencv_makes(photos: Dataset, device: torch.device) -> None:
    plan = planned(photos, 64, 128)
    made = make_pixels(PhotoMemory(photos, replace(RECIPE, size_px=128), device), plan).cpu().numpy()
    assert made.shape == (64, 128, 128, 3)
    shrink = ((plan.seen[:, 2:] - plan.seen[:, :2]) / plan.place[:, 2:]).max(axis=1)
    errors = []
    for index in range(64):
        expected = by_host(read_image(photos.photos[plan.photo[index]].path), plan, index).astype(int)
        assert not made[index][beyond_the_photo(plan, index)].any()
        errors.append(np.abs(made[index] - expected).mean())
    errors_of = np.array(errors)
    plain = (shrink <= 2) & (plan.blur == 0) & (plan.quality == 0)
    assert plain.sum() > 10
    assert errors_of[plain].max() < 1  # the same arithmetic but for roundings
    assert np.median(errors_of) < 1
    assert errors_of.max() < 9  # by way of a smaller copy, a blur's border, blocks that begin elsewhere


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_crops_are_turned_as_the_host_turns_them(photos: Dataset, device: torch.device) -> None:
    table, numbers = table_of(photos.photos), np.arange(48)
    memory = PhotoMemory(photos, RECIPE, device)
    plain, turned = (
        plan_crops(table, numbers % len(photos.photos), numbers, 0, 64, rotation_degrees=degrees) for degrees in (0, 40)
    )
    assert 12 < np.count_nonzero(turned.angle) < 36
    assert np.abs(turned.angle).max() <= np.deg2rad(40)
    before, after = (make_pixels(memory, plan).cpu().numpy() for plan in (plain, turned))
    for crop in numbers:
        labels = plain.labels.take(plain.owner == crop)
        expected = rotate(Sample(before[crop], labels), float(np.rad2deg(turned.angle[crop])))
        found = turned.labels.take(turned.owner == crop)
        np.testing.assert_allclose(found.boxes, expected.labels.boxes, atol=1e-3)
        np.testing.assert_allclose(found.landmarks, expected.labels.landmarks, atol=1e-3)
        assert (found.ignore == expected.labels.ignore).all()
        assert np.abs(after[crop].astype(int) - expected.image).mean() < 1


def test_gpu_and_cpu_make_the_same_pixels(photos: Dataset) -> None:
    plan = planned(photos, 16)
    made = [make_pixels(PhotoMemory(photos, RECIPE, device), plan).cpu().int() for device in DEVICES]
    assert all((each - made[0]).abs().max() <= 2 for each in made)


@pytest.mark.parametrize("quality", [35, 50, 70, 89])
def test_the_loss_of_a_jpeg_is_that_of_the_file(photos: Dataset, quality: int) -> None:
    photo = np.ascontiguousarray(read_image(photos.photos[0].path)[:128, :128])
    expected = decode_own_image(encode_jpeg(photo, quality)).astype(float)
    made = through_jpeg(torch.from_numpy(photo).float()[None], torch.tensor([quality]))[0].numpy()
    lost = np.abs(expected - photo).mean()
    assert np.abs(made - expected).mean() < 0.75 * lost
    assert np.abs(made - photo).mean() == pytest.approx(lost, rel=0.15)


def same(one: DeviceBatch, other: DeviceBatch) -> bool:
    values = (
        (one.images, one.targets.boxes, one.targets.counted),
        (other.images, other.targets.boxes, other.targets.counted),
    )
    return one.photos == other.photos and all(torch.equal(*pair) for pair in zip(*values, strict=True))


def test_a_batch_is_a_function_of_its_step(photos: Dataset) -> None:
    made = DevicePhotos(photos, RECIPE, CPU)
    ahead = list(made.batches(0, 5))
    later = list(made.batches(3, 5))
    assert same(ahead[3], later[0])
    assert same(ahead[4], later[1])
    assert not torch.equal(ahead[0].images, ahead[2].images)
    assert sorted(ahead[0].photos + ahead[1].photos) == list(range(8))  # an epoch shows each photo once


def test_a_photo_that_cannot_be_decoded_gives_way_to_the_next(photos: Dataset, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing \xff\xd9")
    whole = photos.photos
    made = DevicePhotos(replace(photos, photos=(replace(whole[0], path=broken), *whole[1:])), RECIPE, CPU)
    assert list(made.problems) == [0]
    assert all(0 not in batch.photos for batch in made.batches(0, 4))


def test_a_training_stopped_and_resumed_ends_in_the_same_weights(photos: Dataset, tmp_path: Path) -> None:
    def trainer(name: str) -> Trainer:
        (tmp_path / name).mkdir(exist_ok=True)
        made = Trainer(DETECTOR, SIZE, RECIPE, tmp_path / name, "photos")
        torch.set_num_threads(1)
        made.resume()
        return made

    whole = trainer("whole").run(photos)
    trainer("parts").run(photos, pace=Pace(until_step=3))
    parts = trainer("parts").run(photos)
    assert parts.finished
    assert whole.checkpoint.read_bytes() == parts.checkpoint.read_bytes()


def test_a_training_goes_on_with_the_crops_that_it_began_with(photos: Dataset, tmp_path: Path) -> None:
    Trainer(DETECTOR, SIZE, RECIPE, tmp_path, "photos").run(photos, pace=Pace(until_step=2))
    other = Trainer(DETECTOR, SIZE, replace(RECIPE, photos_on_device=False), tmp_path, "photos")
    with pytest.raises(InputError, match="another photos_on_device"):
        other.resume()


@pytest.mark.parametrize(
    "recipe",
    [replace(RECIPE, mosaic_share=0.5), replace(RECIPE, pasted_faces=2)],
)
def test_samples_of_several_photos_are_refused_in_words(photos: Dataset, recipe: Recipe) -> None:
    with pytest.raises(InputError, match="leave out --mosaic and --paste"):
        DevicePhotos(photos, recipe, CPU)
