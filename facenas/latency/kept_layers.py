"""Which layers of an int8 network to keep in float32: the least predicted latency at which so little noise is left.

With x_l = 1 for a layer that is kept, its float32 and int8 times f_l and i_l from the tables of both, n_l the noise that int8
brings in there, and a conversion of c_t wherever a tensor passes from one side to the other,

    minimise     sum_l  x_l f_l + (1 - x_l) i_l  +  sum_t  c_t (q_t + d_t)
    subject to   sum_l  (1 - x_l) n_l  <=  most_noise,
                 q_t >= x_producer - x_consumer,   d_t >= x_consumer - x_producer   for every consumer of t,

a mixed-integer program of some dozens of variables, which is solved exactly. The image and the outputs are float32 in any
case; their conversions are in the table's times of the layers that they belong to.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from facenas.arrays import Float64Array
from facenas.graph import Graph, Layer


@dataclass(frozen=True)
class LayerCosts:
    """By layer: microseconds in int8 and in float32, and the noise of int8; `conversion_us`: of a tensor of the layer's
    output."""

    int8_us: Mapping[str, float]
    float_us: Mapping[str, float]
    conversion_us: Mapping[str, float]
    noise: Mapping[str, float]


@dataclass(frozen=True)
class Kept:
    """The layers kept in float32, in execution order; what the network is predicted to take, and the noise that is left."""

    layers: tuple[str, ...]
    latency_us: float
    noise: float


def choose_kept(graph: Graph, costs: LayerCosts, most_noise: float) -> Kept:
    """The optimum of the program above."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    layers = [layer.name for layer in graph.layers]
    count = len(layers)
    int8_us, float_us, noise = (
        np.array([values[name] for name in layers]) for values in (costs.int8_us, costs.float_us, costs.noise)
    )
    edges = _edges(graph.layers)
    tensors = {producer: count + 2 * index for index, producer in enumerate(dict.fromkeys(p for p, _ in edges))}
    objective = np.concatenate([float_us - int8_us, np.zeros(2 * len(tensors))])
    for producer, first in tensors.items():
        objective[first : first + 2] = costs.conversion_us[layers[producer]]
    rows = [np.concatenate([-noise, np.zeros(2 * len(tensors))])]
    limits = [most_noise - noise.sum()]
    for producer, consumer in edges:
        for direction, (one, other) in enumerate(((producer, consumer), (consumer, producer))):
            row = np.zeros(len(objective))
            row[one], row[other], row[tensors[producer] + direction] = 1, -1, -1
            rows.append(row)
            limits.append(0.0)
    found = milp(
        objective,
        integrality=(np.arange(len(objective)) < count).astype(int),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(np.array(rows), -np.inf, np.array(limits)),
        options={"mip_rel_gap": 0.0},
    )
    keep: Float64Array = np.round(found.x[:count])
    kept = tuple(name for name, kept in zip(layers, keep, strict=True) if kept)
    return Kept(kept, float(int8_us.sum() + found.fun), float(noise @ (1 - keep)))


def _edges(layers: tuple[Layer, ...]) -> list[tuple[int, int]]:
    """Producer and consumer of every tensor within the network, by index."""
    index = {layer.name: number for number, layer in enumerate(layers)}
    return [(index[name], number) for number, layer in enumerate(layers) for name in layer.inputs if name in index]
