"""The graph: an order that can run, every weight shape the same wherever it is shared, and stages that add up."""

from dataclasses import replace

from helpers.random_architectures import small_detectors
from hypothesis import given, settings

from facenas.architecture import Architecture, parse_architecture, published_detector
from facenas.graph import (
    IMAGE,
    STRIDES,
    Layer,
    build_graph,
    inventory,
    neck_and_head_layers,
    output_channels,
    stage_layers,
)
from facenas.units import Size

SIZE = Size(96, 64)
SHORTCUTS = (
    "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,8,2,8,3)SuperResK1K3K1(8,8,2,8,2)"
    "SuperResIDWE2K3(8,16,2,16,2)SuperResIDWE1K3(16,16,2,8,1)"
)


@settings(max_examples=50)
@given(small_detectors())
def test_layers_come_in_an_order_that_can_run_and_fit_each_other(detector: Architecture) -> None:
    graph = build_graph(detector, SIZE)
    shapes = {IMAGE: (3, SIZE.height_px, SIZE.width_px)}
    weights: dict[str, tuple[object, ...]] = {}
    for layer in graph.layers:
        operator = layer.operator
        assert shapes[layer.inputs[0]] == (operator.in_channels, operator.height_px, operator.width_px)
        out = (operator.out_channels, operator.out_height_px, operator.out_width_px)
        assert operator.add == (len(layer.inputs) == 2)
        if operator.add:
            assert shapes[layer.inputs[1]] == out
        assert layer.name not in shapes
        shapes[layer.name] = out
        shape = (operator.kind, operator.in_channels, operator.out_channels, operator.kernel_size, layer.bias)
        assert not layer.weight or weights.setdefault(layer.weight, shape) == shape
    channels = output_channels(landmarks=detector.landmarks)
    for name, stride in zip(graph.outputs, STRIDES, strict=True):
        assert shapes[name] == (channels, SIZE.height_px // stride, SIZE.width_px // stride)


@settings(max_examples=25)
@given(small_detectors())
def test_stages_neck_and_head_alone_hold_the_operators_of_the_whole(detector: Architecture) -> None:
    detector = replace(detector, landmarks=False)
    parts = [
        layer.operator
        for position, stage in enumerate(detector.backbone.stages)
        for layer in stage_layers(stage, position, SIZE)
    ]
    p3, p4, p5 = (stage.out_channels for stage in detector.backbone.stages[2:])
    end = neck_and_head_layers((p3, p4, p5), detector.neck_and_head, SIZE)
    assert (*parts, *(layer.operator for layer in end)) == inventory(detector, SIZE)


def test_a_projection_stands_in_a_stages_first_residual_and_where_the_width_changes() -> None:
    graph = build_graph(parse_architecture(SHORTCUTS), SIZE)
    projections = [layer.name for layer in graph.layers if layer.name.endswith(".shortcut")]
    assert projections == [
        "backbone.stage2.0.shortcut",
        "backbone.stage3.0.a.shortcut",
        "backbone.stage4.0.a.shortcut",
        "backbone.stage5.0.a.shortcut",
        "backbone.stage5.0.b.shortcut",
    ]
    by_name = {layer.name: layer for layer in graph.layers}
    assert by_name["backbone.stage2.1.conv2"].inputs == ("backbone.stage2.1.conv1", "backbone.stage2.0.conv2")
    assert by_name["backbone.stage4.1.a.project"].inputs[1] == "backbone.stage4.0.b.project"


def test_the_head_shares_convolutions_between_levels_but_no_norm_and_no_scale() -> None:
    head = [
        layer
        for layer in build_graph(published_detector("damofd-2.5g"), SIZE).layers
        if layer.name.startswith(("head.", "output_"))
    ]
    by_weight: dict[str, list[Layer]] = {}
    for layer in head:
        by_weight.setdefault(layer.weight, []).append(layer)
    assert all(len(layers) == len(STRIDES) for layers in by_weight.values())
    norms = [layer.norm for layer in head if layer.norm]
    scales = [layer.scale for layer in head if layer.scale]
    assert len(norms) == len(set(norms)) == 2 * len(STRIDES)
    assert scales == ["head.scale.8", "head.scale.16", "head.scale.32"]
