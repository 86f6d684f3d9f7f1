"""`facenas bench`: run the benchmarks, compare with a baseline, and draw the page that compares detectors."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facenas.cli.names import DEVICE

if TYPE_CHECKING:
    from facenas.bench.gate import BenchResult
    from facenas.bench.record import Record
    from facenas.units import Size


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="less work, for continuous integration")] = False,
    only: Annotated[str, typer.Option(help="benchmarks with this in their name")] = "",
    against: Annotated[
        Path | None,
        typer.Option(help="a record of this machine, or another checkout, to be as fast as; exit code 1 if not"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="file for the record, with --report for the page (default: in runs/bench/)")
    ] = None,
    summary: Annotated[Path | None, typer.Option(help="Markdown file for the outcome")] = None,
    report: Annotated[
        bool, typer.Option("--report", help="compare detectors instead: accuracy against latency, as a page")
    ] = False,
    end_to_end: Annotated[
        bool,
        typer.Option("--end-to-end", help="time decoding, letterbox, network and suppression of detectors instead"),
    ] = False,
    models: Annotated[Path | None, typer.Option(help="with --report: folder of baseline .onnx files")] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(help="with --report, --end-to-end: exported model beside the shipped ones (repeatable)"),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="with --report, --end-to-end: labelled photos")] = None,
    device: Annotated[
        str | None, typer.Option(help="with --report: target to run them on, of fp32 or bf16 (default: cpu)", **DEVICE)
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="with --report: an input that all detectors also run at (repeatable)"),
    ] = None,
    benchmarks: Annotated[
        Path | None, typer.Option(help="folder of benchmarks (default: benchmarks/ here, or of this checkout)")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Run the benchmarks; with --against, fail where something became slower beyond noise."""
    from facenas.bench.folder import benchmarks_folder
    from facenas.bench.gate import run_bench
    from facenas.bench.record import read_record, require_new, write_record
    from facenas.bench.summary import markdown
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import note
    from facenas.errors import InputError
    from facenas.files import write_atomic
    from facenas.units import parse_size

    if (report or end_to_end) and (quick or only or against or summary):
        raise InputError(
            "--quick, --only, --against and --summary belong to the benchmarks; leave out --report, --end-to-end"
        )
    if report and end_to_end:
        raise InputError("--report and --end-to-end are two things; give one of them")
    if report:
        sizes = [parse_size(each) for each in inputs or []]
        page = out or Path("runs/bench/comparison.html")
        write_detectors(models, model or [], data, device or "cpu", sizes, page, json)
        return
    if end_to_end and (device or models or inputs or out):
        raise InputError(
            "--end-to-end times this machine's files as they are: leave out --device, --models, --input and --out (another "
            "device: facenas verify --end-to-end)"
        )
    if end_to_end:
        time_end_to_end(model or [], data, json)
        return
    if models or model or data or device or inputs:
        raise InputError(
            "--models, --model, --data, --device and --input belong to --report or --end-to-end; add it, or leave them out"
        )
    folder = benchmarks_folder(benchmarks)
    if out is not None:
        require_new(out)
    baseline = read_record(against) if against is not None and not against.is_dir() else None
    checkout = against if against is not None and against.is_dir() else None
    with progress_bar() as progress:
        outcome = run_bench(folder, quick=quick, only=only, progress=progress, baseline=baseline, checkout=checkout)
    path = out or default_place(outcome.record)
    write_record(outcome.record, path)
    if summary is not None:
        write_atomic(summary, markdown(outcome))
    _tell(outcome, path, json)
    note(f"record: {path}")
    if outcome.passed is False:
        raise typer.Exit(1)
    if outcome.not_judged:
        raise InputError(outcome.not_judged)


def _tell(outcome: "BenchResult", path: Path, json: bool) -> None:
    """The timings, and how they compare."""
    from dataclasses import asdict

    from facenas.bench.summary import COMPARISON_COLUMNS, TIMING_COLUMNS, comparison_rows, timing_rows, verdict
    from facenas.cli.output import print_json, print_table, tell

    if json:
        comparisons = [
            asdict(each) | {"regression": each.regression, "verdict": each.verdict} for each in outcome.comparisons
        ]
        print_json(
            {
                "record": str(path),
                "passed": outcome.passed,
                "against": outcome.against or None,
                "comparisons": comparisons,
                "looks": dict(outcome.looks or {}),
            }
            | outcome.record.to_json()
        )
        return
    print_table("benchmarks", TIMING_COLUMNS, timing_rows(outcome.record))
    for name, value in outcome.record.figures.items():
        tell(f"{name}: {value:.4g}")
    if outcome.against:
        print_table(f"against {outcome.against}", COMPARISON_COLUMNS, comparison_rows(outcome.comparisons))
        if outcome.passed is not None:
            tell(verdict(outcome))


def time_end_to_end(models: list[Path], data: Path | None, json: bool) -> None:
    """The stages of each detector on photos of `data`."""
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result
    from facenas.errors import InputError
    from facenas.steps.end_to_end import end_to_end

    if data is None:
        raise InputError("--end-to-end needs --data, photos to detect in")
    with progress_bar() as progress:
        table = end_to_end(models, data, progress)
    print_result(table, json)


def write_detectors(
    models: Path | None,
    own: list[Path],
    data: Path | None,
    device: str,
    inputs: "list[Size]",
    out: Path,
    json: bool,
) -> None:
    """The comparison page at `out`, and its figures beside it as JSON."""
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import note, print_json, print_table, tell
    from facenas.errors import InputError
    from facenas.evaluation.comparison import nearest_of_ours
    from facenas.files import write_json
    from facenas.report.comparison_page import write_comparison
    from facenas.steps.compare_detectors import compare_detectors

    if data is None:
        raise InputError("--report needs --data, photos of WIDER FACE val to judge on")
    with progress_bar() as progress:
        comparison = compare_detectors(own, models, data, device, inputs, progress)
    write_comparison(comparison, out)
    write_json(out.with_suffix(".json"), comparison.to_json())
    nearest = nearest_of_ours(comparison.detectors, "hard")
    if json:
        print_json(
            {"page": str(out), "on_front": nearest.on_front, "off_by_ap_hard": round(nearest.precision, 5)}
            | comparison.to_json()
        )
        return
    rows = [
        (
            each.name,
            each.input,
            f"{each.easy:.3f}",
            f"{each.medium:.3f}",
            f"{each.hard:.3f}",
            f"{each.latency_ms:.2f} ms",
        )
        for each in sorted(comparison.detectors, key=lambda each: each.latency_ms)
    ]
    print_table("detectors", ("detector", "input", "AP easy", "AP medium", "AP hard", "latency"), rows)
    off = "on the Pareto front" if nearest.on_front else f"{nearest.precision:.3f} AP off the Pareto front"
    tell(f"our best of AP hard, {nearest.detector.name}, is {off}")
    note(f"page: {out}")


def default_place(record: "Record") -> Path:
    """runs/bench/DATE-COMMIT.json."""
    date = record.date.replace("-", "").replace(":", "")
    return Path("runs") / "bench" / f"{date}-{record.commit.rstrip('+')}.json"
