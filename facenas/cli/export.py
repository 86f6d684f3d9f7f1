"""`facenas export`: from a checkpoint to the file that a runtime loads."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    checkpoint: Annotated[Path | None, typer.Option(help="checkpoint.safetensors of a training")] = None,
    arch: Annotated[str | None, typer.Option(help="architecture to export untrained, for latency only")] = None,
    file_format: Annotated[str, typer.Option("--format", help="onnx")] = "onnx",
    precision: Annotated[str, typer.Option(help="fp32")] = "fp32",
    input_size: Annotated[str | None, typer.Option("--input", help="input size (default: the checkpoint's)")] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="leave batch, height and width open")] = False,
    out: Annotated[Path, typer.Option(help="file to write")] = Path("model.onnx"),
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Export a detector for a runtime."""
    from facenas.architecture import resolve_detector
    from facenas.cli.output import print_json, print_table
    from facenas.errors import InputError
    from facenas.exporters.onnx import export_checkpoint, export_untrained
    from facenas.training.checkpoint import load_checkpoint
    from facenas.units import Size, parse_size

    if (file_format, precision) != ("onnx", "fp32"):
        raise InputError(f"cannot export format '{file_format}' in '{precision}'; there is onnx in fp32")
    if (checkpoint is None) == (arch is None):
        raise InputError("export needs either --checkpoint FILE or --arch ARCH")
    size = None if input_size is None else parse_size(input_size)
    if checkpoint is not None:
        artefact = export_checkpoint(load_checkpoint(checkpoint), out, input_size=size, dynamic=dynamic)
    else:
        detector = resolve_detector(arch or "")
        artefact = export_untrained(detector, out, input_size=size or Size(640, 480), dynamic=dynamic)
    if json:
        print_json(artefact.to_json())
        return
    print_table("exported", ("figure", "value"), [(name, str(value)) for name, value in artefact.to_json().items()])
