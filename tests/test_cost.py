"""Costs: the published detectors' counts to the last digit, and equality with what the exported graph holds."""

import numpy as np
import onnx
import pytest
from facenas.exporters.onnx_graph import build_onnx, random_weights
from helpers.random_architectures import small_detectors
from hypothesis import given, settings
from onnx import numpy_helper

from facenas.architecture import PUBLISHED_NAMES, Architecture, parse_architecture, published_detector
from facenas.cost import count_flops, count_parameters, detector_costs, peak_memory_bytes, peak_values
from facenas.graph import IMAGE, Graph, Layer, backbone_layers, build_graph
from facenas.operators import Kind, Operator
from facenas.units import Size

VGA = Size(640, 480)
SMALL = Size(96, 64)

# Parameters of the whole detector and of its backbone, and multiply-accumulates at 640x480.
PUBLISHED = {
    "damofd-0.5g": (258_186, 224_368, 492_511_200),
    "damofd-2.5g": (442_738, 342_968, 2_428_665_600),
    "damofd-10g": (1_269_322, 877_968, 9_619_516_800),
    "damofd-34g": (6_238_730, 4_049_664, 33_740_390_400),
}


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_published_detectors_have_the_published_counts(name: str) -> None:
    graph = build_graph(published_detector(name), VGA)
    counts = (
        count_parameters(graph.layers),
        count_parameters(backbone_layers(graph.layers)),
        count_flops(graph.layers),
    )
    assert counts == PUBLISHED[name]
    costs = detector_costs(published_detector(name), VGA)
    assert (costs.params, costs.flops) == (counts[0], counts[2])


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_published_detectors_equal_their_exported_convolutions(name: str) -> None:
    _assert_counts_equal_the_exported(published_detector(name), VGA)


@settings(max_examples=25)
@given(small_detectors())
def test_any_detector_equals_its_exported_convolutions(detector: Architecture) -> None:
    _assert_counts_equal_the_exported(detector, SMALL)


def _assert_counts_equal_the_exported(detector: Architecture, size: Size) -> None:
    graph = build_graph(detector, size)
    model = onnx.shape_inference.infer_shapes(build_onnx(graph, random_weights(graph)), strict_mode=True)
    costs = detector_costs(detector, size)
    assert costs.flops == _exported_macs(model)
    assert costs.params == _exported_parameters(model, graph)


def _exported_macs(model: onnx.ModelProto) -> int:
    """Weights times output positions, summed over the Conv nodes, with the shapes that onnx infers."""
    weights = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*model.graph.value_info, *model.graph.output)
    }
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    return sum(weights[node.input[1]].size * int(np.prod(shapes[node.output[0]][2:])) for node in convs)


def _exported_parameters(model: onnx.ModelProto, graph: Graph) -> int:
    """Parameters of the trained network, counted from its exported Conv nodes.

    A Conv's weight has as many values as before the export, and its bias as many as the norm's offset (or as the bias of
    a convolution without norm). Folding hides the norm's gain and, where a convolution with a norm has a bias too, that
    bias: these are added back. The head's three copies of a shared convolution count once.
    """
    total = 0
    seen = set()
    layers = {f"{layer.name}/conv": layer for layer in graph.layers}
    initializers = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        layer = layers.get(node.name) or layers[f"{node.output[0]}/conv"]
        if layer.weight in seen:
            continue
        seen.add(layer.weight)
        weight, bias = (initializers[name] for name in node.input[1:])
        hidden = (bias.size if layer.norm else 0) + (bias.size if layer.norm and layer.bias else 0)
        total += weight.size + bias.size + hidden
    return total


def test_peak_memory_by_hand() -> None:
    """Image 12 values; a writes 8 of them at 2x2 (8), b reads a (8 more), c adds a to b's output."""

    def layer(name: str, inputs: tuple[str, ...], channels: tuple[int, int]) -> Layer:
        return Layer(name, Operator(Kind.CONV, *channels, 1, 1, 2, 2, add=len(inputs) == 2), inputs, f"{name}.conv")

    a = layer("a", (IMAGE,), (3, 2))  # 12 + 8 alive, then 8
    b = layer("b", ("a",), (2, 5))  # 8 + 20
    c = layer("c", ("b", "a"), (5, 2))  # 8 + 20 + 8
    assert peak_values([a], {IMAGE: 12}, ["a"]) == 20
    assert peak_values([a, b], {IMAGE: 12}, ["b"]) == 28
    assert peak_values([a, b, c], {IMAGE: 12}, ["c"]) == 36
    assert peak_values([a, b, c], {IMAGE: 12}, ["c", IMAGE]) == 48


@settings(max_examples=25)
@given(small_detectors())
def test_peak_memory_equals_a_literal_simulation(detector: Architecture) -> None:
    graph = build_graph(detector, SMALL)
    values = {layer.name: layer.operator.out_values for layer in graph.layers}
    values[IMAGE] = 3 * SMALL.width_px * SMALL.height_px
    alive, peak = {IMAGE}, 0
    for index, layer in enumerate(graph.layers):
        alive.add(layer.name)
        peak = max(peak, sum(values[name] for name in alive))
        needed = {name for later in graph.layers[index + 1 :] for name in later.inputs} | set(graph.outputs)
        alive &= needed
    assert peak_memory_bytes(graph) == 4 * peak


def test_costs_grow_with_the_input_but_parameters_do_not() -> None:
    detector = parse_architecture(str(published_detector("damofd-0.5g")))
    small, large = (detector_costs(detector, size) for size in (Size(320, 256), Size(640, 512)))
    assert large.flops == 4 * small.flops
    assert large.peak_memory_bytes == 4 * small.peak_memory_bytes
    assert large.params == small.params
