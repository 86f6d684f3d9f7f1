"""Verify: does an exported file answer like its reference, as fast as predicted?"""

from dataclasses import dataclass, replace
from pathlib import Path

from facenas.devices.target import MODELLED_NAMES, Target
from facenas.devices.targets import resolve_target
from facenas.errors import TableError
from facenas.evaluation import verification
from facenas.evaluation.evaluation_set import EvaluationSet, load_evaluation_set, told_problems
from facenas.evaluation.gates import Tolerances
from facenas.evaluation.latency_check import check_latency, predict_latency
from facenas.evaluation.verification import Verification, require_same_architecture
from facenas.exporters.artefact import Description
from facenas.exporters.formats import description_of
from facenas.given import given_checkpoint, given_model
from facenas.latency.table import LatencyTable
from facenas.latency.this_machine import Calibrate
from facenas.progress import SILENT, Progress
from facenas.runtimes.runtime import runtime_of, why_unavailable
from facenas.steps.tables import open_tables
from facenas.units import LOW_PERCENTILE, LatencyBudget, as_latency_budget


@dataclass(frozen=True)
class VerifySettings:
    """`tolerances`: what the gates allow; `calibrate`: whether the table is made this machine's first."""

    tolerances: Tolerances = Tolerances()
    calibrate: Calibrate = Calibrate.ONCE


def verify(
    artefact: Path | str,
    reference: Path | str,
    data: Path | str | EvaluationSet,
    *,
    device: str | None = None,
    latency: str | float | LatencyBudget | None = None,
    table: Path | str | LatencyTable | None = None,
    settings: VerifySettings = VerifySettings(),
    progress: Progress = SILENT,
) -> Verification:
    """Put an exported file, or that of a run folder, through all gates, against `reference` (a checkpoint, a folder with one, a
    name of the zoo, or another export) on labelled photos.

    `device` runs it (default: the target that the file names); `latency`: its budget, `5ms`, `5ms@p90` or milliseconds;
    `table` predicts its latency (default: the shipped one). Raises InputError for unusable files or words.
    """
    artefact, reference = given_model(artefact), given_checkpoint(reference)
    budget = None if latency is None else as_latency_budget(latency)
    description = description_of(artefact)
    target = resolve_target(device or description.target)
    require_same_architecture(reference, description)  # before anything is measured
    photos = data if isinstance(data, EvaluationSet) else load_evaluation_set(Path(data))
    for line in told_problems(photos.problems):
        progress.note(line)
    percentile = LOW_PERCENTILE if budget is None else budget.percentile
    if why_unavailable(target) is None:
        opened = _table(target, description, table, percentile, settings.calibrate, progress)
        check = check_latency(artefact, target, opened, budget, progress, tolerances=settings.tolerances)
    else:
        opened = _table(target, description, table, percentile, Calibrate.NEVER, progress)
        budget_ms = None if budget is None else budget.limit_ms
        check = replace(predict_latency(description, target, opened), budget_ms=budget_ms, percentile=percentile)
    # A target that only its compiler knows runs nothing, nor does a board elsewhere: the file's own target finds the faces.
    not_here = target.elsewhere or target.name in MODELLED_NAMES
    runs_it = None if runtime_of(target).estimates or not_here else target
    return verification.verify(artefact, reference, photos, check, settings.tolerances, progress, runs_it)


def _table(
    target: Target,
    description: Description,
    given: Path | str | LatencyTable | None,
    percentile: int,
    calibrate: Calibrate,
    progress: Progress,
) -> LatencyTable | None:
    """The table that the latency is predicted from; None where there is none, unless one was given."""
    try:
        return open_tables(
            [target.name],
            [] if given is None else [given],
            [description.input_size],
            description.detector,
            percentiles={target.name: percentile},
            calibrate=calibrate,
            progress=progress,
        )[target.name]
    except TableError as error:
        if given is not None:
            raise
        progress.note(str(error))
        return None
