"""Costs that need no measurement: multiply-accumulates, parameters, peak activation memory.

FLOPs are the paper's: multiply-accumulates of the convolutions. Parameters are counted as the published tables count
them: the head's norms once (not once a level) and without the three level scales; on export all norms fold away.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from facenas.architecture import Detector
from facenas.graph import IMAGE, Graph, Layer, build_graph
from facenas.units import Size


@dataclass(frozen=True)
class Costs:
    """`flops`: multiply-accumulates; `params`: parameters; `peak_memory_bytes`: activations alive at once, at fp32."""

    flops: int
    params: int
    peak_memory_bytes: int


def count_flops(layers: Iterable[Layer]) -> int:
    """Multiply-accumulates of all convolutions."""
    return sum(layer.operator.macs for layer in layers)


def count_parameters(layers: Iterable[Layer]) -> int:
    """Weights, biases and norms (gain and offset); parameters that several layers share count once, norms likewise."""
    total, seen = 0, set()
    for layer in layers:
        if not layer.weight or layer.weight in seen:
            continue
        seen.add(layer.weight)
        operator = layer.operator
        total += operator.out_channels * operator.weights_per_output
        total += operator.out_channels * ((1 if layer.bias else 0) + (2 if layer.norm else 0))
    return total


def peak_memory_bytes(graph: Graph, bytes_per_value: int = 4) -> int:
    """Largest total of feature maps alive while one layer runs; the output is written beside the inputs, not in place."""
    values = {IMAGE: 3 * graph.input_size.width_px * graph.input_size.height_px}
    values |= {layer.name: layer.operator.out_values for layer in graph.layers}
    last_use = {name: index for index, layer in enumerate(graph.layers) for name in layer.inputs}
    last_use |= dict.fromkeys(graph.outputs, len(graph.layers))
    alive, peak = values[IMAGE], 0
    for index, layer in enumerate(graph.layers):
        alive += values[layer.name]
        peak = max(peak, alive)
        alive -= sum(values[name] for name in set(layer.inputs) if last_use[name] == index)
    return peak * bytes_per_value


def detector_costs(detector: Detector, input_size: Size) -> Costs:
    """FLOPs, parameters and peak activation memory of the whole detector at one input size."""
    graph = build_graph(detector, input_size)
    return Costs(count_flops(graph.layers), count_parameters(graph.layers), peak_memory_bytes(graph))
