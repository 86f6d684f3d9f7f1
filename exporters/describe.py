"""The description of any file that facenas exported, whatever its format, without loading its runtime."""

from pathlib import Path

from facenas.exporters.artefact import Description

from facenas.errors import InputError

SUFFIXES = (".onnx", ".xml", ".engine", ".tflite")


def description_of(path: Path) -> Description:
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
