"""Export to TensorFlow Lite, all int8: what mobile NPUs compile, and what LiteRT runs on any CPU.

The description is an entry of the file's own metadata. `fold_image` of `facenas.exporters.tflite_graph` says what the
network is fed, in a few lines of numpy.
"""

from collections import Counter
from pathlib import Path

import onnx
from facenas.exporters.artefact import Artefact, Description, artefact_of, description_from_metadata
from facenas.exporters.calibration_photos import CalibrationPhotos
from facenas.exporters.int8_ranges import corrected
from facenas.exporters.onnx import read_description as read_onnx_description
from facenas.exporters.onnx_int8 import calibrate
from facenas.exporters.tflite_file import TfliteFile, read_tflite
from facenas.exporters.tflite_graph import build_tflite, why_not_convertible

from facenas.errors import InputError
from facenas.files import write_atomic

TARGET = "cpu-litert"
_PACKAGE = "ai-edge-litert"


def why_not_tflite(model: onnx.ModelProto) -> str | None:
    """None where the model can become int8 TensorFlow Lite, else the reason in words."""
    return why_not_convertible(model)


def export_tflite(model: onnx.ModelProto, out: Path, calibration: CalibrationPhotos) -> Artefact:
    """Write a described fp32 model as int8 TensorFlow Lite, with the ranges of `calibration`.

    Raises InputError where the graph leaves its input size open or holds other operators, or `out` cannot be written.
    """
    if read_onnx_description(model, out).dynamic:
        raise InputError("a TensorFlow Lite file has one input size; export without --dynamic")
    if reason := why_not_tflite(model):
        raise InputError(f"the model cannot become int8 TensorFlow Lite: {reason}")
    calibrated = calibrate(model, calibration)
    source = read_onnx_description(calibrated.model, out)
    description = source.as_exported("int8", TARGET, calibration=calibration.to_json())
    ranges, means = calibrated.observed.ranges, calibrated.observed.means
    model = corrected(calibrated.model, means)
    content = build_tflite(model, source.input_size, ranges, description.to_metadata())
    write_atomic(out, content)
    return artefact_of(out, "tflite", description, _PACKAGE, operator_counts(TfliteFile(content)))


def operator_counts(model: TfliteFile) -> dict[str, int]:
    """How many operators of which kind compute in which type: {"CONV_2D int8": 41, ...}."""
    return dict(Counter(f"{operator.kind} {operator.output_type}" for operator in model.operators))


def read_description(path: Path) -> Description:
    """The description inside a .tflite file. Raises InputError where the file is not whole or has none."""
    return description_from_metadata(read_tflite(path).metadata, path)
