"""What a network costs: the costs that budgets limit, and those that need no measurement, counted.

FLOPs are the paper's: multiply-accumulates of the convolutions. Parameters are counted as the published tables count
them: the head's norms once (not once a level) and without the three level scales; on export all norms fold away.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from facenas.architecture import IMAGE_CHANNELS, Architecture
from facenas.graph import IMAGE, Graph, Layer, build_graph
from facenas.units import MEGABYTES, MILLIONS, MILLISECONDS, ONES, Size, Unit

BYTES_PER_VALUE = 4
_LATENCY = "latency "


@dataclass(frozen=True)
class Cost:
    """What a budget can limit: `key` names it in files and messages, `label` as a person says it."""

    key: str
    label: str
    unit: Unit


FLOPS = Cost("flops", "FLOPs", MILLIONS)
PARAMS = Cost("params", "parameters", MILLIONS)
LAYERS = Cost("layers", "layers", ONES)
MEMORY = Cost("memory", "peak memory", MEGABYTES)
RELEASED_FLOPS = Cost("released_flops", "released FLOPs", MILLIONS)
_COUNTED = (FLOPS, PARAMS, LAYERS, MEMORY, RELEASED_FLOPS)


def latency_cost(target: str) -> Cost:
    """The latency on a target."""
    return Cost(f"{_LATENCY}{target}", f"latency on {target}", MILLISECONDS)


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
    total = 0
    seen: set[str] = set()
    for layer in layers:
        if not layer.weight or layer.weight in seen:
            continue
        seen.add(layer.weight)
        operator = layer.operator
        total += operator.out_channels * operator.weights_per_output
        total += operator.out_channels * ((1 if layer.bias else 0) + (2 if layer.norm else 0))
    return total


def peak_values(layers: Iterable[Layer], given: Mapping[str, int], kept: Iterable[str]) -> int:
    """Most values alive at once while `layers` run on the `given` feature maps (name to number of values).

    A layer's output is written beside its inputs, not in place; maps in `kept` stay alive to the end.
    """
    layers = tuple(layers)
    values = dict(given) | {layer.name: layer.operator.out_values for layer in layers}
    last_use = {name: index for index, layer in enumerate(layers) for name in layer.inputs}
    last_use |= dict.fromkeys(kept, len(layers))
    alive = peak = sum(given.values())
    for index, layer in enumerate(layers):
        alive += values[layer.name]
        peak = max(peak, alive)
        alive -= sum(values[name] for name in set(layer.inputs) if last_use[name] == index)
    return peak


def peak_memory_bytes(graph: Graph) -> int:
    """Largest total of feature maps alive while one layer runs, at 4 bytes a value (fp32)."""
    size = graph.input_size
    image = IMAGE_CHANNELS * size.width_px * size.height_px
    return BYTES_PER_VALUE * peak_values(graph.layers, {IMAGE: image}, graph.outputs)


def detector_costs(detector: Architecture, input_size: Size) -> Costs:
    """FLOPs, parameters and peak activation memory of the whole detector at one input size."""
    graph = build_graph(detector, input_size)
    return Costs(count_flops(graph.layers), count_parameters(graph.layers), peak_memory_bytes(graph))


def cost_of(key: str) -> Cost:
    """The cost that a file names; one that is not known is a number without a unit."""
    if key.startswith(_LATENCY):
        return latency_cost(key.removeprefix(_LATENCY))
    return next((cost for cost in _COUNTED if cost.key == key), Cost(key, key, ONES))
