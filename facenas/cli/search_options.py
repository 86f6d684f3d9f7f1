"""Words of the search command that need more than a unit: rankings, algorithms, and where stage weights come from."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from facenas.errors import InputError
from facenas.units import Size

if TYPE_CHECKING:
    from facenas.steps.judge import Judging

NO_DEVICE = "none"

Choice = TypeVar("Choice", bound=StrEnum)


def parse_choice(kind: type[Choice], text: str, option: str) -> Choice:
    """One of a few words. Raises InputError that lists them."""
    if text not in list(kind):
        raise InputError(f"{option} '{text}' is none of {', '.join(kind)}")
    return kind(text)


def parse_devices(names: list[str] | None) -> list[str]:
    """The devices asked for, `cpu` by default; `none` asks for a search without latencies."""
    devices = list(dict.fromkeys(names or ["cpu"]))
    if NO_DEVICE not in devices:
        return devices
    if len(devices) > 1:
        raise InputError(f"--device {NO_DEVICE} stands alone; drop it or the other devices")
    return []


def parse_kernels(text: str) -> frozenset[int]:
    """Kernel sizes with commas between. Raises InputError for other words."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--kernels '{text}' is no list of kernel sizes; write for example 3 or 3,5")
    return frozenset(map(int, parts))


def parse_face_shares(text: str | None, input_size: Size) -> tuple[float, ...] | None:
    """Of `from:DIR` (labelled photos) or `from:FILE` (labelv2 text) the shares of face sizes at the input; of `paper` None.

    A photo is scaled to the input's long side, and its faces' sqrt(area) are counted in the octave bins of the five
    stages. Raises InputError for other words, for a place without labels, and for labels without faces.
    """
    if text in (None, "paper"):
        return None
    from facenas.data.face_sizes import face_size_distribution
    from facenas.data.labelv2 import read_labelv2
    from facenas.data.source import open_dataset

    word, colon, place = text.partition(":")
    if word != "from" or not colon or not place:
        raise InputError(f"--stage-weights '{text}' is neither paper nor from:DIR with labelled photos in DIR")
    path = Path(place)
    dataset = read_labelv2(path, None) if path.is_file() else open_dataset(path)
    shares = face_size_distribution(dataset.photos, max(input_size.width_px, input_size.height_px))
    return tuple(round(share, 6) for share in shares)


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
