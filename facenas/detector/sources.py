"""What `facenas detect` is given: photos, folders, patterns, videos and cameras, as one stream of pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from facenas.data.folder import PHOTO_SUFFIXES
from facenas.data.image import Photo, read_image
from facenas.data.video import VIDEO_SUFFIXES, read_frames
from facenas.errors import InputError


@dataclass(frozen=True, eq=False)
class Picture:
    """A photo, or one frame. `image`: what it is called in results; `stem`: the name of its drawn copy."""

    image: str
    stem: str
    photo: Photo


def list_sources(given: Sequence[Path]) -> list[Path | int]:
    """Photos and videos named, those directly in the folders named and those that a quoted pattern matches; a whole
    number that is no file is a camera. Raises InputError where there is none."""
    sources: list[Path | int] = []
    for path in given:
        if path.is_dir():
            wanted = PHOTO_SUFFIXES | VIDEO_SUFFIXES
            inside = sorted(child for child in path.iterdir() if child.suffix.lower() in wanted)
            if not inside:
                raise InputError(f"folder {path} holds no photo ({', '.join(sorted(PHOTO_SUFFIXES))}); give another")
            sources += inside
        elif path.is_file():
            sources.append(path)
        elif str(path).isdecimal():
            sources.append(int(str(path)))
        elif set("*?[") & set(str(path)):
            anchor = Path(path.anchor)
            matched = sorted(anchor.glob(str(path.relative_to(anchor))))
            if not matched:
                raise InputError(f"no file matches {path}; check the pattern")
            sources += list_sources(matched)
        else:
            raise InputError(f"no photo at {path}; check the path")
    return sources


def is_moving(source: Path | int) -> bool:
    """Whether it is a video or a camera."""
    return isinstance(source, int) or source.suffix.lower() in VIDEO_SUFFIXES


def read_pictures(source: Path | int, most_frames: int | None) -> Iterator[Picture]:
    """The photo, or the frames: at most `most_frames`. Raises InputError, for a video that ends early after its frames."""
    if isinstance(source, Path) and not is_moving(source):
        yield Picture(str(source), source.stem, read_image(source))
        return
    name, stem = (f"camera {source}", f"camera{source}") if isinstance(source, int) else (str(source), source.stem)
    for index, frame in enumerate(read_frames(source, most_frames)):
        yield Picture(f"{name}, frame {index}", f"{stem}-{index:06d}", frame)
