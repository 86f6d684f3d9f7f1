"""Words of the search command that need more than a unit: rankings, algorithms, and where stage weights come from."""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from facenas.errors import InputError, meant

if TYPE_CHECKING:
    from facenas.data.face_sizes import FaceSizes
    from facenas.steps.judge import Judging
    from facenas.units import Size

NO_DEVICE = "none"
_FACES = re.compile(r"([0-9]+(?:\.[0-9]+)?)px\.\.([0-9]+(?:\.[0-9]+)?)px@([0-9]+x[0-9]+)", re.ASCII)

Choice = TypeVar("Choice", bound=StrEnum)


def parse_choice(kind: type[Choice], text: str, option: str) -> Choice:
    """One of a few words. Raises InputError that lists them."""
    if text not in list(kind):
        raise InputError(f"{option} '{text}' is none of {', '.join(kind)}{meant(text, kind)}")
    return kind(text)


def parse_devices(names: list[str] | None) -> list[str]:
    """The devices asked for, `cpu` by default; `none` asks for a search without latencies."""
    devices = list(dict.fromkeys(names or ["cpu"]))
    if NO_DEVICE not in devices:
        return devices
    if len(devices) > 1:
        raise InputError(f"--device {NO_DEVICE} stands alone; drop it or the other devices")
    return []


def photo_size(camera: str | None) -> "Size":
    """The size of the photos that --end-to-end decodes."""
    from facenas.steps.end_to_end import PHOTO_SIZE
    from facenas.units import parse_size

    return PHOTO_SIZE if camera is None else parse_size(camera, multiple_px=1)


def parse_kernels(text: str) -> frozenset[int]:
    """Kernel sizes with commas between. Raises InputError for other words."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--kernels '{text}' is no list of kernel sizes; write for example 3 or 3,5")
    return frozenset(map(int, parts))


def parse_faces(faces: str | None, stage_weights: str | None) -> "FaceSizes | None":
    """Of `DIR` (labelled photos), `FILE` (labelv2 text) or `20px..200px@1920x1080` the sizes of faces; --stage-weights from:DIR
    says the same. None where nothing is said, or `paper`.

    Raises InputError for other words, for a place without labels, and for labels without faces.
    """
    from facenas.data.face_sizes import face_sizes_between, face_sizes_of
    from facenas.data.labelv2 import read_labelv2
    from facenas.data.source import open_dataset
    from facenas.units import parse_size

    if stage_weights not in (None, "paper"):
        word, colon, place = stage_weights.partition(":")
        if word != "from" or not colon or not place:
            raise InputError(
                f"--stage-weights '{stage_weights}' is neither paper nor from:DIR with labelled photos in DIR"
            )
        if faces is not None:
            raise InputError(f"--stage-weights {stage_weights} and --faces {faces} both say which faces; keep one")
        faces = place
    if faces is None:
        return None
    if match := _FACES.fullmatch(faces.strip()):
        return face_sizes_between(float(match[1]), float(match[2]), parse_size(match[3], multiple_px=1))
    path = Path(faces)
    if "@" in faces and not path.exists():
        raise InputError(
            f"--faces '{faces}' is neither a place of labelled photos nor sizes such as 20px..200px@1920x1080"
        )
    dataset = read_labelv2(path, None) if path.is_file() else open_dataset(path)
    return face_sizes_of(dataset.photos, f"the photos of {faces}")


def parse_judging(
    count: int | None, supernet: Path | None, data: Path | None, photos: Path | None, space: str
) -> "Judging | None":
    """What --judge asks for, with the zoo's supernet by default. Raises InputError where something is missing or left over."""
    from facenas.steps.judge import Judging
    from facenas.zoo import zoo_supernet

    if count is None:
        if supernet or data or photos:
            raise InputError("--supernet, --data and --photos belong to --judge; add it, or leave them out")
        return None
    if data is None:
        raise InputError("--judge needs labelled photos to judge on; give them with --data")
    supernet = supernet or zoo_supernet(space)
    if supernet is None:
        raise InputError(f"--judge needs a supernet of space '{space}', and none ships; give one with --supernet")
    return Judging(supernet, data, photos)


def require_folder(out: Path | None) -> None:
    """Raises InputError where --out is a file, before the search rather than after it."""
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file, and search.json goes into a folder; give a folder")
