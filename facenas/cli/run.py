"""`facenas run`: a budget in, a verified detector out."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.calibration_option import CalibrateOption, calibration_asked
from facenas.cli.input_option import AspectOption, CameraOption, FacesOption, InputOption, input_asked
from facenas.cli.names import DEVICE, MODEL, SPACE, SUPERNET
from facenas.spaces import DEFAULT_SPACE


def run(
    latency: Annotated[str, typer.Option(help="budget, for example 5ms; 5ms@p90 for nine of ten runs")],
    device: Annotated[str, typer.Option(help="target that the budget is for", **DEVICE)] = "cpu",
    data: Annotated[
        Path | None,
        typer.Option(help="labelled photos to train on (default: no training, a slice of the supernet that ships)"),
    ] = None,
    params: Annotated[str | None, typer.Option(help="budget of parameters, for example 0.3M")] = None,
    memory: Annotated[str | None, typer.Option(help="budget of peak activation memory, for example 8MB")] = None,
    val: Annotated[Path | None, typer.Option(help="labelled photos to verify on (default: a part of --data)")] = None,
    epochs: Annotated[int | None, typer.Option(help="training length (default: 90 synthetic, 12 on photos)")] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="checkpoint, folder with one, or name of the zoo that the training starts from, as far as layers fit "
            "(default: the slice of the supernet)",
            **MODEL,
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(help="ONNX file of a stronger detector (SCRFD's layout) to learn from beside the labels"),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(help="train so many of the search's best briefly first, the better half on and on"),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="stop the training after so many minutes and prove the best so far; the same command trains on",
        ),
    ] = None,
    space: Annotated[
        str, typer.Option(help="search space; the supernet of the default one ships", **SPACE)
    ] = DEFAULT_SPACE,
    supernet: Annotated[
        Path | None,
        typer.Option(help="supernet of the space to take weights from (default: one that ships, if any)", **SUPERNET),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="folder of unlabelled photos for the norms of its slice (default: synthetic ones)"),
    ] = None,
    input_size: InputOption = None,
    aspect: AspectOption = None,
    camera: CameraOption = None,
    faces: FacesOption = None,
    table: Annotated[Path | None, typer.Option(help="latency table (default: the shipped one)")] = None,
    calibrate: CalibrateOption = None,
    seed: Annotated[int, typer.Option(help="seed of the training")] = 0,
    out: Annotated[Path | None, typer.Option(help="run folder (default: runs/DEVICE-LATENCY)")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Search, train, export, verify in one go.

    The same command on the same folder goes on where it was stopped.
    """
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result, tell
    from facenas.cli.search_options import parse_faces
    from facenas.steps.run import run as run_all
    from facenas.steps.run_settings import RunSettings
    from facenas.units import parse_bytes, parse_count

    settings = RunSettings(
        val,
        epochs,
        space,
        supernet,
        photos,
        input_asked(input_size, aspect, camera),
        table,
        seed,
        calibration_asked(calibrate),
        parse_faces(faces, None),
        init,
        teacher,
        top,
        None if params is None else parse_count(params, "parameters"),
        None if memory is None else parse_bytes(memory),
        max_minutes,
    )
    with progress_bar() as progress:
        result = run_all(latency, device, data=data, settings=settings, out=out, progress=progress)
    print_result(result, json)
    if not json:
        tell(result.line())
    if not result.passed:
        raise typer.Exit(1)
