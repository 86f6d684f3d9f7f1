"""The photos of a training: what is held out is not trained on, and what was left out is told."""

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
