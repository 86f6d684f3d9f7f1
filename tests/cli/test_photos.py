"""`facenas photos`: the counts of a set, its problems, and photos that stand in both parts under another name and size."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.command_line import Outcome

from facenas.data.image import encode_jpeg, read_image
from facenas.data.synthetic import draw_photo, write_synthetic_set

Run = Callable[..., Outcome]


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path]:
    """Two labelled sets; the second also holds the first's first photo at half its size."""
    train, val = tmp_path / "train", tmp_path / "val"
    photos = write_synthetic_set(train, 5, seed=0).photos
    write_synthetic_set(val, 3, seed=9)
    copy = np.asarray(cv2.resize(read_image(photos[0].path), None, fx=0.5, fy=0.5), np.uint8)
    (val / "images/other.jpg").write_bytes(encode_jpeg(copy, 70))
    with (val / "labelv2.txt").open("a") as file:
        file.write(f"# other.jpg {copy.shape[1]} {copy.shape[0]}\n")
    return train, val


def test_a_photo_in_both_parts_is_found_by_what_it_shows(facenas: Run, parts: tuple[Path, Path]) -> None:
    train, val = parts
    outcome = facenas("photos", train, "--val", val, "--json")
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    assert [Path(name).name for pair in report["in_both"] for name in pair][1:] == ["other.jpg"]
    assert (report["clean"], report["data"]["photos"], report["val"]["photos"], report["val"]["empty"]) == (
        False,
        5,
        4,
        1,
    )
    assert facenas("photos", train, "--val", val, "--strict").code == 1
    assert facenas("photos", train, "--strict").code == 0


def test_faces_are_counted_by_size_at_640(facenas: Run, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    photo, _, _ = draw_photo(1280, 960, np.random.default_rng(0))
    (tmp_path / "images/a.jpg").write_bytes(encode_jpeg(photo, 90))
    unknown = " -1 -1 -1" * 5
    known = " 20 20 1" * 5
    rows = [
        f"0 0 10 14{known} 0",
        f"100 100 130 120{unknown} 0",
        f"200 200 600 300{unknown} 0",
        f"0 50 90 90{unknown} 1",
    ]
    (tmp_path / "labelv2.txt").write_text("# a.jpg 1280 960\n" + "\n".join(rows) + "\n")
    report = json.loads(facenas("photos", tmp_path, "--json").out)["data"]
    assert (report["faces"], report["ignored"], report["with_landmarks"], report["layout"]) == (3, 1, 1, "labelv2")
    assert {name: count for name, count in report["octaves"].items() if count} == {
        "below 8 px": 1,  # 14 px in 1280
        "8 to 16 px": 1,
        "128 px and more": 1,
    }


def test_what_cannot_be_used_is_listed(facenas: Run, parts: tuple[Path, Path]) -> None:
    train, _ = parts
    cut = sorted((train / "images").iterdir())[1]
    cut.write_bytes(cut.read_bytes()[:-2000])
    with (train / "labelv2.txt").open("a") as file:
        file.write("# missing.jpg 100 100\n10 10 40 40\n")
    outcome = facenas("photos", train)
    assert outcome.code == 0
    assert "missing.jpg" in outcome.out
    assert cut.name in outcome.out
    assert facenas("photos", train, "--strict", "-q").code == 1


def test_a_photo_twice_in_one_set_is_told(facenas: Run, parts: tuple[Path, Path]) -> None:
    train, _ = parts
    first = sorted((train / "images").iterdir())[0]
    (train / "images/again.jpg").write_bytes(first.read_bytes())
    with (train / "labelv2.txt").open("a") as file:
        file.write((train / "labelv2.txt").read_text().splitlines()[0].replace(first.name, "again.jpg") + "\n")
    report = json.loads(facenas("photos", train, "--json").out)
    assert [sorted(Path(name).name for name in pair) for pair in report["repeated"]] == [["again.jpg", first.name]]
