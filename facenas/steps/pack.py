"""Pack: labelled photos into pieces that are small enough to carry, each a set of its own."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facenas.data.packed import Packing, Piece
from facenas.data.packed import pack as pack_photos
from facenas.data.pieces import PIECE_SUFFIX
from facenas.data.source import open_dataset
from facenas.devices.cpu import cores
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import told_problems
from facenas.progress import SILENT, Progress
from facenas.shown import Rows, Shown
from facenas.units import in_megabytes


@dataclass(frozen=True, repr=False)
class Pack(Shown):
    """The pieces that were written, and the photos that could not be read, one line each."""

    pieces: tuple[Piece, ...]
    unread: tuple[str, ...] = ()

    def line(self) -> str:
        """How many, how large."""
        photos = sum(piece.photos for piece in self.pieces)
        size = in_megabytes(sum(piece.size_bytes for piece in self.pieces))
        return f"{photos:,} photos in {len(self.pieces)} pieces, {size}"

    def shown(self) -> tuple[Rows, ...]:
        """A row a piece."""
        rows = tuple(
            (str(piece.path), in_megabytes(piece.size_bytes), f"{piece.photos:,}", f"{piece.faces:,}")
            for piece in self.pieces
        )
        return (Rows(self.line(), ("piece", "size", "photos", "faces"), rows),)

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        pieces = [{**asdict(piece), "path": str(piece.path)} for piece in self.pieces]
        return {"pieces": pieces, "unread": list(self.unread)}


def pack(
    data: Path | str,
    out: Path | str,
    *,
    name: str = "photos",
    packing: Packing | None = None,
    progress: Progress = SILENT,
) -> Pack:
    """Pack the labelled photos of `data` into `out/<name>-1.zip` and so on; every verb takes one of them, or the folder, as
    its `--data`.

    Raises InputError for unusable photos, and where `out` already holds pieces of that name.
    """
    data, out = Path(data), Path(out)
    packing = packing or Packing(threads=cores())
    if there := sorted(out.glob(f"{name}-*{PIECE_SUFFIX}")):
        raise InputError(f"{there[0]} is already there; remove it, or choose another --out or --name")
    dataset = open_dataset(data)
    for line in told_problems(dataset.problems):
        progress.note(line)
    pieces: list[Piece] = []
    unread: list[str] = []
    for each in pack_photos(dataset, data, out, name, packing):
        if isinstance(each, str):
            unread.append(each)
            progress.note(f"left out: {each}")
        else:
            pieces.append(each)
            done = sum(piece.photos for piece in pieces) + len(unread)
            progress(done, len(dataset.photos), "packing")
    if not pieces:
        raise InputError(f"none of the {len(dataset.photos)} photos of {dataset.name} can be read, first: {unread[0]}")
    return Pack(tuple(pieces), tuple(unread))
