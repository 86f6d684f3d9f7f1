"""`facenas run`: a budget in, a verified detector out."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.calibration_option import CalibrateOption


def run(
    latency: Annotated[str, typer.Option(help="budget, for example 5ms; 5ms@p90 for nine of ten runs")],
    device: Annotated[str, typer.Option(help="target that the budget is for")] = "cpu",
    data: Annotated[Path | None, typer.Option(help="labelled photos (default: a synthetic set)")] = None,
    val: Annotated[Path | None, typer.Option(help="labelled photos to verify on (default: a part of --data)")] = None,
    epochs: Annotated[int | None, typer.Option(help="training length (default: 90 synthetic, 12 on photos)")] = None,
    space: Annotated[str, typer.Option(help="search space")] = "facenas-edge",
    input_size: Annotated[str, typer.Option("--input", help="input size, WIDTHxHEIGHT")] = "640x480",
    alpha: Annotated[float, typer.Option(help="weight of the kernel sizes in the score")] = 0.25,
    table: Annotated[Path | None, typer.Option(help="latency table (default: the shipped one)")] = None,
    calibrate: CalibrateOption = None,
    seed: Annotated[int, typer.Option(help="seed of the training")] = 0,
    out: Annotated[Path | None, typer.Option(help="run folder (default: runs/DEVICE-LATENCY)")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Search, train, export, verify in one go.

    The same command on the same folder goes on where it was stopped.
    """
    from facenas.chain import ChainSettings, run_chain
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import note, print_json
    from facenas.cli.results import print_gate_rows
    from facenas.cli.tables import calibration_asked
    from facenas.units import parse_latency_budget, parse_size

    settings = ChainSettings(
        device=device,
        budget=parse_latency_budget(latency),
        data=data,
        val=val,
        epochs=epochs,
        space=space,
        input_size=parse_size(input_size),
        alpha=alpha,
        table=table,
        seed=seed,
        calibrate=calibration_asked(calibrate),
    )
    folder = out or Path("runs") / f"{device}-{latency}"
    with progress_bar() as report:
        outcome = run_chain(settings, folder, report, note)
    if json:
        print_json(outcome.to_json())
    else:
        print_gate_rows(outcome.gates)
        print(f"{'passed' if outcome.passed else 'FAILED'}: {folder / 'report.html'}")
    if not outcome.passed:
        raise typer.Exit(1)
