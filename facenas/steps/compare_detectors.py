"""Compare detectors: how do ours stand beside published ones? Accuracy and latency on the same photos and machine, in one run.

Each sees photos as it is used: fitted into the input that it is timed at. Ours run at the input that they are for, published
files at 640x480, so that nobody pays for borders; those that cannot (their shapes inside are of one size) run at their own. At
further inputs all run that can. Latency is of the network alone, one thread, all networks timed in turns, on this machine or on
a device elsewhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from facenas.bench.record import new_record
from facenas.detector.face_detector import FaceDetector
from facenas.detector.many_photos import Detect
from facenas.detector.published import Baseline, baselines_in
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.evaluation.comparison import SCHEMA, DetectorComparison, DetectorResult
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.evaluation.protocols import evaluate
from facenas.evaluation.wider import Evaluation
from facenas.exporters.formats import description_of
from facenas.given import given_model
from facenas.progress import SILENT, Called, Progress
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.runtime import Load
from facenas.runtimes.timing import Latency, measure_latency
from facenas.steps.export import ExportSettings, export
from facenas.steps.place import place_of
from facenas.units import DEFAULT_INPUT, Size
from facenas.zoo import ZOO_NAMES, zoo_checkpoint, zoo_model

_ROUNDS = 30


@dataclass(frozen=True)
class _Entry:
    """A detector at one input."""

    name: str
    ours: bool
    size: Size
    detect: Detect
    network: CompiledModel
    usual: bool = True


def compare_detectors(
    own: Sequence[Path],
    models: Path | None,
    data: Path,
    device: str = "cpu",
    inputs: Sequence[Size] = (),
    progress: Progress = SILENT,
) -> DetectorComparison:
    """Judge and time the zoo's detectors, our exported files and the baselines of the folder `models` on `device`; those of the
    zoo and published ones also at `inputs`.

    Raises InputError for unusable files, for photos without WIDER FACE's easy, medium and hard, and for a device that runs no
    float32 files, DeviceError for one that cannot be reached.
    """
    target = resolve_target(device)
    if target.precision not in ("fp32", "bf16"):
        raise InputError(
            f"device '{target}' computes {target.precision}, and published detectors are float32 files; name another"
        )
    photos = load_evaluation_set(data)
    if not photos.official:
        raise InputError(f"{data} has no easy, medium and hard faces; give WIDER FACE val with its .mat files")
    with place_of(target, progress) as place:
        detectors = [
            *_ours(own, target, place.load, inputs),
            *_published(baselines_in(models) if models is not None else [], target, place.load, inputs, progress),
        ]
        evaluations = [
            evaluate(each.detect, photos, Called(progress, f"evaluating {each.name} at {each.size}"))
            for each in detectors
        ]
        for problem in evaluations[0].unread:  # the same of all
            progress.note(f"left out: {problem}")
        latencies = measure_latency(
            [each.network for each in detectors],
            rounds=_ROUNDS,
            input_size=DEFAULT_INPUT,
            progress=progress,
            what="timing in turns",
        )
        cpu = "an unknown machine" if place.fingerprint is None else place.fingerprint.cpu
    results = tuple(map(_result, detectors, evaluations, latencies))
    record = new_record({}, {}, quick=False, checkout=Path(__file__).parent)
    return DetectorComparison(
        SCHEMA,
        record.date,
        record.commit,
        cpu,
        record.versions,
        photos.name,
        len(photos.photos) - len(evaluations[0].unread),
        results,
        target.name,
        target.runtime,
    )


def _result(each: _Entry, evaluation: Evaluation, latency: Latency) -> DetectorResult:
    """The figures, rounded as they are written."""
    return DetectorResult(
        each.name,
        each.ours,
        f"{each.size}",
        round(evaluation.easy or 0.0, 5),
        round(evaluation.medium or 0.0, 5),
        round(evaluation.hard or 0.0, 5),
        round(latency.latency_ms, 3),
        round(latency.spread_ms, 3),
        latency.samples,
        each.usual,
    )


def _ours(own: Sequence[Path], target: Target, load: Load, inputs: Sequence[Size]) -> Iterator[_Entry]:
    """The zoo's detectors at their inputs and at `inputs`, and files of one's own at theirs."""
    for path in (*map(zoo_model, ZOO_NAMES), *map(given_model, own)):
        size = description_of(path).input_size
        detector = FaceDetector(path, target, load=load)
        yield _Entry(path.stem, True, size, detector, detector.model)
    for name in ZOO_NAMES:
        for size in inputs:
            if size == description_of(zoo_model(name)).input_size:
                continue
            with TemporaryDirectory(prefix="facenas-") as folder:
                settings = ExportSettings(input_size=size)
                path = export(zoo_checkpoint(name), settings=settings, out=Path(folder) / "model.onnx").path
                detector = FaceDetector(path, target, load=load)
            yield _Entry(name, True, size, detector, detector.model, usual=False)


def _published(
    paths: Sequence[Path], target: Target, load: Load, inputs: Sequence[Size], progress: Progress
) -> Iterator[_Entry]:
    """Published detectors at 640x480 and at `inputs`; a file that only runs at its own size runs there."""
    for path in paths:
        baseline, refused = None, []
        for size in dict.fromkeys((DEFAULT_INPUT, *inputs)):
            try:
                baseline = Baseline(path, size, target, load)
            except InputError:
                refused.append(f"{size}")
                continue
            yield _Entry(baseline.name, False, size, baseline, baseline.model, usual=size == DEFAULT_INPUT)
        if baseline is None:
            baseline = Baseline(path, None, target, load)
            yield _Entry(baseline.name, False, baseline.input_size, baseline, baseline.model)
        if refused and inputs:
            progress.note(f"{baseline.name} cannot be re-shaped to {', '.join(refused)}")
