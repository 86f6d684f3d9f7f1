"""The synthetic set: deterministic, readable by the same reader, its labels on the drawn faces."""

from pathlib import Path

import numpy as np
import pytest

from facenas.data.image import read_image
from facenas.data.source import open_dataset
from facenas.data.synthetic import draw_photo, write_synthetic_set
from facenas.data.synthetic_face import Face, draw_face
from facenas.errors import InputError


def test_same_seed_same_bytes_and_a_prefix_of_a_larger_set(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "a", 3, seed=5)
    write_synthetic_set(tmp_path / "b", 5, seed=5)
    write_synthetic_set(tmp_path / "c", 3, seed=6)
    photos = sorted(path.name for path in (tmp_path / "a" / "images").iterdir())
    assert len(photos) == 3
    for name in photos:
        assert (tmp_path / "a/images" / name).read_bytes() == (tmp_path / "b/images" / name).read_bytes()
    assert (tmp_path / "b/labelv2.txt").read_text().startswith((tmp_path / "a/labelv2.txt").read_text())
    assert (tmp_path / "c/labelv2.txt").read_text() != (tmp_path / "a/labelv2.txt").read_text()


def test_reads_back_without_problems(tmp_path: Path) -> None:
    written = write_synthetic_set(tmp_path, 20, seed=1)
    dataset = open_dataset(tmp_path, strict=True)
    assert written.name == "synthetic"
    assert len(dataset.photos) == 20
    heights = np.concatenate([photo.labels.boxes[:, 3] - photo.labels.boxes[:, 1] for photo in dataset.photos])
    assert 40 < len(heights) < 240
    assert heights.min() < 16
    assert heights.max() > 100
    assert all((photo.width_px, photo.height_px) == (640, 480) for photo in dataset.photos)
    assert read_image(dataset.photos[0].path).shape == (480, 640, 3)


@pytest.mark.parametrize("roll", [0.0, 25.0, -25.0])
@pytest.mark.parametrize("height", [24.0, 120.0])
def test_a_drawn_head_fills_its_box(roll: float, height: float) -> None:
    """On a grey canvas the features lie at the landmarks, and the chin's side ends at the box."""
    canvas = np.full((300, 300, 3), 128, dtype=np.uint8)
    face = Face(150.0, 140.0, height, 0.8 * height, roll, 0.0)
    draw_face(canvas, face, np.random.default_rng(4))
    x1, y1, x2, y2 = face.box()
    assert 0 < x1 < 150 < x2 < 300
    for x, y in face.landmarks():
        assert x1 < x < x2
        assert y1 < y < y2
    changed = (canvas != 128).any(axis=2)
    assert changed[round(y1) + 2 : round(y2) - 2, 148:152].all()
    eyes, mouth = np.array(face.landmarks()[:2]), np.array(face.landmarks()[3:])
    turned = np.degrees(np.arctan2(*(eyes[1] - eyes[0])[::-1]))
    assert turned == pytest.approx(roll, abs=1e-6)
    assert eyes[:, 1].mean() < mouth[:, 1].mean()


def test_photos_without_faces_exist() -> None:
    counts = [len(draw_photo(96, 96, np.random.default_rng([0, index]))[1]) for index in range(40)]
    assert 0 in counts
    assert max(counts) > 2


@pytest.mark.parametrize(("count", "width", "words"), [(0, 640, "ask for 1 or more"), (1, 32, "64x64 or more")])
def test_refuses_unusable_sizes(tmp_path: Path, count: int, width: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        write_synthetic_set(tmp_path, count, width_px=width)
