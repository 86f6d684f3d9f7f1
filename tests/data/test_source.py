"""Finding labelled photos in whatever folder the user points at, and WIDER FACE's own text."""

from pathlib import Path

import numpy as np
import pytest

from facenas.data.image import encode_jpeg
from facenas.data.source import open_dataset
from facenas.errors import InputError

WIDER_TEXT = """0--Parade/one.jpg
3
10 12 20 24 0 0 0 0 0 0
1 2 3 4 0 0 0 1 0 0
5 5 0 9 0 0 0 0 0 0
0--Parade/none.jpg
0
0 0 0 0 0 0 0 0 0 0
1--Handshaking/two.jpg
1
0 0 8 8 1 0 0 0 2 0
"""


def write_photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(np.full((48, 64, 3), 90, dtype=np.uint8), 90))


def write_wider(root: Path, part: str = "train", text: str = WIDER_TEXT) -> Path:
    for name in ("0--Parade/one.jpg", "0--Parade/none.jpg", "1--Handshaking/two.jpg"):
        write_photo(root / f"WIDER_{part}" / "images" / name)
    split = root / "wider_face_split"
    split.mkdir(exist_ok=True)
    (split / f"wider_face_{part}_bbx_gt.txt").write_text(text)
    return root


@pytest.mark.parametrize("below", ["", "WIDER_train", "WIDER_train/images"])
def test_reads_wider_from_its_root_or_the_split_folder(tmp_path: Path, below: str) -> None:
    write_wider(tmp_path)
    if below == "WIDER_train/images":
        (tmp_path / "wider_face_split").rename(tmp_path / "WIDER_train" / "wider_face_split")
    dataset = open_dataset(tmp_path / below)
    one, none, two = dataset.photos
    assert one.labels.boxes.tolist() == [[10, 12, 30, 36], [1, 2, 4, 6]]
    assert one.labels.ignore.tolist() == [False, True]
    assert none.labels.boxes.shape == (0, 4)
    assert two.labels.boxes.tolist() == [[0, 0, 8, 8]]
    assert (two.width_px, two.height_px) == (64, 48)
    assert not one.labels.landmarks.any()
    assert len(dataset.problems) == 1
    assert "wider_face_train_bbx_gt.txt:5: face without area" in dataset.problems[0]


def test_wider_val_is_not_read_with_the_labels_of_train(tmp_path: Path) -> None:
    write_wider(tmp_path, "train")
    write_wider(tmp_path, "val", WIDER_TEXT.replace("0 0 8 8", "0 0 9 9"))
    assert open_dataset(tmp_path / "WIDER_val").photos[2].labels.boxes.tolist() == [[0, 0, 9, 9]]
    assert open_dataset(tmp_path / "WIDER_train").photos[2].labels.boxes.tolist() == [[0, 0, 8, 8]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0--Parade/one.jpg\nmany\n", ":2: 'many' is no number of faces"),
        ("0--Parade/one.jpg\n", ":2: 'end of file' is no number of faces"),
        ("0--Parade/one.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n", ":4: 'end of file' is no face"),
        ("0--Parade/one.jpg\n1\n1 2 3 4\n", ":3: '1 2 3 4' is no face"),
    ],
)
def test_names_the_line_of_a_broken_wider_text(tmp_path: Path, text: str, words: str) -> None:
    write_wider(tmp_path, text=text)
    with pytest.raises(InputError, match=r"10 whole numbers|write the number") as raised:
        open_dataset(tmp_path)
    assert words in str(raised.value)


def test_joins_labelv2_sets_at_any_depth_in_order(tmp_path: Path) -> None:
    for name in ("b", "a/deep"):
        write_photo(tmp_path / name / "images" / "x.jpg")
        (tmp_path / name / "labelv2.txt").write_text("# x.jpg 64 48\n1 1 9 9\n")
    dataset = open_dataset(tmp_path)
    assert [photo.path.relative_to(tmp_path).parts[0] for photo in dataset.photos] == ["a", "b"]
    assert dataset.name == tmp_path.name


def test_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no labels in .*labelv2\.txt.*WIDER_train"):
        open_dataset(tmp_path)
    with pytest.raises(InputError, match=r"no folder .*absent.*labelv2\.txt"):
        open_dataset(tmp_path / "absent")
    (tmp_path / "images").mkdir()
    (tmp_path / "labelv2.txt").write_text("# x.jpg 64 48\n1 1 9 9\n")
    with pytest.raises(InputError, match=r"no usable photo .*first of 1 problems: .*no photo"):
        open_dataset(tmp_path)
    (tmp_path / "labelv2.txt").write_text("")
    with pytest.raises(InputError, match=r"no usable photo .*empty labels"):
        open_dataset(tmp_path)


def test_real_sets_read_clean(shared_dir: Path) -> None:
    dataset = open_dataset(shared_dir / "data" / "train", strict=True)
    assert len(dataset.photos) >= 5891  # the set has grown since
    assert dataset.faces > 60_000
