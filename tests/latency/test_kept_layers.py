"""The layers that are kept in float32 are the optimum of all choices, conversions included."""

from itertools import product

import numpy as np
import pytest
from helpers.random_networks import TINY
from hypothesis import given
from hypothesis import strategies as st

from facenas.graph import Graph, build_graph
from facenas.latency.kept_layers import LayerCosts, choose_kept
from facenas.units import Size

WHOLE = build_graph(TINY, Size(96, 64))
NECK = [layer.name for layer in WHOLE.layers if layer.name.startswith("neck.")]
PART = Graph(tuple(layer for layer in WHOLE.layers if layer.name in NECK[:10]), (), WHOLE.input_size)


def random_costs(graph: Graph, seed: int) -> LayerCosts:
    generator = np.random.default_rng(seed)
    names = [layer.name for layer in graph.layers]
    drawn = [dict(zip(names, generator.uniform(1, high, len(names)), strict=True)) for high in (50, 60, 15, 1000)]
    return LayerCosts(*drawn)


def cost_of(graph: Graph, costs: LayerCosts, kept: set[str]) -> float:
    """As the file is timed: each layer in its precision, each tensor converted once in each direction it is asked in."""
    layers = {layer.name for layer in graph.layers}
    total = sum((costs.float_us if name in kept else costs.int8_us)[name] for name in layers)
    for name in layers:
        users = [layer.name for layer in graph.layers if name in layer.inputs]
        total += costs.conversion_us[name] * any((user in kept) != (name in kept) for user in users)
    return total


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_no_choice_is_faster_with_so_little_noise(seed: int, share: float) -> None:
    costs = random_costs(PART, seed)
    limit = share * sum(costs.noise.values())
    names = [layer.name for layer in PART.layers]
    best = min(
        cost_of(PART, costs, kept)
        for flags in product((False, True), repeat=len(names))
        if sum(costs.noise[name] for name in names if name not in (kept := _of(names, flags))) <= limit
    )
    found = choose_kept(PART, costs, limit)
    assert found.latency_us == pytest.approx(best, abs=1e-4)
    assert cost_of(PART, costs, set(found.layers)) == pytest.approx(best, abs=1e-4)
    assert found.noise <= limit + 1e-6


def _of(names: list[str], flags: tuple[bool, ...]) -> set[str]:
    return {name for name, flag in zip(names, flags, strict=True) if flag}


def test_without_noise_to_lose_only_what_is_faster_is_kept() -> None:
    names = [layer.name for layer in WHOLE.layers]
    slower, equal = dict.fromkeys(names, 20.0), dict.fromkeys(names, 10.0)
    costs = LayerCosts(equal, slower, dict.fromkeys(names, 1.0), dict.fromkeys(names, 1.0))
    assert choose_kept(WHOLE, costs, len(names)).layers == ()
    assert set(choose_kept(WHOLE, costs, 0.0).layers) == set(names)
    faster = LayerCosts(equal, slower | {names[0]: 1.0}, dict.fromkeys(names, 1.0), dict.fromkeys(names, 1.0))
    assert choose_kept(WHOLE, faster, len(names)).layers == (names[0],)
