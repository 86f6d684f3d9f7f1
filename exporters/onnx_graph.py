"""From a detector's graph and its folded weights to an ONNX model, the interchange of every runtime.

The model is written directly from `facenas.graph`, so the exported network and the networks that a latency table is
measured on are made by the same few lines, operator for operator. Batch norm is folded beforehand,

    w' = w * gain / sqrt(variance + eps),   b' = (b - mean) * gain / sqrt(variance + eps) + offset,

and a level's learnt box scale into the weights of that level's box convolution. Graph input `image` is float32
[1, 3, height, width]; outputs are float32 [1, channels, height/stride, width/stride], raw (no sigmoid).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from facenas.arrays import Float64Array, FloatArray
from facenas.errors import InputError
from facenas.graph import BOX_CHANNELS, IMAGE, NORM_EPSILON, Graph, Layer
from facenas.operators import Kind, Operator

OPSET = 17
IR_VERSION = 8


@dataclass(frozen=True, eq=False)
class FoldedConv:
    """Weight float32 [out, in per group, kernel, kernel] and bias float32 [out] of one layer, norm and scale folded in."""

    weight: FloatArray
    bias: FloatArray


def weight_shape(operator: Operator) -> tuple[int, int, int, int]:
    """Shape of a convolution's weight: [out, in per group, kernel, kernel]."""
    in_per_group = 1 if operator.kind is Kind.DEPTHWISE else operator.in_channels
    return operator.out_channels, in_per_group, operator.kernel_size, operator.kernel_size


def fold(graph: Graph, state: Mapping[str, FloatArray]) -> dict[str, FoldedConv]:
    """Fold norms, biases and level scales of a checkpoint's tensors; keys are layer names.

    Raises InputError where a tensor is missing or has another shape than the architecture asks for.
    """
    return {layer.name: _fold_layer(layer, state) for layer in graph.layers if layer.weight}


def _fold_layer(layer: Layer, state: Mapping[str, FloatArray]) -> FoldedConv:
    channels = layer.operator.out_channels

    def tensor(key: str, shape: tuple[int, ...]) -> Float64Array:
        if key not in state or state[key].shape != shape:
            found = f"has shape {list(state[key].shape)}" if key in state else "is missing"
            raise InputError(f"checkpoint tensor '{key}' {found}, needs {list(shape)}; it is of another architecture")
        if not np.isfinite(state[key]).all():
            raise InputError(
                f"checkpoint tensor '{key}' holds numbers that are not finite, so the network answers nothing; take an earlier "
                "checkpoint, or train again with a lower learning rate"
            )
        return state[key].astype(np.float64)

    weight = tensor(f"{layer.weight}.weight", weight_shape(layer.operator))
    bias = tensor(f"{layer.weight}.bias", (channels,)) if layer.bias else np.zeros(channels)
    if layer.norm:
        gain = tensor(f"{layer.norm}.weight", (channels,))
        gain = gain / np.sqrt(tensor(f"{layer.norm}.running_var", (channels,)) + NORM_EPSILON)
        bias = (bias - tensor(f"{layer.norm}.running_mean", (channels,))) * gain
        bias = bias + tensor(f"{layer.norm}.bias", (channels,))
        weight = weight * gain[:, None, None, None]
    if layer.scale:
        factor = np.ones(channels)
        factor[BOX_CHANNELS] = tensor(layer.scale, ())
        weight, bias = weight * factor[:, None, None, None], bias * factor
    return FoldedConv(weight.astype(np.float32), bias.astype(np.float32))


def random_weights(graph: Graph) -> dict[str, FoldedConv]:
    """Weights of a plausible size (He initialisation) for networks that only their latency is asked of.

    Latency must not depend on them: activations stay near 1, far from denormal numbers, which slow a CPU down.
    """
    generator = np.random.default_rng(0)
    weights = {}
    for layer in graph.layers:
        if layer.weight:
            fan_in = max(1, layer.operator.weights_per_output)
            weight = generator.standard_normal(weight_shape(layer.operator), dtype=np.float32) * np.sqrt(1 / fan_in)
            bias = generator.standard_normal(layer.operator.out_channels, dtype=np.float32) * 0.1
            weights[layer.name] = FoldedConv(weight.astype(np.float32), bias.astype(np.float32))
    return weights


def build_onnx(
    graph: Graph,
    weights: Mapping[str, FoldedConv],
    *,
    dynamic: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """The ONNX model of `graph`. `dynamic` leaves batch, height and width open (sides must be multiples of 32)."""
    nodes: list[onnx.NodeProto] = []
    initializers = [numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "upsample.scales")]
    for layer in graph.layers:
        if layer.operator.kind is Kind.UPSAMPLE:
            nodes.append(_upsample_node(layer))
            continue
        conv = weights[layer.name]
        initializers.append(numpy_helper.from_array(conv.weight, f"{layer.name}.weight"))
        initializers.append(numpy_helper.from_array(conv.bias, f"{layer.name}.bias"))
        nodes += _conv_nodes(layer)
    size = graph.input_size
    image_shape: list[Any] = ["batch", 3, "height", "width"] if dynamic else [1, 3, size.height_px, size.width_px]
    image = helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, image_shape)
    layers = {layer.name: layer for layer in graph.layers}
    outputs = [_output_info(layers[name], dynamic=dynamic) for name in graph.outputs]
    model = helper.make_model(
        helper.make_graph(nodes, "facenas", [image], outputs, initializers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="facenas",
    )
    helper.set_model_props(model, dict(metadata or {}))
    return model


def _conv_nodes(layer: Layer) -> list[onnx.NodeProto]:
    """Conv, then Add and Relu where fused; the last of them carries the layer's name as its output."""
    operator = layer.operator
    steps = ["conv", *(["add"] if operator.add else []), *(["relu"] if operator.relu else [])]
    outputs = [f"{layer.name}/{step}" for step in steps[:-1]] + [layer.name]
    pad = operator.kernel_size // 2
    nodes = [
        helper.make_node(
            "Conv",
            [layer.inputs[0], f"{layer.name}.weight", f"{layer.name}.bias"],
            [outputs[0]],
            name=f"{layer.name}/conv",
            kernel_shape=[operator.kernel_size] * 2,
            strides=[operator.stride] * 2,
            pads=[pad] * 4,
            group=operator.in_channels if operator.kind is Kind.DEPTHWISE else 1,
        )
    ]
    for index, step in enumerate(steps[1:], 1):
        inputs = [outputs[index - 1], layer.inputs[1]] if step == "add" else [outputs[index - 1]]
        nodes.append(helper.make_node(step.capitalize(), inputs, [outputs[index]], name=f"{layer.name}/{step}"))
    return nodes


def _upsample_node(layer: Layer) -> onnx.NodeProto:
    return helper.make_node(
        "Resize",
        [layer.inputs[0], "", "upsample.scales"],
        [layer.name],
        name=layer.name,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _output_info(layer: Layer, *, dynamic: bool) -> onnx.ValueInfoProto:
    operator = layer.operator
    shape: list[Any] = [1, operator.out_channels, operator.out_height_px, operator.out_width_px]
    if dynamic:
        stride = layer.name.rsplit("_", 1)[1]
        shape = ["batch", operator.out_channels, f"height/{stride}", f"width/{stride}"]
    return helper.make_tensor_value_info(layer.name, TensorProto.FLOAT, shape)
