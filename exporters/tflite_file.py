"""TfliteFile: what a TensorFlow Lite file holds, read without running it."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facenas.exporters.tflite_graph import FILE_IDENTIFIER
from facenas.exporters.tflite_schema import schema

from facenas.errors import InputError
from facenas.files import read_bytes

_MAX_BYTES = 1_000_000_000

_DAMAGED = (struct.error, LookupError, TypeError, ValueError, AttributeError, AssertionError)


@dataclass(frozen=True)
class TfliteOperator:
    """One operator: its kind (`CONV_2D`), or for one of a compiler's own the name that it gave; its output's type."""

    kind: str
    custom: str
    output_type: str
    output_name: str


class TfliteFile:
    """Metadata and operators of the bytes of a file. Raises ValueError where they are no whole TensorFlow Lite file."""

    def __init__(self, content: bytes) -> None:
        if content[4:8] != FILE_IDENTIFIER:
            raise ValueError("it does not begin as a TensorFlow Lite file does")
        try:
            model = schema.Model.GetRootAs(content, 0)
            self.metadata = {
                entry.Name().decode(): bytes(model.Buffers(entry.Buffer()).DataAsNumpy()).decode(errors="replace")
                for entry in (model.Metadata(index) for index in range(model.MetadataLength()))
            }
            self.operators = tuple(_operators(model))
            for index in range(model.BuffersLength()):
                _require_inside(model.Buffers(index), len(content))
        except _DAMAGED as error:
            raise ValueError(f"it is damaged: {error}") from error


def _operators(model: Any) -> list[TfliteOperator]:
    kinds = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    types = {number: name.lower() for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
    found = []
    graph = model.Subgraphs(0)
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        output = graph.Tensors(operator.Outputs(0))
        custom = (code.CustomCode() or b"").decode()
        found.append(TfliteOperator(kinds[number], custom, types[output.Type()], output.Name().decode()))
    return found


def _require_inside(buffer: Any, length: int) -> None:
    data = buffer.DataAsNumpy()
    if not isinstance(data, int) and data.size != buffer.DataLength():
        raise ValueError(f"a buffer reaches beyond its {length} bytes")


def read_tflite(path: Path) -> TfliteFile:
    """Read a file. Raises InputError where it is absent or not whole."""
    if not path.is_file():
        raise InputError(f"no model at {path}; check the path")
    try:
        return TfliteFile(read_bytes(path, "model", _MAX_BYTES))
    except ValueError as error:
        raise InputError(f"{path} is no whole TensorFlow Lite file ({error}); export or copy it again") from error
