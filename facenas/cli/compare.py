"""`facenas compare`: one checkpoint as every file that the targets run, in one table and page."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.calibration_option import CalibrateOption, calibration_asked
from facenas.cli.names import DEVICE, MODEL


def compare(
    checkpoint: Annotated[
        Path, typer.Option(help="checkpoint.safetensors of a training, or a name of the zoo", **MODEL)
    ],
    data: Annotated[Path, typer.Option(help="labelled photos for the gates")],
    device: Annotated[
        list[str] | None,
        typer.Option(help="target whose file is made (repeatable; default: all that can be used here)", **DEVICE),
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="only these: fp32, fp16, bf16, int8 (repeatable; default: all)")
    ] = None,
    latency: Annotated[str | None, typer.Option(help="budget of every file, for example 5ms")] = None,
    input_size: Annotated[str | None, typer.Option("--input", help="input size (default: the checkpoint's)")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="int8: folder of photos to take ranges from; not those of --data")
    ] = None,
    calibration_count: Annotated[int, typer.Option(help="int8: how many photos of that folder")] = 128,
    decode: Annotated[
        bool, typer.Option("--decode", help="files that answer with faces, where their format can")
    ] = False,
    calibrate: CalibrateOption = None,
    out: Annotated[Path, typer.Option(help="folder for the files, compare.json and compare.html")] = Path(
        "runs/compare"
    ),
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Compare formats and precisions: size, what is really computed, gates, accuracy, latency; and which to take.

    Exit code 1 when no file passes.
    """
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import note, print_result, tell
    from facenas.steps.compare import CompareSettings
    from facenas.steps.compare import compare as run_compare
    from facenas.steps.export import ExportSettings

    export = ExportSettings(input_size, False, calibration, calibration_count, decode=decode)
    settings = CompareSettings(export, calibrate=calibration_asked(calibrate))
    with progress_bar() as progress:
        comparison = run_compare(
            checkpoint,
            data,
            devices=device or (),
            precisions=precision or (),
            latency=latency,
            settings=settings,
            out=out,
            progress=progress,
        )
    print_result(comparison, json)
    if not json:
        tell(comparison.line())
    note(f"page: {out / 'compare.html'}")
    if comparison.best is None:
        raise typer.Exit(1)
