"""`facenas predict`: the latency of an architecture from a table, with its interval."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.calibration_option import CalibrateOption, calibration_asked
from facenas.cli.names import ARCHITECTURE, DEVICE


def predict(
    arch: Annotated[
        str,
        typer.Argument(
            help="block string, published name, or what holds one: search.json, run folder, checkpoint, model",
            **ARCHITECTURE,
        ),
    ],
    device: Annotated[str, typer.Option(help="target, for example jetson-orin-nano", **DEVICE)] = "cpu",
    table: Annotated[Path | None, typer.Option(help="latency table (default: the shipped one)")] = None,
    input: Annotated[
        str | None, typer.Option(help="network input, WIDTHxHEIGHT (default: that of the file, else 640x480)")
    ] = None,
    calibrate: CalibrateOption = None,
    landmarks: Annotated[bool, typer.Option("--landmarks", help="with the outputs for five landmarks")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Predict the latency of an architecture on a device."""
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result
    from facenas.steps.predict import predict as run_predict

    with progress_bar() as progress:
        prediction = run_predict(
            arch,
            device,
            input_size=input,
            table=table,
            landmarks=landmarks,
            calibrate=calibration_asked(calibrate),
            progress=progress,
        )
    print_result(prediction, json)
