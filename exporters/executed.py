"""What is really computed in which precision, whatever a file says of itself: int8 must be int8.

`executed_by_...` read it from the graph that a runtime made of a file; `computed_by_...` from the file alone, from how most of
its convolutions get their weights.
"""

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import onnx

# ONNX Runtime's own operators, after its rewriting, by the operator that they compute.
_QUANTISED = re.compile(r"QLinear(?P<operator>Conv|Add|Concat)|(?P<integer>ConvInteger)")
_COUNTED = ("Conv", "FusedConv", "Add")
_PRECISION_NAMES = {"f32": "fp32", "f16": "fp16", "u8": "int8", "i8": "int8"}
_OPENVINO_COUNTED = ("Convolution",)


def executed_by_onnxruntime(model: onnx.ModelProto) -> dict[str, int]:
    """Operators by kind and precision, for example {"Conv int8": 42}. The CPU computes half precision in float32."""
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="facenas-") as folder:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        optimized = onnx.load(options.optimized_model_filepath, load_external_data=False)
    counts: Counter[str] = Counter()
    for node in optimized.graph.node:
        if match := _QUANTISED.fullmatch(node.op_type):
            counts[f"{match['operator'] or 'Conv'} int8"] += 1
        elif node.op_type in _COUNTED:
            counts[f"{node.op_type.removeprefix('Fused')} fp32"] += 1
    return dict(sorted(counts.items()))


def computed_by_onnx(model: onnx.ModelProto) -> str:
    """The precision of most convolutions' weights: int8 where they are dequantised, else that of their numbers."""
    constants = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    producers = {output: node.op_type for node in model.graph.node for output in node.output}
    counts: Counter[str] = Counter()
    for node in model.graph.node:
        if node.op_type == "Conv" and len(node.input) > 1:
            weight = node.input[1]
            half = constants.get(weight) == onnx.TensorProto.FLOAT16
            counts["int8" if producers.get(weight) == "DequantizeLinear" else "fp16" if half else "fp32"] += 1
    return _most(counts)


def computed_by_openvino(network: Any) -> str:
    """The same of an OpenVINO model: int8 where a convolution's weight comes from a FakeQuantize, or as 8-bit numbers."""
    counts: Counter[str] = Counter()
    for operation in network.get_ops():
        if operation.get_type_name() in ("Convolution", "GroupConvolution"):
            counts[_weight_precision(operation.input_value(1).get_node())] += 1
    return _most(counts)


def _weight_precision(node: Any) -> str:
    kind = node.get_type_name()
    if kind == "FakeQuantize":
        return "int8"
    if kind == "Constant":
        return _PRECISION_NAMES.get(node.get_element_type().get_type_name(), "fp32")
    return _weight_precision(node.input_value(0).get_node())


def _most(counts: Counter[str]) -> str:
    return counts.most_common(1)[0][0] if counts else "fp32"


def executed_by_openvino(compiled: Any) -> dict[str, int]:
    """Operators of a compiled OpenVINO model by kind and precision, for example {"Convolution int8": 36}."""
    counts: Counter[str] = Counter()
    for operation in compiled.get_runtime_model().get_ops():
        information = operation.get_rt_info()
        kind = information["layerType"].astype(str)
        if kind in _OPENVINO_COUNTED:
            precision = information["runtimePrecision"].astype(str)
            counts[f"{kind} {_PRECISION_NAMES.get(precision, precision)}"] += 1
    return dict(sorted(counts.items()))
