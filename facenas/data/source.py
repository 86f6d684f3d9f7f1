"""Open whatever labelled photos a folder holds: labelv2 sets (one or several) or WIDER FACE's own layout."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from facenas.data.annotations import Dataset, join_datasets, require_clean
from facenas.data.folder import walk
from facenas.data.labelv2 import read_labelv2
from facenas.data.wider_text import read_wider_text
from facenas.errors import InputError
from facenas.files import MAX_TEXT_BYTES, open_file

Part = Literal["train", "val"]
_LONGEST_NAME = 4096

_LOOKED_FOR = (
    "labelv2.txt with an images/ folder beside it (at any depth), or WIDER_train/images with "
    "wider_face_split/wider_face_train_bbx_gt.txt beside it"
)


def open_dataset(folder: Path, strict: bool = False, part: Part = "train") -> Dataset:
    """Read the labelled photos of `folder`.

    Looks for `labelv2.txt` with `images/` beside it, at any depth (several sets are joined, in the order of their
    paths); else for WIDER FACE's layout, where `folder` is `WIDER_train` (or `WIDER_val`) or holds it; where it holds both,
    `part` says which is meant. Links to folders are followed.
    Labels that cannot be used are left out and listed in `problems`; with `strict` they raise InputError.
    Raises InputError where the folder is absent, holds no such layout, or no usable photo.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; give a folder with {_LOOKED_FOR}")
    name = folder.resolve().name
    sets = [read_labelv2(labels, labels.parent / "images") for labels in _labelv2_files(folder)]
    if not sets and (wider := _wider_layout(folder, part)):
        sets = [read_wider_text(*wider)]
        name = name if name.startswith("WIDER_") or name == "images" else f"{name}/WIDER_{_part_of(wider[0])}"
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


def _labelv2_files(folder: Path) -> list[Path]:
    files = []
    for place, folders, names in walk(folder):
        if "labelv2.txt" in names and "images" in folders:
            files.append(place / "labelv2.txt")
        # Folders of photos are large and hold no labels; hidden ones are not the user's.
        folders[:] = [name for name in folders if name != "images" and not name.startswith(".")]
    return sorted(files)


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
