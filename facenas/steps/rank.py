"""Rank: candidates judged by short trainings, the better half trained on and on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facenas.errors import InputError
from facenas.given import given_checkpoint
from facenas.locks import only_one
from facenas.progress import SILENT, Progress
from facenas.ranking import halving
from facenas.ranking.contenders import gather_contenders
from facenas.ranking.halving import HalvingSettings, Ranking, plan_rungs
from facenas.ranking.workers import workers
from facenas.steps.synthetic import SYNTHETIC_RECIPE, write_synthetic_photos
from facenas.training.photos import TrainingPhotos, training_photos
from facenas.training.recipe import Recipe
from facenas.units import DEFAULT_INPUT, Size, as_size

FIRST_EPOCHS = 3
FIRST_EPOCHS_SYNTHETIC = 10


@dataclass(frozen=True)
class RankSettings:
    """`top`: how many of a search's best; `epochs` of the first rung, each further one doubles them (default: 3, on
    synthetic photos 10); `input_size` that is meant (default: the search's); `address`: a Ray cluster to join;
    `init`: a checkpoint, a folder with one or a name of the zoo that all start from (a supernet: its slices); `resume`: go on
    with the ranking in the folder; `strict`: refuse photos with any unusable label."""

    top: int = 8
    epochs: int | None = None
    input_size: str | Size | None = None
    address: str | None = None
    init: Path | str | None = None
    resume: bool = False
    strict: bool = False


def rank(
    architectures: Sequence[str] = (),
    data: Path | str | None = None,
    *,
    search: Path | str | None = None,
    val: Path | str | None = None,
    recipe: Recipe | None = None,
    settings: RankSettings = RankSettings(),
    out: Path | str = "runs/rank",
    progress: Progress = SILENT,
) -> Ranking:
    """Train the best candidates of `search` (search.json, or its folder) and `architectures` on labelled photos (default:
    synthetic ones), and put their accuracy beside their score.

    Raises InputError where there are not two of them, or `out` holds another ranking, TrainingError where none of them can
    be trained.
    """
    if search is None and not architectures:
        raise InputError("nothing to rank; name a search (--search DIR) or architectures (--arch ..., twice or more)")
    contenders = gather_contenders(None if search is None else Path(search), settings.top, architectures)
    by_default = FIRST_EPOCHS_SYNTHETIC if data is None else FIRST_EPOCHS
    first_epochs = by_default if settings.epochs is None else settings.epochs
    plan_rungs(len(contenders.entries), first_epochs)
    size = contenders.input_size or DEFAULT_INPUT
    if settings.input_size is not None:
        size = as_size(settings.input_size)
    if data is None and val is not None:
        raise InputError(f"--val {val} without --data; the synthetic set has its own")
    out = Path(out).resolve()  # workers may run elsewhere
    if not settings.resume and (out / "rank.json").exists():
        raise InputError(f"{out} already holds a ranking; go on with --resume or choose another --out")
    init = None if settings.init is None else given_checkpoint(settings.init).resolve()
    recipe = recipe or (SYNTHETIC_RECIPE if data is None else Recipe())
    details = {
        "data": "synthetic" if data is None else str(data),
        "val": None if val is None else str(val),
        "provenance": dict(contenders.provenance),
    }
    with only_one(out / "rank.lock", f"a ranking in {out}"), workers(settings.address) as (run_tasks, where):
        progress.note(where)
        photos = _photos(data, val, out / "data", settings, progress)
        ranking = halving.rank(
            contenders.entries,
            photos,
            HalvingSettings(recipe, first_epochs, size, settings.strict, init),
            out,
            run_tasks,
            progress,
            details=details,
        )
    results = (result for entry in ranking.ranked for result in entry.results)
    for line in dict.fromkeys(line for result in results for line in result.left_out):
        progress.note(f"left out: {line}")
    return ranking


def _photos(
    data: Path | str | None, val: Path | str | None, drawn: Path, settings: RankSettings, progress: Progress
) -> TrainingPhotos:
    """The photos that are given, by paths that workers elsewhere see, or a synthetic set in the folder `drawn`."""
    if data is None:
        if not (drawn / "val" / "labelv2.txt").exists():  # written last
            write_synthetic_photos(drawn, progress)
        photos = training_photos(drawn / "train", drawn / "val")
    else:
        validation = None if val is None else Path(val).resolve()
        photos = training_photos(Path(data).resolve(), validation, strict=settings.strict)
    for line in photos.notes:
        progress.note(line)
    return photos
