"""Packing: labelled photos, scaled and as WebP, into pieces (facenas/data/pieces.py) of a largest size.

    scale = min(1, long side / longer side of the photo),  boxes and landmarks x scale

Photos go into the pieces in an order drawn by a seed, so that each piece is a fair sample of the whole and can be trained on
alone. Equal photos give equal pieces, byte for byte.
"""

import io
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from facenas.arrays import FloatArray
from facenas.data.annotations import Dataset, LabelledPhoto
from facenas.data.image import encode_webp, read_image, scale_image
from facenas.data.labels import Labels
from facenas.data.labelv2 import labelv2_text
from facenas.data.pieces import PIECE_LABELS, PIECE_SUFFIX
from facenas.errors import InputError
from facenas.files import make_folder, write_atomic

_ORDER_SEED = 0
_AHEAD = 64  # photos under way at once
_ENTRY_BYTES = 150  # of a ZIP file, a photo's two headers beside their names
_OUTSIDE = "images"  # the folder's name says nothing of a photo


@dataclass(frozen=True)
class Packing:
    """How photos are packed: the longer side in pixels that they are scaled down to, WebP quality 1 to 100, bytes of the
    largest piece, and how many photos are encoded at once."""

    long_side_px: int = 512
    quality: int = 80
    piece_bytes: int = 60 << 20
    threads: int = 1

    def __post_init__(self) -> None:
        for name, least, most in (("long_side_px", 32, 16_383), ("quality", 1, 100), ("piece_bytes", 1 << 20, 1 << 32)):
            if not least <= getattr(self, name) <= most:
                raise InputError(f"packing: {name} {getattr(self, name):,} must be {least:,} to {most:,}")


@dataclass(frozen=True, eq=False)
class _Packed:
    """One photo as it lies in a piece: its name there, its bytes, and its labels as text."""

    name: str
    content: bytes
    text: str

    @property
    def size_bytes(self) -> int:
        return len(self.content) + len(self.text.encode()) + _ENTRY_BYTES + 2 * len(self.name.encode())


@dataclass(frozen=True)
class Piece:
    """A piece that was written, and what it holds."""

    path: Path
    size_bytes: int
    photos: int
    faces: int


def pack(dataset: Dataset, base: Path, out: Path, name: str, packing: Packing = Packing()) -> Iterator[Piece | str]:
    """Write the photos as `out/<name>-1.zip`, ...; gives each piece once it is there, and a line for each photo that cannot be
    read. Photos are named by their paths below `base`.

    Raises InputError where a photo alone is larger than a piece, or `out` cannot be written.
    """
    make_folder(out)
    waiting: list[_Packed] = []
    faces = size = number = 0
    for photo, packed in _packed_photos(dataset, base, packing):
        if isinstance(packed, str):
            yield packed
            continue
        if packed.size_bytes + 2 * _ENTRY_BYTES > packing.piece_bytes:
            raise InputError(f"{photo.path} takes {packed.size_bytes:,} bytes, more than a piece may have")
        if waiting and size + packed.size_bytes > packing.piece_bytes:
            number += 1
            yield _write(out / f"{name}-{number}{PIECE_SUFFIX}", waiting, faces)
            waiting, faces, size = [], 0, 0
        waiting.append(packed)
        faces += len(photo.labels.face_boxes)
        size = size + packed.size_bytes if len(waiting) > 1 else packed.size_bytes + 2 * _ENTRY_BYTES
    if waiting:
        yield _write(out / f"{name}-{number + 1}{PIECE_SUFFIX}", waiting, faces)


def _packed_photos(dataset: Dataset, base: Path, packing: Packing) -> Iterator[tuple[LabelledPhoto, _Packed | str]]:
    """Each photo in its turn, packed, or why it cannot be."""
    order = np.random.default_rng(_ORDER_SEED).permutation(len(dataset.photos)).tolist()
    names = _names(dataset, base)

    def one(index: int) -> tuple[LabelledPhoto, _Packed | str]:
        photo = dataset.photos[index]
        try:
            return photo, _pack_photo(photo, names[index], packing)
        except InputError as error:
            return photo, str(error)

    coming = iter(order)
    with ThreadPoolExecutor(packing.threads) as pool:
        while group := list(islice(coming, _AHEAD)):
            yield from pool.map(one, group)


def _names(dataset: Dataset, base: Path) -> list[str]:
    """Of each photo a name in its piece that no other has: its path, without folders called `images`."""
    taken: set[str] = set()
    names = []
    for photo in dataset.photos:
        path = photo.path.relative_to(base) if photo.path.is_relative_to(base) else Path(photo.path.name)
        stem = PurePosixPath(*[part for part in path.parts if part != _OUTSIDE]).with_suffix("")
        name, again = f"{stem}.webp", 1
        while name in taken:
            again += 1
            name = f"{stem}-{again}.webp"
        taken.add(name)
        names.append(name)
    return names


def _pack_photo(photo: LabelledPhoto, name: str, packing: Packing) -> _Packed:
    pixels = read_image(photo.path)
    height, width = pixels.shape[:2]
    scale = min(1.0, packing.long_side_px / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size != (width, height):
        pixels = scale_image(pixels, *size)
    exact = np.array([size[0] / width, size[1] / height], np.float32)
    return _Packed(name, encode_webp(pixels, packing.quality), labelv2_text(name, size, _scaled(photo.labels, exact)))


def _scaled(labels: Labels, scale: FloatArray) -> Labels:
    """The labels with x and y times `scale` [2]."""
    landmarks = labels.landmarks * np.append(scale, np.float32(1))
    return Labels(labels.boxes * np.tile(scale, 2), landmarks, labels.ignore)


def _write(path: Path, photos: list[_Packed], faces: int) -> Piece:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as file:
        # Without a date: equal photos give equal bytes.
        file.writestr(zipfile.ZipInfo(PIECE_LABELS), "".join(each.text for each in photos))
        for each in photos:
            file.writestr(zipfile.ZipInfo(f"images/{each.name}"), each.content)
    write_atomic(path, content.getvalue())
    return Piece(path, len(content.getvalue()), len(photos), faces)
