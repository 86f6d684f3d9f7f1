"""What does it gain to choose the input, too? The front of AP against milliseconds with inputs free and at 640x480 alone.

    python benchmarks/inputs_frontier.py --data WIDER_VAL --photos PHOTOS [--models BASELINES] [--points 20] [--out F]

Both fronts are those of exact sweeps over the elastic space, AP predicted by its accuracy table, milliseconds by the latency
table of `--device`. Points of the free front, evenly from the cheapest to the dearest by the logarithm of their latency, are
cut out of the supernet and judged on labelled photos at their inputs; `--exported` of them are exported, too, and timed in
turns with the published YuNet re-shaped to several inputs, which are judged on the same photos. Times are at the table's
pace (facenas/runtimes/companion.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from script import about_this_run, run_script

from facenas.accuracy.accuracy_table import AccuracyTable, load_accuracy_table
from facenas.accuracy.appraisal import SliceJudge
from facenas.accuracy.predicted_ap import judged_long_sides_px, predicted_ap
from facenas.architecture import parse_architecture
from facenas.checkpoint import save_checkpoint
from facenas.cli.bar import progress_bar
from facenas.cli.output import print_table
from facenas.detector.published import Baseline
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import EvaluationSet, load_evaluation_set
from facenas.evaluation.latency_check import Pace
from facenas.evaluation.protocols import evaluate
from facenas.files import write_atomic, write_json
from facenas.latency.table import LatencyTable
from facenas.latency.this_machine import TableRequest, table_of_this_machine
from facenas.networks.norm_photos import choose_norm_photos
from facenas.networks.slices import open_supernet
from facenas.progress import Progress
from facenas.report.axes import axis_over
from facenas.report.charts import Series, line_chart
from facenas.report.markup import section
from facenas.report.page import page
from facenas.runtimes.runtime import load_model
from facenas.runtimes.timing import measure_latency
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.any_input import AnyInput
from facenas.searching.budgets import Budgets
from facenas.searching.costs import TableModel
from facenas.searching.dominance import pareto_front
from facenas.searching.exact import ExactSearch
from facenas.searching.objective import Objective
from facenas.searching.problem import Problem
from facenas.spaces.elastic_space import elastic_space
from facenas.steps.export import ExportSettings, export
from facenas.units import DEFAULT_INPUT, Size
from facenas.zoo import zoo_accuracy_table, zoo_supernet

SPACE = "facenas-elastic"
YUNETS = ("yunet_n_640_640.onnx", "yunet_s_640_640.onnx")
YUNET_INPUTS = (Size(640, 480), Size(512, 384), Size(320, 256))
SETTINGS = ("easy", "medium", "hard")


@dataclass(frozen=True)
class Point:
    """A network at an input: predicted, and where it was looked at, judged and measured."""

    input: str
    architecture: str
    latency_ms: float
    ap: float
    error_90: float
    judged_ap: float | None = None
    measured_ms: float | None = None


def fronts(
    device: str, table: LatencyTable, accuracy: AccuracyTable, sizes: Sequence[Size], progress: Progress
) -> tuple[list[Point], list[Point]]:
    """The front over all inputs, and that at 640x480 alone, cheapest first."""
    space = elastic_space(SPACE).space
    points: list[Point] = []
    for index, size in enumerate(sizes):
        known = predicted_ap(accuracy, size)
        models = {device: TableModel(table, input_size=size)}
        problem = Problem(space, ScoreSettings(), size, models, Budgets({}), Objective.ACCURACY, 0, known.model)
        front = ExactSearch(problem).frontier(problem.tie_breakers[0])
        latencies = front.costs[:, problem.tie_breakers[0]] + problem.constants[problem.tie_breakers[0]]
        for latency_ms, score, path in zip(latencies, front.score, front.path, strict=True):
            ap = float(score) + problem.base_value
            detector = problem.detector([int(each) for each in path])
            points.append(Point(str(size), str(detector), float(latency_ms), ap, known.facts.error_90))
        progress(index + 1, len(sizes), "sweeping")
    alone = sorted((point for point in points if point.input == str(DEFAULT_INPUT)), key=lambda point: point.latency_ms)
    keep = pareto_front(np.array([point.latency_ms for point in points]), np.array([point.ap for point in points]))
    return sorted((points[index] for index in keep), key=lambda point: point.latency_ms), alone


def spread(points: Sequence[Point], count: int) -> list[Point]:
    """Points evenly along the logarithm of the latency, none twice."""
    latencies = np.log([point.latency_ms for point in points])
    wanted = np.linspace(latencies[0], latencies[-1], count)
    return [points[index] for index in dict.fromkeys(int(np.abs(latencies - each).argmin()) for each in wanted)]


def judge(
    points: Sequence[Point], photos: EvaluationSet, norms: Path, exported: int, folder: Path, progress: Progress
) -> tuple[list[Point], list[tuple[Point, Path]]]:
    """The points with the AP of their slices, and `exported` of them as files in `folder`."""
    supernet = zoo_supernet(SPACE)
    if supernet is None:
        raise InputError(f"no supernet of {SPACE} ships with this checkout")
    source, chosen = open_supernet(supernet), choose_norm_photos(norms)
    batches = list(chosen.batches())
    export_at = set(np.linspace(0, len(points) - 1, exported).astype(int).tolist())
    judged, files = [], []
    for index, point in enumerate(points):
        checkpoint = source.slice(parse_architecture(point.architecture), batches, chosen.to_json())
        width, height = map(int, point.input.split("x"))
        ap = SliceJudge(photos, [Size(width, height)])(checkpoint).precision[point.input]["mean"]
        judged.append(replace(point, judged_ap=ap))
        if index in export_at:
            weights, model = folder / f"{index}.safetensors", folder / f"{index}.onnx"
            save_checkpoint(weights, checkpoint)
            export(weights, settings=ExportSettings(point.input), out=model)
            files.append((judged[-1], model))
        progress(index + 1, len(points), "judging slices")
    return judged, files


def picture(free: Sequence[Point], alone: Sequence[Point], published: Sequence[Mapping[str, Any]]) -> str:
    """A page with both fronts and the published detectors: mean AP against latency."""
    lines = [
        Series("any input, judged", tuple((p.latency_ms, p.judged_ap or 0.0) for p in free), dots=True),
        Series("640x480 alone, predicted", tuple((p.latency_ms, p.ap) for p in alone), dots=True),
    ]
    for name in sorted({each["name"] for each in published}):
        found = sorted(
            (each["measured_ms"], fmean(each[s] for s in SETTINGS)) for each in published if each["name"] == name
        )
        lines.append(Series(f"{name} at {len(found)} inputs", tuple(found), dots=True))
    xs, ys = zip(*(point for line in lines for point in line.points), strict=True)
    x = axis_over("latency, ms (log scale)", xs, logarithmic=True)
    chart = line_chart("AP against latency", x, axis_over("mean AP of easy, medium, hard", ys), lines, wide_px=960)
    return page("The front with inputs free", section("front", "The front with inputs free", chart))


def main(
    data: Annotated[Path, typer.Option(help="labelled photos, with WIDER FACE's easy, medium and hard")],
    photos: Annotated[Path, typer.Option(help="other photos, for the norms of the slices")],
    models: Annotated[Path | None, typer.Option(help="folder with the published YuNet files")] = None,
    device: Annotated[str, typer.Option(help="target of the latencies")] = "cpu",
    accuracy: Annotated[Path | None, typer.Option(help="accuracy table (default: the one that ships)")] = None,
    points: Annotated[int, typer.Option(help="how many points are judged")] = 20,
    exported: Annotated[int, typer.Option(help="how many of them are exported and timed")] = 5,
    out: Annotated[
        Path | None, typer.Option(help="file for the result; a page that draws it is written beside it")
    ] = None,
) -> None:
    """Sweep, judge, export, time."""
    accuracy = accuracy or zoo_accuracy_table(SPACE)
    if accuracy is None:
        raise InputError(f"no accuracy table of {SPACE} ships with this checkout; give one with --accuracy")
    judged_on, known, target = load_evaluation_set(data), load_accuracy_table(accuracy), resolve_target(device)
    sizes = AnyInput().sizes(*judged_long_sides_px(known))
    with progress_bar() as progress, TemporaryDirectory() as temporary:
        table = table_of_this_machine(TableRequest(target, sizes, elastic_space(SPACE).space), progress)
        free, alone = fronts(device, table, known, sizes, progress)
        judged, files = judge(spread(free, points), judged_on, photos, exported, Path(temporary), progress)
        names = [models / name for name in YUNETS] if models is not None else []
        yunets = [Baseline(path, size) for path in names for size in YUNET_INPUTS]
        ours, pace = [load_model(path, target) for _, path in files], Pace(target, table)
        everything = [*ours, *(yunet.model for yunet in yunets)]
        timed = measure_latency(everything, rounds=30, progress=progress, beside=pace.take)
        now = pace.now() or 1.0
        measured = {
            point.architecture: now * latency.latency_ms for (point, _), latency in zip(files, timed, strict=False)
        }
        judged = [replace(point, measured_ms=measured.get(point.architecture)) for point in judged]
        published = []
        for yunet, latency in zip(yunets, timed[len(ours) :], strict=True):
            found = evaluate(yunet, judged_on, progress)
            figures = {name: round(getattr(found, name) or 0.0, 5) for name in SETTINGS}
            published.append(
                {"name": yunet.name, "input": str(yunet.input_size), "measured_ms": now * latency.latency_ms, **figures}
            )
    rows = [
        (
            point.input,
            f"{point.latency_ms:.2f} ms",
            "" if point.measured_ms is None else f"{point.measured_ms:.2f} ms",
            f"{point.ap:.3f} ± {point.error_90:.3f}",
            f"{point.judged_ap:.3f}",
            f"{max((each.ap for each in alone if each.latency_ms <= point.latency_ms), default=0):.3f}",
        )
        for point in judged
    ]
    print_table("the front", ("input", "predicted", "measured", "AP predicted", "judged", "at 640x480 alone"), rows)
    if out is not None:
        result = {"device": device, "pace": now, "free": judged, "alone": spread(alone, points)}
        plain = {
            name: [asdict(each) for each in value] if isinstance(value, list) else value
            for name, value in result.items()
        }
        write_json(out, {**about_this_run(), **plain, "published": published})
        write_atomic(out.with_suffix(".html"), picture(judged, spread(alone, points), published))


if __name__ == "__main__":
    run_script(main)
