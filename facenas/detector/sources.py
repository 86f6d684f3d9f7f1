"""What `facenas detect` is given: photos, folders, patterns, videos and cameras, as one stream of pictures."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facenas.data.folder import PHOTO_SUFFIXES, about_unread
from facenas.data.image import Photo
from facenas.data.video import VIDEO_SUFFIXES, read_frames
from facenas.errors import InputError

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(?:[^/@]*@)?([^/?#]*)")
_FRAME = re.compile(r"(.+)-[0-9]{6,}")


@dataclass(frozen=True)
class Sources:
    """`found`: in the order given, a whole number for a camera; `problems`: of what else was given, why it cannot be used;
    `notes`: of what lies there, what is passed over."""

    found: tuple[Path | int, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Picture:
    """One frame. `image`: what it is called in results; `number`: which it is, from 0."""

    image: str
    number: int
    photo: Photo


def list_sources(given: Sequence[Path | str]) -> Sources:
    """Photos and videos named, those directly in the folders named and those that a quoted pattern matches; a whole
    number that is no file is a camera. Raises InputError where there is none of all these."""
    found: list[Path | int] = []
    problems: list[str] = []
    notes: list[str] = []
    for each in given:
        try:
            found += _sources_of(each, notes)
        except InputError as error:
            problems.append(str(error))
    if not found:
        raise InputError(problems[0] if problems else "there is nothing to look at; give a photo")
    return Sources(tuple(found), tuple(problems), tuple(notes))


def _sources_of(given: Path | str, notes: list[str]) -> list[Path | int]:
    path, text = Path(given), str(given)
    if _is(path, "dir"):
        return list(_inside(path, notes))
    if _is(path, "file") or path.is_symlink():
        return [path]
    if text.isascii() and text.isdecimal():
        return [int(text)]
    if (address := _ADDRESS.match(text)) is not None:
        raise InputError(
            f"{address[1]}://{address[2]} is an address; facenas reads files, cameras and photos on the web (https://); "
            "record it to a file first"
        )
    if set("*?[") & set(text):
        anchor = Path(path.anchor)
        try:
            matched = sorted(anchor.glob(str(path.relative_to(anchor))))
        except (OSError, ValueError, NotImplementedError) as error:
            raise InputError(f"cannot look for {path}: {error}; check the pattern") from error
        if not matched:
            raise InputError(f"no file matches {path}; check the pattern")
        return [source for match in matched for source in _sources_of(match, notes)]
    raise InputError(f"no photo at {path}; check the path")


def _is(path: Path, kind: str) -> bool:
    """Whether a path is a `file` or `dir`; a name that no file system takes is neither."""
    try:
        return path.is_dir() if kind == "dir" else path.is_file()
    except (OSError, ValueError):
        return False


def _inside(folder: Path, notes: list[str]) -> list[Path]:
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot list the folder {folder}: {error.strerror}; check its permissions") from error
    unread = about_unread(folder, children)
    found = [child for child in children if child.suffix.lower() in PHOTO_SUFFIXES | VIDEO_SUFFIXES]
    if not found:
        raise InputError(
            unread or f"folder {folder} holds no photo ({', '.join(sorted(PHOTO_SUFFIXES))}); give another"
        )
    if unread is not None:
        notes.append(unread)
    return found


def is_moving(source: Path | int) -> bool:
    """Whether it is a video or a camera."""
    return isinstance(source, int) or source.suffix.lower() in VIDEO_SUFFIXES


def distinct_stems(sources: Sequence[Path | int]) -> list[str]:
    """A name without suffix for the drawn copy of each photo, and for the frames of each video (`stem-000000`), no two
    alike on any file system: equal ones get a number."""
    videos = {_stem(source).casefold() for source in sources if is_moving(source)}
    taken: set[tuple[str, bool]] = set()

    def key(stem: str, moving: bool) -> tuple[str, bool]:
        folded = stem.casefold()
        frame = _FRAME.fullmatch(folded)
        if not moving and frame is not None and frame[1] in videos:
            return frame[1], True  # it would be called like a frame of that video
        return folded, moving

    stems = []
    for source in sources:
        stem, number = _stem(source), 1
        while key(stem, is_moving(source)) in taken:
            number += 1
            stem = f"{_stem(source)}-{number}"
        taken.add(key(stem, is_moving(source)))
        stems.append(stem)
    return stems


def _stem(source: Path | int) -> str:
    return f"camera{source}" if isinstance(source, int) else source.stem


def read_pictures(source: Path | int, most_frames: int | None) -> Iterator[Picture]:
    """The frames of a video or camera: at most `most_frames`. Raises InputError, for a video that ends early after its
    frames."""
    name = f"camera {source}" if isinstance(source, int) else str(source)
    for index, frame in enumerate(read_frames(source, most_frames)):
        yield Picture(f"{name}, frame {index}", index, frame)
