"""`facenas predict`: the latency of an architecture from a table, with its interval."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facenas.cli.calibration_option import CalibrateOption

if TYPE_CHECKING:
    from facenas.latency.table import LatencyTable


def predict(
    arch: Annotated[str, typer.Argument(help="block string, file holding one, or published name")],
    device: Annotated[str, typer.Option(help="target, for example cpu")],
    table: Annotated[Path | None, typer.Option(help="latency table (default: the shipped one)")] = None,
    input: Annotated[str, typer.Option(help="network input, WIDTHxHEIGHT")] = "640x480",
    calibrate: CalibrateOption = None,
    landmarks: Annotated[bool, typer.Option("--landmarks", help="with the outputs for five landmarks")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Predict the latency of an architecture on a device."""
    from collections import Counter
    from dataclasses import asdict, replace

    from facenas.architecture import resolve_detector
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import note, print_json, print_table
    from facenas.cli.tables import open_tables
    from facenas.latency.predictor import Source
    from facenas.latency.predictor import predict as predict_latency
    from facenas.latency.this_machine import facts_of_table
    from facenas.units import parse_size

    detector, size = replace(resolve_detector(arch), landmarks=landmarks), parse_size(input)
    paths = [] if table is None else [table]
    with progress_bar() as report:
        tables = open_tables([device], paths, size, detector, calibrate=calibrate, report=report, note=note)
    prediction = predict_latency(detector, tables[device], size)
    facts = facts_of_table(tables[device])
    if json:
        print_json(prediction.to_json() | {"table": asdict(facts)})
        return
    print_table(
        f"{detector} at {size}",
        ("device", "latency", "90 % interval", "50th, 90th percentile", "provenance"),
        [
            (
                device,
                f"{prediction.latency_ms:.2f} ms",
                f"{prediction.low_ms:.2f} to {prediction.high_ms:.2f} ms",
                _tail(tables[device], prediction.latency_ms),
                f"{facts.provenance} {facts.where}",
            )
        ],
    )
    times = Counter(cost.operator for cost in prediction.operators)
    costs = {cost.operator: cost for cost in prediction.operators}
    dearest = sorted(costs.values(), key=lambda cost: -cost.latency_us * times[cost.operator])[:10]
    print_table(
        "dearest operators",
        ("operator", "times", "together", "source"),
        [
            (
                str(cost.operator),
                str(times[cost.operator]),
                f"{cost.latency_us * times[cost.operator]:.0f} µs",
                cost.source.value,
            )
            for cost in dearest
        ],
    )
    interpolated = sum(cost.source is Source.INTERPOLATED for cost in prediction.operators)
    if interpolated:
        note(f"{interpolated} of {len(prediction.operators)} operators are interpolated; the interval allows for it")


def _tail(table: "LatencyTable", latency_ms: float) -> str:
    """What half of the runs, and nine of ten, do not exceed."""
    if table.calibration.p90_ratio is None:
        return "not known"
    return f"{table.ratio_to(50) * latency_ms:.2f} ms, {table.ratio_to(90) * latency_ms:.2f} ms"
