"""Appraise: a few hundred slices of a supernet judged on labelled photos, and what that says of all others."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facenas.accuracy.accuracy_table import (
    SCHEMA,
    AccuracyTable,
    PhotoFacts,
    SupernetFacts,
    fit_figures,
    save_accuracy_table,
)
from facenas.accuracy.appraisal import MIN_SCORE, JudgedSlice, SliceJudge, random_members
from facenas.data.face_sizes import OCTAVE_NAMES, face_sizes_px, octave_counts
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import EvaluationSet, load_evaluation_set, told_problems
from facenas.given import given_checkpoint
from facenas.line_journal import LineJournal
from facenas.locks import only_one
from facenas.networks.norm_photos import NORM_CROPS, NormPhotos, choose_norm_photos
from facenas.networks.slices import Supernet, open_supernet
from facenas.progress import SILENT, Progress
from facenas.spaces.elastic_space import ElasticSpace
from facenas.typed_json import read_as
from facenas.units import DEFAULT_INPUT, Size, as_size

MIN_SLICES = 10
_PROTOCOL = f"photos scaled to the long side of the input, scores from {MIN_SCORE}, WIDER FACE's average precision"


@dataclass(frozen=True)
class AppraiseSettings:
    """`inputs`: sizes whose long side photos are scaled to; `photos`: folder for the slices' norms (default: the photos
    judged on, whose labels take no part in that), `crops` crops of them; `seed` of the slices' choice; `resume`: keep what
    was judged before a stop."""

    inputs: Sequence[str | Size] = (DEFAULT_INPUT,)
    photos: Path | str | None = None
    crops: int = NORM_CROPS
    seed: int = 0
    resume: bool = False


def default_table_path(supernet: Path | str) -> Path:
    """Where the accuracy table of a supernet is written: beside its checkpoint."""
    path = Path(supernet)
    return (given_checkpoint(path) if path.is_dir() else path).with_suffix(".accuracy.json")


def appraise(
    supernet: Path | str,
    data: Path | str,
    *,
    slices: int = 200,
    settings: AppraiseSettings = AppraiseSettings(),
    out: Path | str | None = None,
    space: ElasticSpace | None = None,
    progress: Progress = SILENT,
) -> AccuracyTable:
    """Judge `slices` random slices of `supernet`, a checkpoint or a folder with one, on the labelled photos of `data`, which
    should have taken no part in its training, and write the accuracy table to `out` (default: `default_table_path`).

    `space`: what the supernet is of (default: the space of the name that it gives). Raises InputError for unusable files
    or words, and where the slices are too few for what is fitted to them.
    """
    if slices < MIN_SLICES:
        raise InputError(f"of {slices} slices no error can be told; ask for 200, at least {MIN_SLICES}")
    source = open_supernet(given_checkpoint(supernet), space)
    inputs = [as_size(size) for size in settings.inputs]
    judge = SliceJudge(load_evaluation_set(Path(data)), inputs)
    photos = judge.photos
    out = default_table_path(supernet) if out is None else Path(out)
    norms = choose_norm_photos(Path(settings.photos or data), settings.crops)
    facts = SupernetFacts(source.file, source.sha256, source.space.name, source.space.digest)
    photo_facts = _facts_of(photos)
    for line in (*told_problems(photos.problems), *(f"left out: {problem}" for problem in judge.problems)):
        progress.note(line)
    for name, count in photo_facts.faces.items():
        if not count:
            progress.note(f"no face of {name} counts in {photos.name}: of that size the table will say nothing")
    plan = {
        "supernet": asdict(facts),
        "photos": asdict(photo_facts),
        "inputs": [str(size) for size in inputs],
        "norms": norms.to_json(),
        "seed": settings.seed,
    }
    with only_one(out.with_name(f"{out.name}.lock"), f"an appraisal into {out}"):
        journal = LineJournal(out.with_name(f"{out.name}.journal"), plan, "appraisal", resume=settings.resume)
        judged = _judge(source, judge, norms, slices, settings.seed, journal, progress)
        figures = fit_figures(judged, source.space)
        table = AccuracyTable(
            SCHEMA, facts, photo_facts, _PROTOCOL, norms.to_json(), settings.seed, figures, tuple(judged)
        )
        save_accuracy_table(table, out)
        journal.remove()
    return table


def _judge(
    supernet: Supernet,
    judge: SliceJudge,
    norms: NormPhotos,
    count: int,
    seed: int,
    journal: LineJournal,
    progress: Progress,
) -> list[JudgedSlice]:
    """The first `count` random slices, those in the journal as they stand there."""
    if journal.words is not None:
        progress.note(journal.words)
    entries = [read_as(JudgedSlice, entry, "the journal of the appraisal") for entry in journal.entries]
    before = {entry.architecture: entry for entry in entries}
    judged = []
    batches = list(norms.batches())
    for index, member in enumerate(random_members(supernet.space, count, seed)):
        if str(member) not in before:
            before[str(member)] = judge(supernet.slice(member, batches, norms.to_json()))
            journal.append(asdict(before[str(member)]))
        judged.append(before[str(member)])
        progress(index + 1, count, "judging slices")
    return judged


def _facts_of(photos: EvaluationSet) -> PhotoFacts:
    digest = hashlib.sha256()
    sizes: list[Any] = [np.zeros(0)]
    for truth in photos.ground_truth:
        counted = truth.counted[photos.settings[-1]]
        digest.update(truth.name.encode(errors="surrogateescape") + truth.boxes.tobytes() + counted.tobytes())
        sizes.append(face_sizes_px(truth.boxes[counted], truth.width_px, truth.height_px))
    faces = dict(zip(OCTAVE_NAMES, octave_counts(np.concatenate(sizes)).tolist(), strict=True))
    return PhotoFacts(photos.name, digest.hexdigest(), len(photos.photos), faces)
