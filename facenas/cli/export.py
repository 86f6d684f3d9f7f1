"""`facenas export`: from a checkpoint to the file that a runtime loads."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facenas.cli.calibration_option import CalibrateOption, calibration_asked
from facenas.cli.names import ARCHITECTURE, DEVICE, FORMAT, MODEL
from facenas.exporters.formats import FORMATS

if TYPE_CHECKING:
    from facenas.architecture import Architecture


def export(
    checkpoint: Annotated[
        Path | None, typer.Option(help="checkpoint, folder of a run or training, or name of the zoo", **MODEL)
    ] = None,
    arch: Annotated[
        str | None, typer.Option(help="architecture to export untrained, for latency only", **ARCHITECTURE)
    ] = None,
    file_format: Annotated[str, typer.Option("--format", help=", ".join(FORMATS), **FORMAT)] = "onnx",
    precision: Annotated[
        str | None,
        typer.Option(help="fp32, fp16, bf16 or int8, as the format has it (default: the device's, else fp32)"),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="trt: the target that it is for; for a board elsewhere the ONNX file is written instead", **DEVICE
        ),
    ] = None,
    input_size: Annotated[str | None, typer.Option("--input", help="input size (default: the checkpoint's)")] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="leave batch, height and width open")] = False,
    calibration: Annotated[
        Path | None, typer.Option(help="int8: folder of photos to take ranges from (default: synthetic ones)")
    ] = None,
    calibration_count: Annotated[int, typer.Option(help="int8: how many photos of that folder")] = 128,
    seed: Annotated[int, typer.Option(help="int8: seed of their choice")] = 0,
    labelled: Annotated[
        Path | None,
        typer.Option(help="int8: labelled photos by which openvino's NNCF, or --repair, keeps the average precision"),
    ] = None,
    dialect: Annotated[
        str, typer.Option(help="onnx int8: runtime it is for, onnxruntime, tensorrt or tensorrt-8")
    ] = "onnxruntime",
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="int8 of onnx or openvino: where gates fail on --labelled, keep layers in float32"
        ),
    ] = False,
    calibrate: CalibrateOption = None,
    decode: Annotated[
        bool, typer.Option("--decode", help="onnx, openvino: the file answers with faces: boxes, scores, landmarks")
    ] = False,
    runtime_folder: Annotated[
        Path | None, typer.Option(help="web: folder of the npm package onnxruntime-web (default: the nearest)")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="file to write, for web a folder (default: model with the format's suffix)")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Export a detector for a runtime."""
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result
    from facenas.errors import InputError
    from facenas.given import given_architecture
    from facenas.steps.export import ExportSettings
    from facenas.steps.export import export as run_export

    if (checkpoint is None) == (arch is None):
        raise InputError("export needs either --checkpoint FILE or --arch ARCH")
    model: Architecture | Path | None = checkpoint
    if model is None:
        given = given_architecture(arch or "")
        model, size = given.architecture, given.input_size
        input_size = input_size or (None if size is None else str(size))
    settings = ExportSettings(
        input_size,
        dynamic,
        calibration,
        calibration_count,
        seed,
        labelled,
        dialect,
        device,
        decode=decode,
        runtime_folder=runtime_folder,
        repair=repair,
        calibrate=calibration_asked(calibrate),
    )
    with progress_bar() as progress:
        artefact = run_export(model, file_format, precision, settings=settings, out=out, progress=progress)
    print_result(artefact, json)
