"""Open whatever labelled photos a folder holds: labelv2 sets (one or several), WIDER FACE's own layout, pieces, or labels as
COCO, YOLO or a plain table have them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from facenas.data.annotations import Dataset, join_datasets, require_clean
from facenas.data.coco import is_coco, parse_coco, read_coco
from facenas.data.csv_labels import read_csv
from facenas.data.folder import walk
from facenas.data.labelv2 import read_labelv2, read_piece
from facenas.data.pieces import is_piece, pieces_in
from facenas.data.wider_text import read_wider_text
from facenas.data.yolo import read_yolo
from facenas.errors import InputError
from facenas.files import MAX_TEXT_BYTES, open_file

Part = Literal["train", "val"]
_LONGEST_NAME = 4096
_TABLE = "labels.csv"

_LOOKED_FOR = (
    "labelv2.txt with an images/ folder beside it (at any depth), WIDER_train/images with "
    "wider_face_split/wider_face_train_bbx_gt.txt beside it, pieces that `facenas pack` made, a COCO file, labels/ beside "
    "images/ (YOLO), or labels.csv"
)


def open_dataset(folder: Path, strict: bool = False, part: Part = "train") -> Dataset:
    """Read the labelled photos of `folder`.

    Looks for `labelv2.txt` with `images/` beside it, at any depth (several sets are joined, in the order of their paths); else
    for WIDER FACE's layout, where `folder` is `WIDER_train` (or `WIDER_val`) or holds it, and where it holds both, `part` says
    which is meant; else for pieces, of which `folder` may also be one; else for COCO's, YOLO's and plain tables' labels
    (facenas/data/coco.py, yolo.py, csv_labels.py). Links to folders are followed.
    Labels that cannot be used are left out and listed in `problems`; with `strict` they raise InputError.
    Raises InputError where the folder is absent, holds no such layout, or no usable photo.
    """
    if not is_set(folder):
        raise InputError(f"no folder {folder}; give a folder with {_LOOKED_FOR}")
    name = folder.resolve().name
    alone = is_piece(folder)
    sets = [read_labelv2(labels, labels.parent / "images") for labels in ([] if alone else _labelv2_files(folder))]
    if not sets and not alone and (wider := _wider_layout(folder, part)):
        sets = [read_wider_text(*wider)]
        name = name if name.startswith("WIDER_") or name == "images" else f"{name}/WIDER_{_part_of(wider[0])}"
    sets = sets or [read_piece(piece) for piece in pieces_in(folder)] or list(_other_formats(folder, part))
    if not sets:
        raise InputError(f"no labels in {folder}; give a folder with {_LOOKED_FOR}")
    dataset = join_datasets(name, sets)
    if strict:
        require_clean(dataset)
    if not dataset.photos:
        reason = (
            f"first of {len(dataset.problems)} problems: {dataset.problems[0]}" if dataset.problems else "empty labels"
        )
        raise InputError(f"no usable photo in {folder} ({reason})")
    return dataset


def is_set(folder: Path) -> bool:
    """Whether labelled photos may be looked for at a path: a folder, or one piece."""
    return folder.is_dir() or is_piece(folder)


def _labelv2_files(folder: Path) -> list[Path]:
    files = []
    for place, folders, names in walk(folder):
        if "labelv2.txt" in names and "images" in folders:
            files.append(place / "labelv2.txt")
        # Folders of photos are large and hold no labels; hidden ones are not the user's.
        folders[:] = [name for name in folders if name != "images" and not name.startswith(".")]
    return sorted(files)


def _other_formats(folder: Path, part: Part) -> Iterator[Dataset]:
    """The set of a COCO file, of YOLO's folders, or of a plain table, the first of them that is there."""
    files = sorted((*folder.glob("*.json"), *folder.glob("annotations/*.json")), key=lambda file: part not in file.name)
    for labels in files:
        if is_coco(labels):
            yield read_coco(labels, _images_of_coco(labels, folder))
            return
    for own in (folder, folder / part):
        for images, labels in ((own / "images", own / "labels"), (own / "images" / part, own / "labels" / part)):
            if images.is_dir() and labels.is_dir() and any(labels.glob("*.txt")):
                yield read_yolo(labels, images)
                return
    if (folder / _TABLE).is_file():
        images = folder / "images"
        yield read_csv(folder / _TABLE, images if images.is_dir() else folder)


def _images_of_coco(labels: Path, folder: Path) -> Path:
    """Where the photos of a COCO file are: below the first of the usual folders that holds its first one."""
    names = parse_coco(labels).names
    split = labels.stem.rpartition("_")[2]  # instances_train2017 -> train2017
    places = [
        folder / "images" / split,
        folder / split,
        folder / "images",
        folder,
        labels.parent / "images",
        labels.parent,
    ]
    return next((place for place in places if names and (place / names[0]).is_file()), places[2])


def _wider_layout(folder: Path, part: Part) -> tuple[Path, Path] | None:
    """The label text and the images folder of WIDER FACE's layout, if its first photo is there; of `part` where both are."""
    layouts = sorted(_wider_candidates(folder), key=lambda layout: _part_of(layout[0]) != part)
    return layouts[0] if layouts else None


def _part_of(labels: Path) -> Part:
    return "train" if "train" in labels.name else "val"


def _wider_candidates(folder: Path) -> Iterator[tuple[Path, Path]]:
    for part in ("train", "val"):
        own = folder / f"WIDER_{part}"
        for images in (own / "images", folder / "images", folder):
            for beside in dict.fromkeys((folder, folder.absolute().parent, folder.resolve().parent, own)):
                for labels in (
                    beside / "wider_face_split" / f"wider_face_{part}_bbx_gt.txt",
                    beside / f"wider_face_{part}_bbx_gt.txt",
                ):
                    if images.is_dir() and labels.is_file() and _names_photos_of(labels, images):
                        yield labels, images


def _names_photos_of(labels: Path, images: Path) -> bool:
    """Whether the text's first photo belongs to an event folder of `images` (train and val share the event names)."""
    with open_file(labels, "labels", MAX_TEXT_BYTES) as file:
        first = file.readline(_LONGEST_NAME).decode("utf-8-sig", "replace").strip().replace("\0", "")
    other = "val" if _part_of(labels) == "train" else "train"
    return (images / first).parent.is_dir() and not images.resolve().parent.name.endswith(other)


def layout_of(folder: Path) -> str:
    """In words, which of the layouts that `open_dataset` reads a folder has. Raises InputError where it has none."""
    if files := _labelv2_files(folder):
        return "labelv2" if len(files) == 1 else f"{len(files)} labelv2 sets"
    if wider := _wider_layout(folder, "train"):
        return f"WIDER FACE, {_part_of(wider[0])}"
    raise InputError(f"no labels in {folder}; give a folder with {_LOOKED_FOR}")
