"""What is really computed in which precision, whatever a file says of itself: int8 must be int8.

`executed_by_...` and `layers_by_...` read it from the graph that a runtime made of a file; `weights_by_...` from the file
alone, from how its convolutions get their weights. Nodes are called `<layer>` or `<layer>/<step>`; runtimes keep such a name.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

# ONNX Runtime's own operators, after its rewriting, by the operator that they compute.
_QUANTISED = re.compile(r"QLinear(?P<operator>Conv|Add|Concat)|(?P<integer>ConvInteger)")
_COUNTED = ("Conv", "FusedConv", "Add")
_OWN_WORDS = re.compile(r"^InsertedPrecisionFreeCast_|_nchwc$")
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
    counts = Counter(" ".join(found) for node in optimized.graph.node if (found := _executed_node(node)))
    return dict(sorted(counts.items()))


def layers_by_onnxruntime(optimized: onnx.ModelProto) -> dict[str, str]:
    """The precision of each layer's convolution in the graph that ONNX Runtime made of a file."""
    layers = {}
    for node in optimized.graph.node:
        found = _executed_node(node)
        if found is not None and found[0] == "Conv":
            layers[_layer_of(_OWN_WORDS.sub("", node.name))] = found[1]
    return layers


def _executed_node(node: onnx.NodeProto) -> tuple[str, str] | None:
    """The operator and its precision, of those that are counted."""
    if match := _QUANTISED.fullmatch(node.op_type):
        return match["operator"] or "Conv", "int8"
    return (node.op_type.removeprefix("Fused"), "fp32") if node.op_type in _COUNTED else None


def weights_by_onnx(model: onnx.ModelProto) -> dict[str, str]:
    """By layer, the precision of its convolution's weights: int8 where they are dequantised, else that of their numbers."""
    constants = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    producers = {output: node.op_type for node in model.graph.node for output in node.output}
    layers = {}
    for node in model.graph.node:
        if node.op_type == "Conv" and len(node.input) > 1:
            weight = node.input[1]
            half = constants.get(weight) == onnx.TensorProto.FLOAT16
            int8 = producers.get(weight) == "DequantizeLinear"
            layers[_layer_of(node.name)] = "int8" if int8 else "fp16" if half else "fp32"
    return layers


def weights_by_openvino(network: Any) -> dict[str, str]:
    """The same of an OpenVINO model: int8 where a convolution's weight comes from a FakeQuantize, or as 8-bit numbers."""
    return {
        _layer_of(operation.get_friendly_name()): _weight_precision(operation.input_value(1).get_node())
        for operation in network.get_ops()
        if operation.get_type_name() in ("Convolution", "GroupConvolution")
    }


def _weight_precision(node: Any) -> str:
    kind = node.get_type_name()
    if kind == "FakeQuantize":
        return "int8"
    if kind == "Constant":
        return _PRECISION_NAMES.get(node.get_element_type().get_type_name(), "fp32")
    return _weight_precision(node.input_value(0).get_node())


def most(layers: Mapping[str, str]) -> str:
    """The precision of most layers."""
    return Counter(layers.values()).most_common(1)[0][0] if layers else "fp32"


def layers_by_openvino(compiled: Any) -> dict[str, str]:
    """The precision of each layer's convolution in a compiled OpenVINO model."""
    layers = {}
    for operation in compiled.get_runtime_model().get_ops():
        information = operation.get_rt_info()
        if information["layerType"].astype(str) in _OPENVINO_COUNTED:
            precision = information["runtimePrecision"].astype(str)
            layers[_layer_of(operation.get_friendly_name())] = _PRECISION_NAMES.get(precision, precision)
    return layers


def executed_by_openvino(compiled: Any) -> dict[str, int]:
    """Convolutions of a compiled OpenVINO model by precision, for example {"Convolution int8": 36}."""
    counts = Counter(f"Convolution {precision}" for precision in layers_by_openvino(compiled).values())
    return dict(sorted(counts.items()))


def _layer_of(name: str) -> str:
    return name.partition("/")[0]
