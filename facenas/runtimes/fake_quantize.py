"""An int8 network for timing only: FakeQuantize operations put where post-training quantisation (NNCF) puts them.

Latency depends on where values are quantised, not on the ranges. NNCF quantises the image, every sum of convolution and
bias or of residuals that no ReLU follows, every ReLU and every upsampling, except what is an output, and the weights of
all convolutions. OpenVINO computes depthwise convolutions of such networks in floating point all the same, so their
weights are left alone here: with made-up ranges it would take them for int8. NNCF takes seconds for one network and
needs torch, so the hundreds of networks of a profile are quantised here.
"""

from typing import Any

import numpy as np
import openvino
from openvino import opset13

_ACTIVATION_RANGE = 4.0
_WEIGHT_LEVELS = 255
_ACTIVATION_LEVELS = 256
_QUANTISED = ("Parameter", "Add", "Relu", "Interpolate")


def fake_quantize(model: openvino.Model) -> openvino.Model:
    """The same model with FakeQuantize operations; `model` itself is changed."""
    for operation in model.get_ordered_ops():
        kind = operation.get_type_name()
        if kind in _QUANTISED:
            _quantize_output(operation)
        if kind == "Convolution":
            _quantize_weights(operation)
    model.validate_nodes_and_infer_types()
    return model


def _quantize_output(operation: Any) -> None:
    output = operation.output(0)
    consumers = list(output.get_target_inputs())
    kinds = {consumer.get_node().get_type_name() for consumer in consumers}
    # The runtime fuses the ReLU, so only what comes out of it is quantised; an output of the network stays as it is.
    if kinds & {"Relu", "Result"} or not kinds:
        return
    per_channel = kinds == {"GroupConvolution"} and operation.get_type_name() != "Parameter"
    shape = [1, int(output.get_shape()[1]), 1, 1] if per_channel else [1, 1, 1, 1]
    unsigned = operation.get_type_name() == "Relu"
    low = np.full(shape, 0.0 if unsigned else -_ACTIVATION_RANGE * 128 / 127, np.float32)
    # Channels of different ranges, as real ones have: the runtime would merge equal ones and compute something else.
    spread = np.linspace(0.5, 1, shape[1], dtype=np.float32).reshape(shape)
    low, high = low * spread, np.full(shape, _ACTIVATION_RANGE, np.float32) * spread
    quantized = _fake_quantize(output, low, high, _ACTIVATION_LEVELS, f"{operation.get_friendly_name()}/fq_output_0")
    for consumer in consumers:
        consumer.replace_source_output(quantized)


def _quantize_weights(operation: Any) -> None:
    weights = operation.input_value(1)
    values = np.asarray(weights.get_node().data)
    high = np.abs(values).max(axis=(1, 2, 3), keepdims=True).astype(np.float32)
    name = f"{operation.get_friendly_name()}/fq_weights_1"
    operation.input(1).replace_source_output(_fake_quantize(weights, -high, high, _WEIGHT_LEVELS, name))


def _fake_quantize(source: Any, low: Any, high: Any, levels: int, name: str) -> Any:
    ends = [opset13.constant(end) for end in (low, high)]
    node = opset13.fake_quantize(source, *ends, *ends, levels=levels)
    node.set_friendly_name(name)
    return node.output(0)
