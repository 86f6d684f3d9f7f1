"""Labels of COCO, YOLO and plain tables: found by themselves, read alike, and refused in words where they are wrong."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenas.data.annotations import Dataset
from facenas.data.coco import parse_coco
from facenas.data.csv_labels import parse_csv
from facenas.data.image import encode_jpeg
from facenas.data.source import open_dataset
from facenas.data.yolo import read_yolo
from facenas.errors import InputError

WIDTH, HEIGHT = 64, 48
BOXES = ((8.0, 6.0, 24.0, 30.0), (32.0, 12.0, 48.0, 36.0))
NAMES = ("a.jpg", "party/b.jpg", "none.jpg")
Write = Callable[[Path], None]


def write_photos(images: Path) -> None:
    for name in NAMES:
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(encode_jpeg(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), 90))


def coco() -> dict[str, Any]:
    """Both boxes in the first photo, the second of them again in the second, marked as a crowd."""
    images = [{"id": 7 + n, "file_name": name, "width": WIDTH, "height": HEIGHT} for n, name in enumerate(NAMES)]
    faces = [(7, BOXES[0], 0), (7, BOXES[1], 0), (8, BOXES[1], 1)]
    annotations = [
        {"image_id": image, "category_id": 3, "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": crowd}
        for image, (x1, y1, x2, y2), crowd in faces
    ]
    return {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "face"}]}


def write_coco(folder: Path) -> None:
    write_photos(folder / "train2017")
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_train2017.json").write_text(json.dumps(coco()))


def write_yolo(folder: Path) -> None:
    write_photos(folder / "images")
    lines = [
        f"0 {(x1 + x2) / 2 / WIDTH} {(y1 + y2) / 2 / HEIGHT} {(x2 - x1) / WIDTH} {(y2 - y1) / HEIGHT}"
        for x1, y1, x2, y2 in BOXES
    ]
    (folder / "labels" / "party").mkdir(parents=True)
    (folder / "labels" / "a.txt").write_text("\n".join(lines) + "\n")
    (folder / "labels" / "party" / "b.txt").write_text("")


def write_table(folder: Path) -> None:
    write_photos(folder / "images")
    rows = ["image,xmin,ymin,xmax,ymax,ignore", *(",".join(map(str, ("a.jpg", *box, 0))) for box in BOXES)]
    rows += [",".join(map(str, ("party/b.jpg", *BOXES[1], 1))), "none.jpg,,,,,"]
    (folder / "labels.csv").write_text("\r\n".join(rows) + "\r\n")


def by_name(dataset: Dataset) -> dict[str, list[list[float]]]:
    return {photo.path.name: photo.labels.face_boxes.round(3).tolist() for photo in dataset.photos}


@pytest.mark.parametrize("write", [write_coco, write_yolo, write_table])
def test_every_format_is_found_and_says_the_same(write: Write, tmp_path: Path) -> None:
    write(tmp_path)
    dataset = open_dataset(tmp_path, strict=True)
    assert by_name(dataset) == {"a.jpg": [list(box) for box in BOXES], "b.jpg": [], "none.jpg": []}
    assert dataset.faces == 2


def test_labelv2_is_taken_where_there_are_others_too(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "labelv2.txt").write_text(f"# a.jpg {WIDTH} {HEIGHT}\n1 1 9 9\n")
    assert by_name(open_dataset(tmp_path)) == {"a.jpg": [[1, 1, 9, 9]]}


def test_of_several_categories_the_faces_count(tmp_path: Path) -> None:
    write_coco(tmp_path)
    path = tmp_path / "annotations" / "instances_train2017.json"
    content = coco()
    content["categories"].append({"id": 1, "name": "person"})
    content["annotations"].append({"image_id": 7, "category_id": 1, "bbox": [0, 0, 60, 40]})
    path.write_text(json.dumps(content))
    assert open_dataset(tmp_path).faces == 2
    content["categories"][0]["name"] = "head"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"no category 'face' but 2 others \(head, person\)"):
        open_dataset(tmp_path)


def test_of_several_classes_the_faces_count(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    with (tmp_path / "labels" / "a.txt").open("a") as file:
        file.write("1 0.5 0.5 0.9 0.9\n")
    with pytest.raises(InputError, match=r"neither classes\.txt nor data\.yaml"):
        open_dataset(tmp_path)
    for text in ("names: [face, person]\n", "names:\n  0: face\n  1: person\n", "path: x\nnames:\n- face\n- person\n"):
        (tmp_path / "data.yaml").write_text(text)
        assert open_dataset(tmp_path).faces == 2
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text("person\nface\n")
    np.testing.assert_allclose(by_name(open_dataset(tmp_path))["a.jpg"], [[3.2, 2.4, 60.8, 45.6]], rtol=1e-5)


def test_landmarks_of_yolo_are_read(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    points = " ".join(f"{0.1 * (n + 1)} {0.2 * (n % 3 + 1)} {2 * (n != 4)}" for n in range(5))
    (tmp_path / "labels" / "a.txt").write_text(f"0 0.25 0.375 0.25 0.5 {points}\n")
    landmarks = next(photo for photo in open_dataset(tmp_path).photos if photo.path.name == "a.jpg").labels.landmarks[0]
    assert landmarks[:, 2].tolist() == [1, 1, 1, 1, 0]
    np.testing.assert_allclose(landmarks[1], [0.2 * WIDTH, 0.4 * HEIGHT, 1], rtol=1e-5)
    assert landmarks[4].tolist() == [0, 0, 0]


def test_a_table_may_give_widths_in_any_order(tmp_path: Path) -> None:
    write_photos(tmp_path)
    (tmp_path / "labels.csv").write_text("h,w,y,x,file\n24,16,6,8,a.jpg\n")
    assert by_name(open_dataset(tmp_path)) == {"a.jpg": [list(BOXES[0])]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("file,a,b\n", "names no box"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,3\n", r":2: 4 cells where"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,3,q\n", r":2: '1,2,3,q' are not four numbers"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,3,inf\n", "are not four numbers"),
    ],
)
def test_a_table_that_is_none_is_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    "line", ["0 0.5 0.5 0.2", "0 0.5 0.5 0.2 1.2", "0 50 50 20 20", "x 0.5 0.5 0.2 0.2", "0.5 0 0 0 0"]
)
def test_a_line_that_is_no_face_of_yolo_is_named(line: str, tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "labels" / "a.txt").write_text(f"0 0.5 0.5 0.2 0.2\n{line}\n")
    with pytest.raises(InputError, match=r"a\.txt:2: .* is no face"):
        open_dataset(tmp_path)


def test_a_label_that_cannot_be_used_is_told_with_its_place(tmp_path: Path) -> None:
    write_table(tmp_path)
    with (tmp_path / "labels.csv").open("a") as file:
        file.write("gone.jpg,1,2,30,40,0\r\na.jpg,100,2,130,40,0\r\n")
    problems = open_dataset(tmp_path).problems
    assert any("labels.csv:6: no photo" in problem for problem in problems)
    assert any("labels.csv:7: face wholly outside" in problem for problem in problems)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200)


@given(TEXT)
def test_fuzzed_tables_raise_nothing_but_refusals(text: str) -> None:
    _parsed_or_refused(parse_csv, text, "labels.csv")
    _parsed_or_refused(parse_csv, "file,x1,y1,x2,y2\n" + text, "labels.csv")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "images": JSON
            | st.lists(st.fixed_dictionaries({"id": JSON, "file_name": JSON, "width": JSON, "height": JSON})),
            "annotations": JSON
            | st.lists(st.fixed_dictionaries({"image_id": JSON, "category_id": JSON, "bbox": JSON})),
            "categories": JSON,
        },
    )
)
def test_fuzzed_coco_files_raise_nothing_but_refusals(content: object) -> None:
    _parsed_or_refused(parse_coco, json.dumps(content), "coco.json")


@given(TEXT)
def test_fuzzed_yolo_labels_raise_nothing_but_refusals(text: str) -> None:
    with _folder() as place:
        write_photos(place / "images")
        (place / "labels").mkdir()
        (place / "labels" / "a.txt").write_text(text)
        with suppress(InputError):
            assert len(read_yolo(place / "labels", place / "images").photos) == len(NAMES)


@contextmanager
def _folder() -> Iterator[Path]:
    with TemporaryDirectory() as place:
        yield Path(place)


def _parsed_or_refused(parse: Callable[[Path], object], text: str, name: str) -> None:
    with _folder() as place:
        (place / name).write_text(text)
        with suppress(InputError):
            parse(place / name)
