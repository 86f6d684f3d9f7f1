"""Pieces: what is packed is what comes back, whatever the layout; and what a stranger's piece may do."""

import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facenas.data.image import encode_jpeg, encode_webp, photo_size, read_image
from facenas.data.packed import Packing
from facenas.data.source import open_dataset
from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.steps.pack import pack
from facenas.training.photos import training_photos

SMALLEST = 1 << 20


def noise(width_px: int, height_px: int, seed: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 255, (height_px, width_px, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets whose photos have the same names."""
    folder = tmp_path_factory.mktemp("photos")
    write_synthetic_set(folder / "one", 6, seed=1)
    write_synthetic_set(folder / "two", 6, seed=2)
    return folder


def test_what_is_packed_comes_back_scaled(photos: Path, tmp_path: Path) -> None:
    result = pack(photos, tmp_path / "out", packing=Packing(long_side_px=320, quality=95))
    assert [piece.path.name for piece in result.pieces] == ["photos-1.zip"]
    before, after = open_dataset(photos), open_dataset(tmp_path / "out", strict=True)
    assert result.pieces[0].photos == len(after.photos) == len(before.photos) == 12
    assert result.pieces[0].faces == after.faces == before.faces
    by_name = {photo.path.relative_to(result.pieces[0].path / "images").as_posix(): photo for photo in after.photos}
    for photo in before.photos:
        name = photo.path.relative_to(photos).as_posix().replace("/images/", "/").replace(".jpg", ".webp")
        packed = by_name[name]
        scale = 320 / max(photo.width_px, photo.height_px)
        assert max(packed.width_px, packed.height_px) == 320
        np.testing.assert_allclose(packed.labels.boxes, photo.labels.boxes * scale, atol=0.6)
        assert (packed.labels.ignore == photo.labels.ignore).all()
        assert (packed.labels.landmarks[..., 2] == photo.labels.landmarks[..., 2]).all()
        pixels = read_image(packed.path)
        assert pixels.shape == (packed.height_px, packed.width_px, 3)
        assert abs(float(pixels.mean()) - float(read_image(photo.path).mean())) < 3


def test_equal_photos_give_equal_pieces(photos: Path, tmp_path: Path) -> None:
    for out, threads in (("a", 1), ("b", 3)):
        pack(photos, tmp_path / out, packing=Packing(threads=threads))
    assert (tmp_path / "a" / "photos-1.zip").read_bytes() == (tmp_path / "b" / "photos-1.zip").read_bytes()


def test_pieces_stay_under_their_size_and_are_sets_alone_and_together(tmp_path: Path) -> None:
    images = tmp_path / "data" / "images"
    images.mkdir(parents=True)
    lines = []
    for index in range(12):
        (images / f"{index}.jpg").write_bytes(encode_jpeg(noise(512, 512, index), 95))
        lines += [f"# {index}.jpg 512 512", "10 10 60 60"]
    (tmp_path / "data" / "labelv2.txt").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    result = pack(tmp_path / "data", out, packing=Packing(quality=95, piece_bytes=SMALLEST))
    assert len(result.pieces) > 1
    assert all(piece.path.stat().st_size == piece.size_bytes <= SMALLEST for piece in result.pieces)
    alone = [open_dataset(piece.path, strict=True) for piece in result.pieces]
    assert [len(each.photos) for each in alone] == [piece.photos for piece in result.pieces]
    assert len(open_dataset(out, strict=True).photos) == sum(len(each.photos) for each in alone) == 12


def test_a_piece_is_trained_on_and_judged_on(photos: Path, tmp_path: Path) -> None:
    piece = pack(photos, tmp_path).pieces[0].path
    both = training_photos(piece, piece)
    assert any("are trained on, too" in note for note in both.notes)
    assert len(load_evaluation_set(piece).photos) == len(both.train.photos) == 12
    assert len(training_photos(piece, None).validation.photos) == 2  # one a folder


def test_a_piece_unpacked_is_a_labelv2_set(photos: Path, tmp_path: Path) -> None:
    piece = pack(photos, tmp_path / "out").pieces[0].path
    with zipfile.ZipFile(piece) as file:
        file.extractall(tmp_path / "plain")
    plain, packed = open_dataset(tmp_path / "plain", strict=True), open_dataset(piece)
    assert [each.labels.boxes.tolist() for each in plain.photos] == [
        each.labels.boxes.tolist() for each in packed.photos
    ]


def test_pieces_of_the_name_are_not_overwritten(photos: Path, tmp_path: Path) -> None:
    pack(photos, tmp_path)
    with pytest.raises(InputError, match=r"photos-1\.zip is already there"):
        pack(photos, tmp_path)


def test_a_photo_that_cannot_be_read_costs_no_other(photos: Path, tmp_path: Path) -> None:
    images = tmp_path / "data" / "images"
    images.mkdir(parents=True)
    (images / "a.jpg").write_bytes(encode_jpeg(noise(64, 64, 0), 90))
    (images / "b.jpg").write_bytes(encode_jpeg(noise(64, 64, 1), 90)[:300] + b"\xff\xd9")
    (tmp_path / "data" / "labelv2.txt").write_text("# a.jpg 64 64\n1 1 30 30\n# b.jpg 64 64\n1 1 30 30\n")
    result = pack(tmp_path / "data", tmp_path / "out")
    assert result.pieces[0].photos + len(result.unread) == len(open_dataset(tmp_path / "data").photos)


@pytest.mark.parametrize(
    ("long_side", "quality", "size"), [(0, 80, SMALLEST), (512, 0, SMALLEST), (512, 101, SMALLEST), (512, 80, 1000)]
)
def test_packing_refuses_numbers_that_cannot_be(long_side: int, quality: int, size: int) -> None:
    with pytest.raises(InputError, match="packing: "):
        Packing(long_side, quality, size)


def test_a_compressed_piece_is_refused_in_words(photos: Path, tmp_path: Path) -> None:
    piece = pack(photos, tmp_path / "out").pieces[0].path
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(piece) as source, zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(InputError, match=r"labelv2\.txt is compressed"):
        open_dataset(other)


@pytest.fixture(scope="module")
def small_piece(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("small")
    write_synthetic_set(folder / "set", 2, seed=3, width_px=96, height_px=64)
    return pack(folder / "set", folder / "out").pieces[0].path.read_bytes()


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_fuzzed_pieces_raise_nothing_but_refusals(
    data: st.DataObject, small_piece: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(small_piece)
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    broken = folder / "broken.zip"
    broken.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(InputError):
        for photo in open_dataset(broken).photos:
            read_image(photo.path)


def test_a_webp_photo_is_known_to_be_whole_by_its_header(tmp_path: Path) -> None:
    content = encode_webp(noise(64, 48, 0), 80)
    (tmp_path / "whole.webp").write_bytes(content)
    assert photo_size(tmp_path / "whole.webp") == (64, 48)
    (tmp_path / "cut.webp").write_bytes(content[:-10])
    with pytest.raises(InputError, match="truncated or damaged"):
        photo_size(tmp_path / "cut.webp")


def test_the_command_packs(photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "facenas.cli.main", "pack", "--data", str(photos), "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, "--name", "mine", "--json"], capture_output=True, text=True, check=True)
    assert '"photos": 12' in done.stdout
    assert (tmp_path / "out" / "mine-1.zip").is_file()
