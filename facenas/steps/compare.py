"""Compare: one checkpoint as every file that the named targets run, put through the same gates and timed in turns.

Each file is exported as `export` does it, in the format and precision of its target, and judged as `verify` does it. Where
one cannot be made or run, its line says why, and the others go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from facenas.devices.cpu import cpu_model
from facenas.devices.target import NAMED_TARGETS, Target
from facenas.devices.targets import resolve_target
from facenas.errors import FacenasError, InputError
from facenas.evaluation.evaluation_set import EvaluationSet, load_evaluation_set
from facenas.evaluation.format_comparison import FormatComparison, FormatResult
from facenas.evaluation.gates import Tolerances
from facenas.exporters.artefact import PRECISIONS, Artefact
from facenas.exporters.formats import FORMATS
from facenas.files import write_json
from facenas.given import given_checkpoint
from facenas.latency.this_machine import Calibrate
from facenas.progress import SILENT, Progress
from facenas.report.format_page import write_formats
from facenas.runtimes.runtime import load_model, runtime_of, why_unavailable
from facenas.runtimes.timing import measure_latency
from facenas.steps.export import ExportSettings, export
from facenas.steps.verify import VerifySettings, verify
from facenas.units import LatencyBudget, as_latency_budget

_ROUNDS = 20


@dataclass(frozen=True)
class CompareSettings:
    """`export`: how files are made (input size, calibration photos); `tolerances`: what the gates allow; `calibrate`: whether
    the tables are made this machine's first."""

    export: ExportSettings = field(default_factory=ExportSettings)
    tolerances: Tolerances = Tolerances()
    calibrate: Calibrate = Calibrate.ONCE


def compare(
    checkpoint: Path | str,
    data: Path | str | EvaluationSet,
    *,
    devices: Sequence[str] = (),
    precisions: Sequence[str] = (),
    latency: str | float | LatencyBudget | None = None,
    settings: CompareSettings = CompareSettings(),
    out: Path | str = "runs/compare",
    progress: Progress = SILENT,
) -> FormatComparison:
    """Compare the files of `checkpoint`, or of a name of the zoo, for `devices` (default: all that this machine can use) in
    `precisions` (default: all), judged on the labelled photos `data` and against the budget `latency`.

    The files stay in the folder `out`, beside `compare.json` and `compare.html`. Raises InputError for unusable words.
    """
    checkpoint, out = given_checkpoint(checkpoint), Path(out)
    budget = None if latency is None else as_latency_budget(latency)
    targets = _targets(devices, precisions)
    photos = data if isinstance(data, EvaluationSet) else load_evaluation_set(Path(data))
    results: list[FormatResult] = []
    for index, target in enumerate(targets):
        progress(index, len(targets), f"exporting for {target}")
        results.append(_exported(checkpoint, target, settings.export, out, progress))
    results = _timed(results, out, progress)
    for index, each in enumerate(results):
        if not each.problem:
            results[index] = _judged(each, out, checkpoint, photos, budget, settings, progress)
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    comparison = FormatComparison(date, cpu_model(), checkpoint.name, photos.name, tuple(results))
    write_json(out / "compare.json", comparison.to_json())
    write_formats(comparison, out / "compare.html")
    return comparison


def _targets(devices: Sequence[str], precisions: Sequence[str]) -> list[Target]:
    """Raises InputError for a precision that there is not, and where no target is left."""
    if odd := [precision for precision in precisions if precision not in PRECISIONS]:
        raise InputError(f"no precision '{odd[0]}'; there are {', '.join(PRECISIONS)}")
    named = [resolve_target(name) for name in dict.fromkeys(devices)]
    if refused := [target for target in named if target.precision not in runtime_of(target).formats]:
        raise InputError(f"no file is made for device '{refused[0]}'; leave it out")
    usable = named or [
        target
        for target in NAMED_TARGETS
        if target.precision in runtime_of(target).formats
        and not runtime_of(target).estimates
        and why_unavailable(target) is None
    ]
    chosen = [target for target in usable if not precisions or target.precision in precisions]
    if not chosen:
        raise InputError(f"none of the devices computes {', '.join(precisions)}; name others with --device")
    return chosen


def _exported(
    checkpoint: Path, target: Target, settings: ExportSettings, out: Path, progress: Progress
) -> FormatResult:
    file_format = runtime_of(target).formats[target.precision]
    result = FormatResult(target.name, file_format, target.precision)
    path = out / f"{target.name}{FORMATS[file_format].suffix}"
    if runtime_of(target).on_gpu:
        settings = replace(settings, device=target.name)
    try:
        artefact: Artefact = export(
            checkpoint, file_format, target.precision, settings=settings, out=path, progress=progress
        )
    except FacenasError as error:
        return replace(result, problem=str(error))
    return replace(result, file=artefact.path.name, size_bytes=artefact.size_bytes, operators=dict(artefact.operators))


def _timed(results: Sequence[FormatResult], out: Path, progress: Progress) -> list[FormatResult]:
    """With the latencies of those that this machine can run, all timed in turns."""
    timed, models = list(results), []
    for index, each in enumerate(results):
        target = resolve_target(each.target)
        if each.problem or runtime_of(target).estimates or why_unavailable(target) is not None:
            continue
        try:
            models.append((index, load_model(out / each.file, target)))
        except FacenasError as error:
            timed[index] = replace(each, problem=str(error))
    latencies = measure_latency(
        [model for _, model in models], rounds=_ROUNDS, progress=progress, what="timing in turns"
    )
    for (index, _), latency in zip(models, latencies, strict=True):
        latency_ms, spread_ms = round(latency.latency_ms, 3), round(latency.spread_ms, 3)
        timed[index] = replace(timed[index], latency_ms=latency_ms, spread_ms=spread_ms)
    return timed


def _judged(
    each: FormatResult,
    out: Path,
    checkpoint: Path,
    photos: EvaluationSet,
    budget: LatencyBudget | None,
    settings: CompareSettings,
    progress: Progress,
) -> FormatResult:
    """With its gates."""
    try:
        proof = verify(
            out / each.file,
            checkpoint,
            photos,
            device=each.target,
            latency=budget,
            settings=VerifySettings(settings.tolerances, settings.calibrate),
            progress=progress,
        )
    except FacenasError as error:
        return replace(each, problem=str(error))
    latency_ms = proof.latency.measured_ms if each.latency_ms is None else each.latency_ms
    return replace(each, gates=proof.gates, ap=proof.ap, latency=proof.latency, latency_ms=latency_ms)
