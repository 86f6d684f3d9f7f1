"""Every format: the one place that knows which function makes which in which precision, and how a file of it describes
itself, without loading its runtime.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from facenas.errors import InputError

if TYPE_CHECKING:
    import onnx
    from facenas.exporters.artefact import Artefact, Description
    from facenas.exporters.calibration_photos import Calibration
    from facenas.exporters.openvino import AccuracyControl

FORMATS = {"onnx": "model.onnx", "openvino": "model.xml", "trt": "model.engine", "tflite": "model.tflite"}
"""By format: the usual name of its file."""
SUFFIXES = (".onnx", ".xml", ".engine", ".tflite")


def export_model(
    model: "onnx.ModelProto",
    file_format: str,
    precision: str,
    out: Path,
    *,
    calibration: "Calibration | None" = None,
    dialect: str = "onnxruntime",
    accuracy: "AccuracyControl | None" = None,
) -> "Artefact":
    """Write a described fp32 model as `file_format`, one of FORMATS. int8 needs a `calibration`.

    `dialect`: for which runtime int8 ONNX is meant; `accuracy`: photos by which OpenVINO's int8 gives layers back.
    Raises InputError for a format or precision that there is not, and as the format's own function does.
    """
    match file_format:
        case "onnx":
            from facenas.exporters.onnx import export_onnx

            return export_onnx(_in_precision(model, precision, calibration, dialect), out)
        case "openvino":
            from facenas.exporters.openvino import export_openvino

            return export_openvino(model, out, precision=precision, calibration=calibration, accuracy=accuracy)
        case "trt":
            from facenas.exporters.tensorrt import export_tensorrt

            return export_tensorrt(_in_precision(model, precision, calibration, "tensorrt"), out)
        case "tflite":
            from facenas.exporters.tflite import export_tflite

            if calibration is None:
                raise InputError(f"no precision '{precision}' in this format; add --precision int8")
            return export_tflite(model, out, calibration)
        case _:
            raise InputError(f"no format '{file_format}'; there are {', '.join(FORMATS)}")


def _in_precision(
    model: "onnx.ModelProto", precision: str, calibration: "Calibration | None", dialect: str
) -> "onnx.ModelProto":
    """The ONNX graph that carries the precision itself, for the formats that are made from such a graph."""
    match precision:
        case "fp32":
            return model
        case "fp16":
            from facenas.exporters.onnx_half import half_model

            return half_model(model)
        case "int8" if calibration is not None:
            from facenas.exporters.onnx_int8 import quantize_model

            return quantize_model(model, calibration, dialect=dialect)
        case _:
            raise InputError(f"no precision '{precision}' in this format; there are fp32, fp16, int8")


def description_of(path: Path) -> "Description":
    """What the file says of itself. Raises InputError where it is absent, damaged, or not made by facenas."""
    match path.suffix.lower():
        case ".onnx":
            from facenas.exporters.onnx import load_onnx, read_description

            return read_description(load_onnx(path), path)
        case ".xml":
            from facenas.exporters.openvino import read_description as read_openvino_description

            return read_openvino_description(path)
        case ".engine":
            from facenas.exporters.artefact import read_sidecar

            return read_sidecar(path)
        case ".tflite":
            from facenas.exporters.tflite import read_description as read_tflite_description

            return read_tflite_description(path)
        case _:
            raise InputError(f"{path} is no model file ({', '.join(SUFFIXES)}); give one made by `facenas export`")
