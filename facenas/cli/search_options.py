"""Words of the search command that need more than a unit: rankings, algorithms, and where stage weights come from."""

from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from facenas.errors import InputError
from facenas.scoring.ddsar import PAPER_STAGE_WEIGHTS
from facenas.units import Size

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


def parse_stage_weights(text: str, input_size: Size) -> tuple[float, ...]:
    """`paper`, or `from:DIR` (labelled photos) or `from:FILE` (labelv2 text): the shares of face sizes at the input.

    A photo is scaled to the input's long side, and its faces' sqrt(area) are counted in the octave bins of the five
    stages. Raises InputError for other words, for a place without labels, and for labels without faces.
    """
    if text == "paper":
        return PAPER_STAGE_WEIGHTS
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


def require_folder(out: Path | None) -> None:
    """Raises InputError where --out is a file, before the search rather than after it."""
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file, and search.json goes into a folder; give a folder")
