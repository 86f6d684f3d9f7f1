"""An fp16 ONNX model from an fp32 one: weights and what flows between operators in half precision.

Input and outputs stay float32, with a Cast at both ends, so that a file of either precision is fed alike. Half
precision holds 11 bits and values up to 65,504; larger weights cannot be converted. Made for GPUs: ONNX Runtime takes it on the
CPU too, but computes it in float32 there, with conversions around every operator.
"""

from typing import Any

import numpy as np
import onnx
from facenas.exporters.artefact import DEFAULT_TARGET
from facenas.exporters.onnx import IN_MEMORY, read_description, redescribe
from onnx import TensorProto, helper, numpy_helper

from facenas.errors import InputError

_LARGEST = float(np.finfo(np.float16).max)


def why_not_half(model: onnx.ModelProto) -> str | None:
    """None where all weights fit half precision, else the reason in words."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            largest = float(np.abs(numpy_helper.to_array(tensor)).max(initial=0.0))
            if not largest <= _LARGEST:
                return f"'{tensor.name}' holds {largest:.3g}, half precision ends at {_LARGEST:,.0f}"
    return None


def half_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """The fp16 model of a described fp32 one. Raises InputError where a weight is too large."""
    return redescribe(halved(model), read_description(model, IN_MEMORY).as_exported("fp16", DEFAULT_TARGET))


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """An fp16 copy of an fp32 model, described or not. Raises InputError where a weight is too large."""
    reason = why_not_half(model)
    if reason is not None:
        raise InputError(f"the model cannot be exported in fp16: {reason}; use fp32 or bf16")
    half = onnx.ModelProto()
    half.CopyFrom(model)
    graph = half.graph
    del graph.value_info[:]
    # Only these operators' weights: a Resize wants its scales in float32.
    weights = {name for node in graph.node if node.op_type == "Conv" for name in node.input[1:]}
    for tensor in graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for node in graph.node:
        _rename(node.input, {value.name for value in graph.input} | {value.name for value in graph.output})
        _rename(node.output, {value.name for value in graph.output})
    into = [_cast(value.name, f"{value.name}/half", TensorProto.FLOAT16) for value in graph.input]
    out_of = [_cast(f"{value.name}/half", value.name, TensorProto.FLOAT) for value in graph.output]
    nodes = [*into, *graph.node, *out_of]
    del graph.node[:]
    graph.node.extend(nodes)
    return half


def _rename(names: Any, ends: set[str]) -> None:
    for index, name in enumerate(names):
        if name in ends:
            names[index] = f"{name}/half"


def _cast(source: str, to: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [to], name=f"{to}/cast", to=kind)
