"""`facenas export`: from a checkpoint to the file that a runtime loads."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.exporters.formats import FORMATS


def export(
    checkpoint: Annotated[
        Path | None, typer.Option(help="checkpoint.safetensors of a training, or a name of the zoo")
    ] = None,
    arch: Annotated[str | None, typer.Option(help="architecture to export untrained, for latency only")] = None,
    file_format: Annotated[str, typer.Option("--format", help=", ".join(FORMATS))] = "onnx",
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16 or int8, as the format has it")] = "fp32",
    input_size: Annotated[str | None, typer.Option("--input", help="input size (default: the checkpoint's)")] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="leave batch, height and width open")] = False,
    calibration: Annotated[
        Path | None, typer.Option(help="int8: folder of photos to take ranges from (default: synthetic ones)")
    ] = None,
    calibration_count: Annotated[int, typer.Option(help="int8: how many photos of that folder")] = 128,
    seed: Annotated[int, typer.Option(help="int8: seed of their choice")] = 0,
    labelled: Annotated[
        Path | None, typer.Option(help="openvino int8: labelled photos, so that NNCF keeps the average precision")
    ] = None,
    dialect: Annotated[str, typer.Option(help="onnx int8: runtime it is for, onnxruntime or tensorrt")] = "onnxruntime",
    out: Annotated[Path | None, typer.Option(help="file to write (default: model with the format's suffix)")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Export a detector for a runtime."""
    from facenas.architecture import resolve_detector
    from facenas.checkpoint import load_checkpoint
    from facenas.cli.output import note, print_json, print_table
    from facenas.errors import InputError
    from facenas.exporters.calibration_photos import choose_calibration
    from facenas.exporters.formats import ExportOptions, export_model
    from facenas.exporters.onnx import onnx_of_checkpoint, onnx_untrained
    from facenas.units import Size, parse_size
    from facenas.zoo import checkpoint_path

    if file_format not in FORMATS:
        raise InputError(f"no format '{file_format}'; there are {', '.join(FORMATS)}")
    if labelled is not None and precision not in FORMATS[file_format].judged:
        raise InputError("--labelled is for --format openvino --precision int8; leave it out")
    if (checkpoint is None) == (arch is None):
        raise InputError("export needs either --checkpoint FILE or --arch ARCH")
    size = None if input_size is None else parse_size(input_size)
    if checkpoint is not None:
        model = onnx_of_checkpoint(load_checkpoint(checkpoint_path(checkpoint)), input_size=size, dynamic=dynamic)
    else:
        detector = resolve_detector(arch or "")
        model = onnx_untrained(detector, input_size=size or Size(640, 480), dynamic=dynamic)
    photos = choose_calibration(calibration, calibration_count, seed) if precision == "int8" else None
    if photos is not None and calibration is None:
        note(f"calibrating on {photos.count} synthetic photos; for real faces give real ones with --calibration")
    accuracy = None
    if labelled is not None:
        from facenas.evaluation.accuracy_control import accuracy_control
        from facenas.evaluation.evaluation_set import load_evaluation_set
        from facenas.exporters.onnx import IN_MEMORY, read_description

        accuracy = accuracy_control(load_evaluation_set(labelled), read_description(model, IN_MEMORY))
    place = out or Path(FORMATS[file_format].file_name)
    artefact = export_model(model, file_format, place, ExportOptions(precision, photos, dialect, accuracy))
    if json:
        print_json(artefact.to_json())
        return
    rows = [(name, str(value)) for name, value in artefact.to_json().items() if name != "operators"]
    rows += [(operators, str(count)) for operators, count in artefact.operators.items()]
    print_table("exported", ("figure", "value"), rows)
