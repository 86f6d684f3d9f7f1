"""Slice: one detector of a supernet as a checkpoint of its own, without training."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from facenas.architecture import Architecture
from facenas.checkpoint import save_checkpoint
from facenas.files import require_no_input, sha256_of
from facenas.given import given_architecture, given_checkpoint
from facenas.networks.norm_photos import NORM_CROPS, choose_norm_photos
from facenas.networks.slices import open_supernet
from facenas.progress import SILENT, Progress
from facenas.shown import Rows, Shown, figures
from facenas.spaces.elastic_space import ElasticSpace


@dataclass(frozen=True, repr=False)
class Slice(Shown):
    """`checkpoint`: the file, which every other verb takes like a training's; `photos`: what the norms are of."""

    checkpoint: Path
    architecture: str
    sha256: str
    supernet: str
    photos: str
    crops: int

    def line(self) -> str:
        """The file and what it holds."""
        return f"{self.checkpoint}: {self.architecture} of {self.supernet}"

    def shown(self) -> tuple[Rows, ...]:
        """All figures."""
        return (figures("cut", tuple((name, str(value)) for name, value in self.to_json().items())),)

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        return {**asdict(self), "checkpoint": str(self.checkpoint)}


def slice(  # the verb's name; the builtin is not needed here
    supernet: Path | str,
    architecture: str | Architecture,
    *,
    photos: Path | str | None = None,
    crops: int = NORM_CROPS,
    out: Path | str = "slice.safetensors",
    space: ElasticSpace | None = None,
    progress: Progress = SILENT,
) -> Slice:
    """Cut `architecture` (a block string, a file holding one) out of `supernet`, a checkpoint or a folder with one,
    its norms estimated on `crops` crops of the photos below the folder `photos`: no labels are needed; without it, synthetic
    ones. It has landmarks where the supernet has.

    `space`: what the supernet is of (default: the space of the name that it gives). Raises InputError where the
    architecture is no member of it, the file no supernet, or the photos are too few.
    """
    require_no_input(Path(out), [Path(supernet)])
    source = open_supernet(given_checkpoint(supernet), space)
    member = replace(given_architecture(architecture).architecture, landmarks=source.space.landmarks)
    source.space.require(member)  # before any photo is read
    chosen = choose_norm_photos(None if photos is None else Path(photos), crops)
    if chosen.folder is None:
        progress.note("norms from synthetic photos cost about .04 of AP; for real faces give real ones with --photos")
    for problem in chosen.problems:
        progress.note(f"left out: {problem}")
    checkpoint = source.slice(member, chosen.batches(), chosen.to_json())
    out = Path(out)
    save_checkpoint(out, checkpoint)
    return Slice(out, str(member), sha256_of(out), source.file, chosen.to_json()["photos"], crops)
