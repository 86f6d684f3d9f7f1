"""Verify: does an exported file answer like its reference, as fast as predicted?"""

from dataclasses import dataclass, replace
from pathlib import Path

from facenas.detector.face_detector import FaceDetector
from facenas.devices.fingerprint import differences
from facenas.devices.target import MODELLED_NAMES, Target
from facenas.devices.targets import resolve_target
from facenas.errors import InputError, TableError
from facenas.evaluation import verification
from facenas.evaluation.end_to_end import end_to_end_gate, measure_end_to_end
from facenas.evaluation.evaluation_set import EvaluationSet, load_evaluation_set, told_problems
from facenas.evaluation.gates import Tolerances
from facenas.evaluation.latency_check import check_latency, predict_latency
from facenas.evaluation.sustained import LONGEST_S, sustain
from facenas.evaluation.verification import Verification, require_same_architecture
from facenas.exporters.artefact import Description
from facenas.exporters.formats import description_of, format_of
from facenas.files import sha256_of
from facenas.given import given_checkpoint, given_model
from facenas.latency.table import LatencyTable
from facenas.latency.this_machine import Calibrate
from facenas.progress import SILENT, Progress
from facenas.runtimes.runtime import load_model, runtime_of
from facenas.steps.end_to_end import some_photos
from facenas.steps.place import is_reached, place_of
from facenas.steps.tables import open_tables
from facenas.units import LOW_PERCENTILE, LatencyBudget, as_latency_budget


@dataclass(frozen=True)
class VerifySettings:
    """`tolerances`: what the gates allow; `calibrate`: whether the table is made this machine's first; `sustained_s`: for how
    long the file is run without a pause, to see whether its latency lasts; `end_to_end`: the budget is for decoding the
    picture, letterbox and suppression, too."""

    tolerances: Tolerances = Tolerances()
    calibrate: Calibrate = Calibrate.ONCE
    sustained_s: float = 0.0
    end_to_end: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.sustained_s <= LONGEST_S:
            raise InputError(f"{self.sustained_s} s without a pause cannot be tried; give up to {LONGEST_S / 3600:g} h")


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
    budget = whole = None if latency is None else as_latency_budget(latency)
    if settings.end_to_end:
        budget = None  # of the network alone there is none
    description = description_of(artefact)
    target = resolve_target(device or description.target)
    require_same_architecture(reference, description)  # before anything is measured
    if settings.end_to_end and (not is_reached(target) or runtime_of(target).estimates):
        raise InputError(
            f"--end-to-end is measured where the file runs, and nothing runs it on '{target}'; leave it out"
        )
    photos = data if isinstance(data, EvaluationSet) else load_evaluation_set(Path(data))
    for line in told_problems(photos.problems):
        progress.note(line)
    percentile = LOW_PERCENTILE if budget is None else budget.percentile
    if not is_reached(target):
        opened = _table(target, description, table, percentile, Calibrate.NEVER, progress)
        budget_ms = None if budget is None else budget.limit_ms
        check = replace(predict_latency(description, target, opened), budget_ms=budget_ms, percentile=percentile)
        # Nothing runs there; the file's own target finds the faces.
        runs_it = None if target.elsewhere or target.name in MODELLED_NAMES else target
        found = verification.verify(artefact, reference, photos, check, settings.tolerances, progress, runs_it)
        return _with_hashes(found)
    opened = _table(target, description, table, percentile, settings.calibrate, progress)
    with place_of(target, progress) as place:
        if target.elsewhere and opened is not None and place.fingerprint is not None:
            for line in differences(opened.fingerprint, place.fingerprint):
                progress.note(f"the latency table of {target} was measured on another device or set-up: {line}")
        check = check_latency(
            artefact, target, opened, budget, progress, tolerances=settings.tolerances, load=place.load
        )
        if settings.sustained_s and check.measured_ms is not None:
            model = place.load(artefact, target)
            lasts = sustain(model, settings.sustained_s, description.input_size, progress)
            check = replace(check, sustained=lasts)
        # A target that only its compiler knows runs nothing.
        runs_it = None if runtime_of(target).estimates else target
        load = load_model if runs_it is None else place.load
        found = verification.verify(artefact, reference, photos, check, settings.tolerances, progress, runs_it, load)
        if settings.end_to_end:
            detector = FaceDetector(artefact, runs_it, load=load)
            found = _end_to_end(found, detector, photos, whole, settings.tolerances, progress)
        return _with_hashes(replace(found, device=place.fingerprint))


def _with_hashes(found: Verification) -> Verification:
    """The same with the SHA-256 of the files that were judged."""
    weights = format_of(found.artefact).weights_of(found.artefact)
    files = {"artefact": found.artefact, "weights": weights, "reference": found.reference}
    return replace(found, sha256={name: sha256_of(path) for name, path in files.items() if path is not None})


def _end_to_end(
    proof: Verification,
    detector: FaceDetector,
    photos: EvaluationSet,
    budget: LatencyBudget | None,
    tolerances: Tolerances,
    progress: Progress,
) -> Verification:
    """With what a user waits for, and the budget for that in the place of the network's."""
    percentile = LOW_PERCENTILE if budget is None else budget.percentile
    some = some_photos(photos.photos)
    measured = measure_end_to_end(detector.pipeline, some, percentile=percentile, progress=progress)
    gates = proof.gates
    if budget is not None:
        gates = (*gates[:-1], end_to_end_gate(measured, budget, tolerances.budget_percent))
    return replace(proof, gates=gates, end_to_end=measured)


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
