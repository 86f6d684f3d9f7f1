"""What a runtime really computes in which precision, read from the graph that it made of a file: int8 must be int8."""

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
