"""Labels that are well-formed and wrong, and photos that have several names: named, left out, and refused where asked."""

import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from facenas.data.annotations import split_dataset
from facenas.data.image import encode_jpeg
from facenas.data.source import open_dataset
from facenas.errors import InputError

WIDTH, HEIGHT = 200, 150


def write_set(folder: Path, entries: list[tuple[str, list[str]]], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """A labelv2 set: a header and its face lines for each entry, and a photo for each name."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(dict.fromkeys(name for name, _ in entries)):
        photo = np.full((size[1], size[0], 3), number, np.uint8)
        (folder / "images" / name).write_bytes(encode_jpeg(photo, 90))
    lines = [line for name, faces in entries for line in (f"# {name} {size[0]} {size[1]}", *faces)]
    (folder / "labelv2.txt").write_text("\n".join(lines) + "\n")
    return folder


def faces(count: int, order: str) -> list[str]:
    """Faces of about 30 x 40 px all over the photo, their numbers in an order."""
    rng = np.random.default_rng(count)
    lines = []
    for _ in range(count):
        x, y = rng.uniform(0, WIDTH - 40), rng.uniform(0, HEIGHT - 50)
        w, h = rng.uniform(20, 35, 2)
        values = {
            "x1 y1 x2 y2": (x, y, x + w, y + h),
            "x y w h": (x, y, w, h),
            "cx cy w h": (x + w / 2, y + h / 2, w, h),
            "y1 x1 y2 x2": (y, x, y + h, x + w),
            "shares": (x / WIDTH, y / HEIGHT, (x + w) / WIDTH, (y + h) / HEIGHT),
        }[order]
        lines.append(" ".join(f"{value:.4f}" for value in values))
    return lines


def test_a_header_a_face_is_one_photo(tmp_path: Path) -> None:
    entries = [(f"{n % 12}.jpg", [f"{3 * n} {2 * n} {3 * n + 20} {2 * n + 20}"]) for n in range(36)]
    dataset = open_dataset(write_set(tmp_path, entries))
    assert len(dataset.photos) == 12
    assert dataset.faces == 36
    assert dataset.photos[0].labels.boxes[:, 0].tolist() == [0, 36, 72]
    assert sum("3 headers name one photo" in problem for problem in dataset.problems) == 12
    with pytest.raises(InputError, match="headers name one photo"):
        open_dataset(tmp_path, strict=True)
    train, held_out = split_dataset(dataset, 0.5)
    assert not {photo.path for photo in train.photos} & {photo.path for photo in held_out.photos}


def test_links_lead_to_one_photo_and_sets_share_none(tmp_path: Path) -> None:
    one = write_set(tmp_path / "data" / "one", [("a.jpg", ["1 1 30 30"]), ("b.jpg", ["1 1 30 30"])])
    (one / "images" / "c.jpg").symlink_to("a.jpg")
    with (one / "labelv2.txt").open("a") as file:
        file.write(f"# c.jpg {WIDTH} {HEIGHT}\n50 50 90 90\n")
    two = tmp_path / "data" / "two"
    (two / "images").mkdir(parents=True)
    (two / "images" / "x.jpg").hardlink_to(one / "images" / "b.jpg")
    (two / "labelv2.txt").write_text(f"# x.jpg {WIDTH} {HEIGHT}\n1 1 30 30\n")
    dataset = open_dataset(tmp_path / "data")
    assert [(photo.path.name, len(photo.labels)) for photo in dataset.photos] == [("a.jpg", 2), ("b.jpg", 1)]
    assert "2 headers name one photo" in dataset.problems[0]
    assert "same photo as" in dataset.problems[1]


def test_linked_sets_and_linked_folders_of_photos_are_read_once(tmp_path: Path) -> None:
    write_set(tmp_path / "disk" / "one", [("a.jpg", ["1 1 30 30"])])
    data = tmp_path / "data"
    data.mkdir()
    (data / "one").symlink_to(tmp_path / "disk" / "one")
    (data / "again").symlink_to(tmp_path / "disk")
    (data / "circle").symlink_to(data)
    two = data / "two"
    two.mkdir()
    write_set(tmp_path / "photos", [("b.jpg", [])])
    (two / "images").symlink_to(tmp_path / "photos" / "images")
    (two / "labelv2.txt").write_text(f"# b.jpg {WIDTH} {HEIGHT}\n1 1 30 30\n")
    dataset = open_dataset(data, strict=True)
    assert [photo.path.name for photo in dataset.photos] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("order", ["x y w h", "cx cy w h", "y1 x1 y2 x2", "shares"])
@pytest.mark.parametrize("count", [2, 40])
def test_another_order_of_numbers_is_named(tmp_path: Path, order: str, count: int) -> None:
    if order == "y1 x1 y2 x2" and count < 5:
        pytest.skip("too few to be told from honest ones")
    write_set(tmp_path, [("a.jpg", faces(count, order)), ("b.jpg", faces(count + 1, order))])
    with pytest.raises(InputError, match="first: ") as raised:
        open_dataset(tmp_path, strict=True)
    assert "a.jpg" in str(raised.value)
    assert ("shares of the photo's sides" if order == "shares" else order) in str(raised.value)
    assert len(open_dataset(tmp_path).photos) == 2


def test_honest_labels_are_not_doubted(tmp_path: Path) -> None:
    write_set(tmp_path, [(f"{n}.jpg", faces(n, "x1 y1 x2 y2")) for n in range(12)])
    assert open_dataset(tmp_path, strict=True).problems == ()


def test_faces_twice_and_faces_under_a_pixel_are_left_out_and_named(tmp_path: Path) -> None:
    write_set(tmp_path, [("a.jpg", ["1 1 30 30", "5 5 40 40", "1 1 30 30", "9 9 9.5 30"]), ("b.jpg", ["1 1 30 30"])])
    dataset = open_dataset(tmp_path)
    assert dataset.faces == 3
    twice, tiny = dataset.problems
    assert ":4: face that stands there already (1 1 30 30)" in twice
    assert ":5: face under a pixel (9 9 9.5 30)" in tiny


def test_names_of_two_forms_of_unicode_meet(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFC", "Zoë.jpg")
    one, two = unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)
    for folder, forms in (("1", (two, one)), ("2", (one, two))):
        write_set(tmp_path / folder, [(forms[0], ["1 1 30 30"])])
        (tmp_path / folder / "labelv2.txt").write_text(f"# {forms[1]} {WIDTH} {HEIGHT}\n1 1 30 30\n")
        assert len(open_dataset(tmp_path / folder, strict=True).photos) == 1


@pytest.mark.parametrize("name", ["../../etc/a.jpg", "/etc/passwd", "a\0b.jpg", "n" * 300 + ".jpg", "~/a.jpg"])
def test_names_that_lead_elsewhere_or_nowhere_are_problems(tmp_path: Path, name: str) -> None:
    write_set(tmp_path, [("a.jpg", ["1 1 30 30"])])
    with (tmp_path / "labelv2.txt").open("a") as file:
        file.write(f"# {name} {WIDTH} {HEIGHT}\n1 1 30 30\n")
    (problem,) = open_dataset(tmp_path).problems
    assert ":3: " in problem
    assert "\0" not in str(InputError(problem))


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_text_of_other_editors(tmp_path: Path, mark: bytes, end: bytes) -> None:
    write_set(tmp_path, [("a.jpg", ["1 1 30 30"])])
    text = (tmp_path / "labelv2.txt").read_bytes()
    (tmp_path / "labelv2.txt").write_bytes(mark + text.replace(b"\n", end))
    assert open_dataset(tmp_path, strict=True).faces == 1


@pytest.mark.parametrize("photos", [1, 2, 3, 5])
def test_a_tenth_of_few_is_one_photo(tmp_path: Path, photos: int) -> None:
    dataset = open_dataset(write_set(tmp_path, [(f"{n}.jpg", ["1 1 30 30"]) for n in range(photos)]))
    if photos == 1:
        with pytest.raises(InputError, match="one photo that can be used"):
            split_dataset(dataset, 0.1)
        return
    train, held_out = split_dataset(dataset, 0.1)
    assert (len(train.photos), len(held_out.photos)) == (photos - 1, 1)


def test_fifty_thousand_entries_of_one_photo_take_no_minute(tmp_path: Path) -> None:
    write_set(tmp_path / "WIDER_train", [("one.jpg", [])])
    (tmp_path / "WIDER_train" / "labelv2.txt").unlink()
    entry = "one.jpg\n1\n1 2 30 40 0 0 0 0 0 0\n"
    (tmp_path / "WIDER_train" / "wider_face_train_bbx_gt.txt").write_text(entry * 50_000)
    started = time.process_time()
    dataset = open_dataset(tmp_path / "WIDER_train")
    assert (len(dataset.photos), dataset.faces) == (1, 1)
    assert time.process_time() - started < 20  # it was more than a minute
