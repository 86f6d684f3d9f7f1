"""labelv2 text and its match with photos: what is read, what is refused, what is listed as a problem."""

from pathlib import Path

import numpy as np
import pytest

from facenas.arrays import FloatArray
from facenas.data.annotations import join_datasets, require_clean, split_dataset
from facenas.data.image import encode_jpeg
from facenas.data.labelv2 import parse_labelv2, read_labelv2
from facenas.data.source import open_dataset
from facenas.errors import InputError

LANDMARKS = "10 11 1 20 12 0 15 18 1.0 -1 -1 -1 -1 -1 0"


def floats(values: object) -> FloatArray:
    return np.array(values, dtype=np.float32)


def write_photo(path: Path, width_px: int = 64, height_px: int = 48) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(np.full((height_px, width_px, 3), 90, dtype=np.uint8), 90))


def write_set(folder: Path, text: str, photos: tuple[str, ...] = ("a.jpg",)) -> Path:
    for photo in photos:
        write_photo(folder / "images" / photo)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labelv2.txt").write_text(text)
    return folder


def test_reads_lines_of_all_three_lengths(tmp_path: Path) -> None:
    text = f"# a.jpg 64 48\n1 2 11 14\n5 6 25.5 26 {LANDMARKS}\n5 6 25 26 {LANDMARKS} 1\n# my photo.jpg 64 48\n"
    dataset = open_dataset(write_set(tmp_path, text, ("a.jpg", "my photo.jpg")))
    first, second = dataset.photos
    assert dataset.problems == ()
    assert dataset.faces == 2
    np.testing.assert_array_equal(first.labels.boxes, floats([[1, 2, 11, 14], [5, 6, 25.5, 26], [5, 6, 25, 26]]))
    assert first.labels.ignore.tolist() == [False, False, True]
    assert first.labels.landmarks[0].tolist() == [[0, 0, 0]] * 5
    assert first.labels.landmarks[1].tolist() == [[10, 11, 1], [20, 12, 1], [15, 18, 1], [0, 0, 0], [0, 0, 0]]
    assert (first.labels.boxes.dtype, first.labels.landmarks.dtype, first.labels.ignore.dtype) == (
        np.dtype("f4"),
        np.dtype("f4"),
        np.dtype(bool),
    )
    assert second.path.name == "my photo.jpg"
    assert second.labels.boxes.shape == (0, 4)
    assert second.labels.landmarks.shape == (0, 5, 3)


@pytest.mark.parametrize(
    ("text", "place", "cure"),
    [
        ("# a.jpg 64\n", ":1:", "# file width height"),
        ("# a.jpg 64 x\n", ":1:", "# file width height"),
        ("# a.jpg 0 48\n", ":1:", "# file width height"),
        ("1 2 3 4\n", ":1:", "start with"),
        ("# a.jpg 64 48\n1 2 3\n", ":2:", "write 4 numbers"),
        ("# a.jpg 64 48\n1 2 3 4\n1 2 three 4\n", ":3:", "write 4 numbers"),
        ("# a.jpg 64 48\n1 2 3 4\n1 2 nan 4\n", ":3:", "write 4 numbers"),
        (f"# a.jpg 64 48\n1 2 3 4 {LANDMARKS} 0.89\n", ":2:", "ignore, 0 or 1"),
    ],
)
def test_names_line_and_cure_of_a_broken_text(tmp_path: Path, text: str, place: str, cure: str) -> None:
    with pytest.raises(InputError) as raised:
        open_dataset(write_set(tmp_path, text))
    assert "labelv2.txt" + place in str(raised.value)
    assert cure in str(raised.value)
    assert "\n" not in str(raised.value)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    write_set(tmp_path, "")
    (tmp_path / "labelv2.txt").write_bytes(b"# \xff\xfe.jpg 64 48\n")
    with pytest.raises(InputError, match="UTF-8"):
        open_dataset(tmp_path)


def test_lists_what_does_not_fit_and_keeps_the_rest(tmp_path: Path) -> None:
    text = "\n".join(
        [
            "# a.jpg 64 48",
            "-5 -5 10 10",  # partly outside: clipped
            "70 2 80 12",  # wholly outside
            "9 9 9 20",  # no area
            "# gone.jpg 64 48",
            "1 1 9 9",
            "# resized.jpg 640 480",
            "# broken.jpg 64 48",
        ]
    )
    write_set(tmp_path, text, ("a.jpg", "resized.jpg", "broken.jpg"))
    broken = tmp_path / "images" / "broken.jpg"
    broken.write_bytes(broken.read_bytes()[:-200])
    dataset = open_dataset(tmp_path)
    assert [photo.path.name for photo in dataset.photos] == ["a.jpg"]
    assert dataset.photos[0].labels.boxes.tolist() == [[0, 0, 10, 10]]
    assert len(dataset.problems) == 5
    for problem, part in zip(
        dataset.problems, ("wholly outside", "without area", "no photo", "labelled 640x480", "truncated"), strict=True
    ):
        assert part in problem
    with pytest.raises(InputError, match=r"5 problems .* first: .*labelv2\.txt:3: face wholly outside its 64x48 photo"):
        open_dataset(tmp_path, strict=True)


def test_labels_without_photos_give_statistics_only(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("# a.jpg 64 48\n1 2 11 14\n")
    dataset = read_labelv2(labels, None)
    assert (dataset.photos[0].width_px, dataset.photos[0].height_px) == (64, 48)
    require_clean(dataset)
    assert parse_labelv2(labels).lines.tolist() == [2]


def test_split_takes_its_share_of_every_folder(tmp_path: Path) -> None:
    sets = []
    for name, count in (("one", 10), ("two", 20)):
        photos = tuple(f"{index}.jpg" for index in range(count))
        text = "".join(f"# {photo} 64 48\n" for photo in photos)
        sets.append(open_dataset(write_set(tmp_path / name, text, photos)))
    joined = join_datasets("both", sets)
    train, held = split_dataset(joined, 0.2, seed=3)
    again, _ = split_dataset(joined, 0.2, seed=3)
    assert [photo.path for photo in again.photos] == [photo.path for photo in train.photos]
    assert [photo.path.parts[-3] for photo in held.photos] == ["one"] * 2 + ["two"] * 4
    assert not {photo.path for photo in train.photos} & {photo.path for photo in held.photos}
    assert len(train.photos) + len(held.photos) == 30
