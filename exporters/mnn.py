"""Export to MNN: `model.mnn`, by the converter of its Python package, which keeps the names of image and outputs.

A file has no room for the description, so it lies in `model.mnn.json`. fp16 halves the weights in the file; what computes
with them decides in which precision. The package's command `mnnconvert` installs a logging package and reports to its maker;
what is called here is the converter alone.
"""

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from facenas.exporters.artefact import Artefact, artefact_of, write_sidecar
from facenas.exporters.onnx import read_description as read_onnx_description
from facenas.exporters.onnx_half import why_not_half
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from facenas.errors import InputError, MissingPackageError
from facenas.files import write_atomic

TARGETS = {"fp32": "cpu-mnn", "fp16": "cpu-mnn-fp16"}
_PACKAGE = "MNN"


def export_mnn(model: onnx.ModelProto, out: Path, precision: str) -> Artefact:
    """Write a described fp32 model for MNN, its weights in fp32 or fp16. Raises InputError for another precision, an open
    input size, or what MNN does not convert; MissingPackageError without MNN."""
    if precision not in TARGETS:
        raise InputError(f"no precision '{precision}' in this format; there are {', '.join(TARGETS)}")
    source = read_onnx_description(model, out)
    if source.dynamic:
        raise InputError("a file of format mnn has one input size; export without --dynamic")
    if precision == "fp16" and (reason := why_not_half(model)):
        raise InputError(f"the model cannot be written for MNN: {reason}")
    description = source.as_exported(precision, TARGETS[precision])
    write_atomic(out, converted(model.SerializeToString(), precision))
    write_sidecar(out, description)
    return artefact_of(out, "mnn", description, _PACKAGE)


def converted(model: bytes, precision: str) -> bytes:
    """An fp32 ONNX model as a .mnn file. Raises InputError where MNN does not convert it, MissingPackageError without MNN."""
    with unheard():
        try:
            from _tools import mnnconvert
        except ImportError as error:
            raise MissingPackageError("MNN files need MNN; install it with: pip install 'facenas[mnn]'") from error
    half = precision == "fp16"
    with tempfile.TemporaryDirectory(prefix="facenas-") as folder:
        source, made = Path(folder, "model.onnx"), Path(folder, "model.mnn")
        source.write_bytes(_with_halves(model) if half else model)
        words = f"MNNConvert -f ONNX --bizCode facenas{' --fp16' if half else ''}".split()
        with unheard():
            mnnconvert([*words, "--modelFile", str(source), "--MNNModel", str(made)])
        if not made.is_file() or not made.stat().st_size:
            raise InputError("MNN does not convert the model; give an ONNX file made by `facenas export`")
        return made.read_bytes()


def _with_halves(content: bytes) -> bytes:
    """The model with weights that are half-precision numbers already: MNN cuts their digits off, which costs twice as much as
    rounding. What is no model is left to MNN to refuse."""
    try:
        model = onnx.load_from_string(content)
    except (DecodeError, ValueError):
        return content
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            rounded = values.astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    return bytes(model.SerializeToString())


@contextmanager
def unheard() -> Iterator[None]:
    """Whatever a library prints to the process's output meanwhile is dropped: results are printed there."""
    sys.stdout.flush()
    kept, nothing, everything = os.dup(1), os.open(os.devnull, os.O_WRONLY), ctypes.CDLL(None)
    everything.fflush(None)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        everything.fflush(None)
        os.dup2(kept, 1)
        for descriptor in (kept, nothing):
            os.close(descriptor)
