"""Compare detectors: how do ours stand beside published ones? Accuracy and latency on the same photos and machine, in one run.

Each sees photos as it is used: fitted into the input that it is timed at. Published files run at 640x480, as ours do, so that
nobody pays for borders; those that cannot (their shapes inside are of one size) run at their own. Latency is of the network
alone, one thread, all networks timed in turns, on this machine or on a device elsewhere.
"""

from collections.abc import Sequence
from pathlib import Path

from facenas.bench.record import new_record
from facenas.detector.face_detector import FaceDetector
from facenas.detector.published import Baseline, baselines_in
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.evaluation.comparison import SCHEMA, DetectorComparison, DetectorResult
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.evaluation.protocols import Detect, evaluate
from facenas.exporters.formats import description_of
from facenas.given import given_model
from facenas.progress import SILENT, Called, Progress
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.runtime import Load
from facenas.runtimes.timing import measure_latency
from facenas.steps.place import place_of
from facenas.units import DEFAULT_INPUT
from facenas.zoo import ZOO_NAMES, zoo_model

_ROUNDS = 30


def compare_detectors(
    own: Sequence[Path], models: Path | None, data: Path, device: str = "cpu", progress: Progress = SILENT
) -> DetectorComparison:
    """Judge and time the zoo's detectors, our exported files and the baselines of the folder `models` on `device`.

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
    detectors: list[tuple[str, bool, str, Detect]] = []
    networks: list[CompiledModel] = []
    with place_of(target, progress) as place:
        for path in (*map(zoo_model, ZOO_NAMES), *map(given_model, own)):
            size = description_of(path).input_size
            detector = FaceDetector(path, target, load=place.load)
            detectors.append((path.stem, True, f"{size}", detector))
            networks.append(detector.model)
        for path in baselines_in(models) if models is not None else []:
            baseline = _at_equal_area(path, target, place.load)
            detectors.append((baseline.name, False, f"{baseline.input_size}", baseline))
            networks.append(baseline.model)
        evaluations = [
            evaluate(detect, photos, Called(progress, f"evaluating {name}")) for name, _, _, detect in detectors
        ]
        for problem in evaluations[0].unread:  # the same of all
            progress.note(f"left out: {problem}")
        latencies = measure_latency(
            networks, rounds=_ROUNDS, input_size=DEFAULT_INPUT, progress=progress, what="timing in turns"
        )
        cpu = "an unknown machine" if place.fingerprint is None else place.fingerprint.cpu
    results = [
        DetectorResult(
            name,
            ours,
            size,
            round(evaluation.easy or 0.0, 5),
            round(evaluation.medium or 0.0, 5),
            round(evaluation.hard or 0.0, 5),
            round(latency.latency_ms, 3),
            round(latency.spread_ms, 3),
            latency.samples,
        )
        for (name, ours, size, _), evaluation, latency in zip(detectors, evaluations, latencies, strict=True)
    ]
    record = new_record({}, {}, quick=False, checkout=Path(__file__).parent)
    return DetectorComparison(
        SCHEMA,
        record.date,
        record.commit,
        cpu,
        record.versions,
        photos.name,
        len(photos.photos) - len(evaluations[0].unread),
        tuple(results),
        target.name,
        target.runtime,
    )


def _at_equal_area(path: Path, target: Target, load: Load) -> Baseline:
    """At our default input; a file that only runs at its own runs there."""
    try:
        return Baseline(path, DEFAULT_INPUT, target, load)
    except InputError:
        return Baseline(path, None, target, load)
