"""Export: from a checkpoint, or an untrained architecture, to the file that a runtime loads."""

from dataclasses import dataclass
from pathlib import Path

import onnx

from facenas.architecture import Architecture
from facenas.checkpoint import load_weights
from facenas.errors import InputError
from facenas.evaluation.accuracy_control import accuracy_control
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.exporters import formats
from facenas.exporters.artefact import Artefact
from facenas.exporters.calibration_photos import DEFAULT_COUNT, choose_calibration
from facenas.exporters.formats import FORMATS, export_model
from facenas.exporters.onnx import IN_MEMORY, onnx_of_checkpoint, onnx_untrained, read_description
from facenas.progress import SILENT, Progress
from facenas.units import DEFAULT_INPUT, Size, as_size
from facenas.zoo import checkpoint_path


@dataclass(frozen=True)
class ExportSettings:
    """`input_size`: by default the checkpoint's; `dynamic`: batch, height and width stay open.

    int8 takes its ranges from `calibration_count` photos of the folder `calibration` (default: synthetic ones), chosen
    with `seed`; `labelled`: photos by which OpenVINO keeps the average precision; `dialect`: the runtime that int8 ONNX
    is for, onnxruntime or tensorrt.
    """

    input_size: str | Size | None = None
    dynamic: bool = False
    calibration: Path | str | None = None
    calibration_count: int = DEFAULT_COUNT
    seed: int = 0
    labelled: Path | str | None = None
    dialect: str = "onnxruntime"


def export(
    model: Path | str | Architecture,
    format: str = "onnx",
    precision: str = "fp32",
    *,
    settings: ExportSettings = ExportSettings(),
    out: Path | str | None = None,
    progress: Progress = SILENT,
) -> Artefact:
    """Export `model`: a checkpoint, a name of the zoo, or a `Architecture` (untrained, for latency only).

    `format`: onnx, openvino, trt or tflite; `out`: the file, by default `model` with the format's suffix.
    Raises InputError for a format or precision that there is not, an unusable checkpoint, or too few photos.
    """
    if format not in FORMATS:
        raise InputError(f"no format '{format}'; there are {', '.join(FORMATS)}")
    if settings.labelled is not None and precision not in FORMATS[format].judged:
        raise InputError("--labelled is for --format openvino --precision int8; leave it out")
    network = _as_onnx(model, settings)
    photos = accuracy = None
    if precision == "int8":
        folder = None if settings.calibration is None else Path(settings.calibration)
        photos = choose_calibration(folder, settings.calibration_count, settings.seed)
        if folder is None:
            progress.note(
                f"calibrating on {photos.count} synthetic photos; for real faces give real ones with --calibration"
            )
    if settings.labelled is not None:
        labelled = load_evaluation_set(Path(settings.labelled))
        accuracy = accuracy_control(labelled, read_description(network, IN_MEMORY))
    options = formats.ExportOptions(precision, photos, settings.dialect, accuracy)
    return export_model(network, format, Path(out or FORMATS[format].file_name), options)


def _as_onnx(model: Path | str | Architecture, settings: ExportSettings) -> onnx.ModelProto:
    size = None if settings.input_size is None else as_size(settings.input_size)
    if isinstance(model, Architecture):
        return onnx_untrained(model, input_size=size or DEFAULT_INPUT, dynamic=settings.dynamic)
    checkpoint = load_weights(checkpoint_path(Path(model)))
    return onnx_of_checkpoint(checkpoint, input_size=size, dynamic=settings.dynamic)
