"""The photos of a folder, whatever its layout and labels. Links are followed; a folder that several lead to counts once."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from facenas.data.image import photo_size
from facenas.errors import InputError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp"})
_OTHER_PHOTOS = frozenset(
    {".tif", ".tiff", ".gif", ".avif", ".heic", ".heif", ".jp2", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".psd"}
)
_SHOWN = 3


def walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder from `folder` downwards with the names of its folders and files, in their order; as in `os.walk`, names
    that are removed from the list of folders are not looked at. Raises InputError where one cannot be listed."""
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot list the folder {error.filename}: {error.strerror}; check its permissions") from error

    for place, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        yield Path(place), folders, sorted(files)


def photos_below(folder: Path) -> list[str]:
    """All photos of a folder and its folders, by their paths below it, in the order of these."""
    found = (place / name for place, _, files in walk(folder) for name in files)
    return sorted(path.relative_to(folder).as_posix() for path in found if path.suffix.lower() in PHOTO_SUFFIXES)


def unread_below(folder: Path) -> str | None:
    """A line about the photos below a folder whose formats are not read; None where there are none."""
    return about_unread(folder, (Path(name) for _, _, files in walk(folder) for name in files))


def about_unread(folder: Path, files: Iterable[Path]) -> str | None:
    """The same about these files of it."""
    names = sorted(path.name for path in files if path.suffix.lower() in _OTHER_PHOTOS)
    if not names:
        return None
    shown = f"{', '.join(names[:_SHOWN])}{' ...' if len(names) > _SHOWN else ''}"
    return f"{folder}: {len(names)} photos are in formats that are not read ({shown}); save them as JPEG or PNG"


def choose_readable(folder: Path, order: Sequence[str], count: int) -> tuple[list[str], list[str]]:
    """The first `count` photos, by their paths below `folder`, of those in `order` that can be read (fewer where there are not
    so many), and why each of those before could not."""
    chosen: list[str] = []
    problems: list[str] = []
    for name in order:
        if len(chosen) == count:
            break
        try:
            photo_size(folder / name)
        except InputError as error:
            problems.append(str(error))
        else:
            chosen.append(name)
    return chosen, problems
