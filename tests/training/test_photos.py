"""The photos of a training: what is held out is not trained on, and what was left out is told."""

import shutil
from pathlib import Path

import pytest

from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError
from facenas.training.photos import training_photos


def test_a_tenth_is_held_out(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path, 20, width_px=64, height_px=64)
    photos = training_photos(tmp_path, None)
    trained, validated = {photo.path for photo in photos.train.photos}, set(photos.validation.photos)
    assert (len(trained), len(validated)) == (18, 2)
    assert not trained & validated
    assert photos.validation.settings == ("all",)
    assert photos.notes == ()
    assert set(training_photos(tmp_path, None).validation.photos) == validated


def test_a_folder_of_its_own_to_validate_on(tmp_path: Path) -> None:
    for name, seed in (("train", 0), ("val", 1)):
        write_synthetic_set(tmp_path / name, 3, seed=seed, width_px=64, height_px=64)
    photos = training_photos(tmp_path / "train", tmp_path / "val")
    assert len(photos.train.photos) == 3
    assert {path.parent.parent.name for path in photos.validation.photos} == {"val"}


def test_labels_that_were_left_out_are_told_or_refused(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path, 12, width_px=64, height_px=64)
    with (tmp_path / "labelv2.txt").open("a") as file:
        for number in range(8):
            file.write(f"# absent{number}.jpg 64 64\n1 1 9 9\n")
    notes = training_photos(tmp_path, None).notes
    assert len(notes) == 6
    assert "absent0.jpg" in notes[0]
    assert "3 more labels or photos" in notes[5]
    with pytest.raises(InputError, match="8 problems"):
        training_photos(tmp_path, None, strict=True)


def test_photos_that_are_trained_and_validated_on_are_told_or_refused(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "a", 4, width_px=64, height_px=64)
    write_synthetic_set(tmp_path / "b", 4, seed=1, width_px=64, height_px=64)
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    copied = shutil.copytree(tmp_path / "a", tmp_path / "copied")
    for val in (tmp_path / "a", tmp_path / "linked", copied):
        assert "4 of 4 photos to validate on are trained on, too" in training_photos(tmp_path / "a", val).notes[0]
        with pytest.raises(InputError, match="are trained on, too"):
            training_photos(tmp_path / "a", val, strict=True)
    assert training_photos(tmp_path / "a", tmp_path / "b", strict=True).notes == ()


@pytest.mark.parametrize("photos", [1, 2, 5])
def test_of_few_photos_one_is_held_out_or_it_is_refused(tmp_path: Path, photos: int) -> None:
    write_synthetic_set(tmp_path, photos, width_px=64, height_px=64)
    if photos == 1:
        with pytest.raises(InputError, match="--val"):
            training_photos(tmp_path, None)
        return
    shared = training_photos(tmp_path, None)
    assert (len(shared.train.photos), len(shared.validation.photos)) == (photos - 1, 1)


def test_photos_without_a_face_that_counts_are_refused(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path, 4, width_px=64, height_px=64)
    labels = (tmp_path / "labelv2.txt").read_text().splitlines()
    (tmp_path / "labelv2.txt").write_text("\n".join(line for line in labels if line.startswith("#")))
    with pytest.raises(InputError, match="has a face that counts"):
        training_photos(tmp_path, None)
