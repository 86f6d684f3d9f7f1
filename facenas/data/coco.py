"""Labels as COCO writes them: one JSON file with `images`, `annotations` (`bbox` x y w h in pixels) and `categories`.

The category `face` counts, or the only one that there is; `iscrowd` 1 marks a region that is neither face nor background.
Problems name an annotation by its number in the file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from facenas.data.annotations import Dataset, RawLabels, check_labels
from facenas.data.labels import Labels
from facenas.errors import InputError
from facenas.files import parse_json, read_text
from facenas.graph import LANDMARK_COUNT

_FACE = "face"


def is_coco(labels: Path) -> bool:
    """Whether a JSON file is of this format. Raises InputError where it cannot be read."""
    content = parse_json(read_text(labels, "labels"), f"the labels {labels}")
    return isinstance(content, dict) and {"images", "annotations"} <= set(content)


def read_coco(labels: Path, images: Path) -> Dataset:
    """Read the file and match it with the photos in folder `images`. Raises InputError where it is not of the format, or it is
    not clear which category is the faces'."""
    return check_labels(parse_coco(labels), images, labels.stem)


def parse_coco(labels: Path) -> RawLabels:
    """Parse the file alone; as `read_coco`."""
    content = parse_json(read_text(labels, "labels"), f"the labels {labels}")
    try:
        entries = [(int(each["id"]), str(each["file_name"]), each) for each in content["images"]]
        place = {number: index for index, (number, _, _) in enumerate(entries)}
        sizes = tuple((int(each["width"]), int(each["height"])) for _, _, each in entries)
        face = _face_category(content, labels)
        found = [
            (
                index,
                place[int(each["image_id"])],
                [float(value) for value in each["bbox"]],
                bool(each.get("iscrowd", 0)),
            )
            for index, each in enumerate(content["annotations"], start=1)
            if face is None or int(each["category_id"]) == face
        ]
        boxes = np.array([box for _, _, box, _ in found], np.float32).reshape(-1, 4)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{labels} is no COCO file ({type(error).__name__}: {str(error)[:60]}); images need id, file_name, width and"
            " height, annotations image_id, category_id and bbox"
        ) from error
    corner, size = boxes[:, :2], boxes[:, 2:]
    return RawLabels(
        source=labels,
        names=tuple(name for _, name, _ in entries),
        name_lines=tuple(range(1, len(entries) + 1)),
        sizes=sizes,
        photo=np.array([photo for _, photo, _, _ in found], np.int64),
        lines=np.array([index for index, _, _, _ in found], np.int64),
        labels=Labels(
            np.concatenate([corner, corner + size], axis=1),
            np.zeros((len(found), LANDMARK_COUNT, 3), np.float32),
            np.array([ignored for _, _, _, ignored in found], bool),
        ),
    )


def _face_category(content: Mapping[str, Any], labels: Path) -> int | None:
    """The number of the category that is the faces'; None where there is but one. Raises InputError where none is."""
    names = {int(each["id"]): str(each["name"]) for each in content.get("categories", [])}
    if len(names) <= 1:
        return None
    for number, name in names.items():
        if name.lower() == _FACE:
            return number
    shown = ", ".join(list(names.values())[:5])
    raise InputError(
        f"{labels} has no category '{_FACE}' but {len(names)} others ({shown}); label faces, and call them that"
    )
