"""The photos of a folder, whatever its layout and labels."""

import os
from collections.abc import Iterator
from pathlib import Path

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


def photos_below(folder: Path) -> list[str]:
    """All photos of a folder and its folders, by their paths below it, in the order of these."""
    return sorted(_photos_below(folder))


def _photos_below(folder: Path) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if path.suffix.lower() in PHOTO_SUFFIXES:
                yield path.relative_to(folder).as_posix()
