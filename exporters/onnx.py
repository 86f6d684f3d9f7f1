"""Export to ONNX fp32: norms folded, simplified, checked, and with its description inside.

The graph that `facenas.exporters.onnx_graph` writes is already minimal; the simplifier runs over it all the same, so that
every export has passed shape inference and an independent comparison of the graph before and after.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from facenas.exporters.artefact import Artefact, Description, artefact_of, describe, description_from_metadata
from facenas.exporters.executed import executed_by_onnxruntime
from facenas.exporters.onnx_graph import FoldedConv, build_onnx, fold, random_weights

from facenas.architecture import Architecture
from facenas.checkpoint import Checkpoint
from facenas.errors import InputError
from facenas.files import read_bytes, write_atomic
from facenas.graph import build_graph
from facenas.units import Size

IN_MEMORY = Path("the model")  # how errors name a model that was not read from a file

_MAX_BYTES = 1_000_000_000


def onnx_of_checkpoint(checkpoint: Checkpoint, *, input_size: Size | None = None, dynamic: bool) -> onnx.ModelProto:
    """The fp32 model of a checkpoint, described. Raises InputError where its tensors do not fit its architecture."""
    size = input_size or checkpoint.input_size
    weights = fold(build_graph(checkpoint.detector, size), checkpoint.tensors)
    return _described(checkpoint.detector, weights, size, dynamic=dynamic, origin=dict(checkpoint.origin))


def onnx_untrained(detector: Architecture, *, input_size: Size, dynamic: bool) -> onnx.ModelProto:
    """The fp32 model of an architecture with random weights, good for latency only (and described so)."""
    weights = random_weights(build_graph(detector, input_size))
    return _described(detector, weights, input_size, dynamic=dynamic, origin={"weights": "random, for latency only"})


def _described(
    detector: Architecture, weights: Mapping[str, FoldedConv], size: Size, *, dynamic: bool, origin: Mapping[str, Any]
) -> onnx.ModelProto:
    metadata = describe(detector, size, dynamic=dynamic, origin=origin).to_metadata()
    return simplify(build_onnx(build_graph(detector, size), weights, dynamic=dynamic, metadata=metadata))


def export_checkpoint(checkpoint: Checkpoint, out: Path, *, input_size: Size | None = None, dynamic: bool) -> Artefact:
    """Write the fp32 ONNX file of a checkpoint; as `onnx_of_checkpoint`, then `export_onnx`."""
    return export_onnx(onnx_of_checkpoint(checkpoint, input_size=input_size, dynamic=dynamic), out)


def why_not_onnx(model: onnx.ModelProto) -> str | None:
    """None where the model is whole and each of its operators is known to ONNX, else the reason in words."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return str(error).strip().splitlines()[0][:200]
    return None


def export_onnx(model: onnx.ModelProto, out: Path) -> Artefact:
    """Write a described model of any precision. Raises InputError where it is not valid or `out` cannot be written."""
    reason = why_not_onnx(model)
    if reason is not None:
        raise InputError(f"the model cannot be written as ONNX: {reason}; report this architecture")
    description = read_description(model, out)
    write_atomic(out, model.SerializeToString())
    operators = {} if description.precision == "fp32" else executed_by_onnxruntime(model)
    return artefact_of(out, "onnx", description, "onnxruntime", operators=operators)


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model after constant folding and removal of what does nothing; its metadata is kept. Where the simplifier is not
    installed it is as it was: `build_onnx` writes no more than is needed."""
    try:
        import onnxsim
    except ModuleNotFoundError:
        return model
    simplified: onnx.ModelProto
    simplified, same = onnxsim.simplify(model)
    if not same:
        raise InputError("the simplified ONNX graph answers otherwise than the original; report this architecture")
    del simplified.metadata_props[:]
    simplified.metadata_props.extend(model.metadata_props)
    return simplified


def load_onnx(path: Path) -> onnx.ModelProto:
    """Read an ONNX file. Raises InputError where it is absent or cut off."""
    from google.protobuf.message import DecodeError

    content = read_bytes(path, "model", _MAX_BYTES)
    try:
        model = onnx.load_from_string(content)
    except (DecodeError, ValueError) as error:
        raise InputError(f"{path} is no whole ONNX file ({error}); export or copy it again") from error
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise InputError(f"{path} keeps weights in another file, which is not read; export it again, as one file")
    if not model.graph.node:
        raise InputError(f"{path} is no whole ONNX file (it holds no operator); export or copy it again")
    return model


def read_description(model: onnx.ModelProto, path: Path) -> Description:
    """The description inside an exported model. Raises InputError where there is none."""
    return description_from_metadata({entry.key: entry.value for entry in model.metadata_props}, path)


def redescribe(model: onnx.ModelProto, description: Description) -> onnx.ModelProto:
    """The same model, changed in place, with another description."""
    onnx.helper.set_model_props(model, description.to_metadata())
    return model


def open_sides(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose height and width are left open, whatever the file fixed: our graphs work at any multiple of 32."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for value in (*copy.graph.input, *copy.graph.output):
        for axis, name in ((2, "height"), (3, "width")):
            dimension = value.type.tensor_type.shape.dim[axis]
            dimension.Clear()
            dimension.dim_param = f"{name} of {value.name}"
    del copy.graph.value_info[:]
    return copy


def with_layers(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy that gives the outputs of layers beside its own; names that it lacks are passed over."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    present = {output for node in copy.graph.node for output in node.output}
    outputs = {output.name for output in copy.graph.output}
    for name in names:
        if name in present - outputs:
            copy.graph.output.add().name = name
    return copy
