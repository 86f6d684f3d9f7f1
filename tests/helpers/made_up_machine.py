"""A made-up machine on which operators cost what a function says, in the place of an agent that measures."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from facenas.architecture import Architecture
from facenas.graph import build_graph
from facenas.latency.table import Calibration, LatencyTable, OperatorTime
from facenas.operators import Operator
from facenas.runtimes.local_agent import Measurement
from facenas.spaces.space import Space
from facenas.units import Size

OFFSET_NS = 100_000
COMPANION_NS = 800_000


def other_machine(operators: Mapping[Operator, float], seed: int) -> dict[Operator, float]:
    """The same operators where each takes .3 to 3 times as long."""
    generator = np.random.default_rng(seed)
    return {operator: cost * float(np.exp(generator.uniform(-1.2, 1.1))) for operator, cost in operators.items()}


def made_up_table(table: LatencyTable, costs_ns: Mapping[Operator, float]) -> LatencyTable:
    """`table` with other times."""
    times = {operator: OperatorTime(9, round(cost), round(cost), 0, stable=True) for operator, cost in costs_ns.items()}
    return replace(table, operators=times, calibration=Calibration(1.0, OFFSET_NS, 0.95, 1.05, 1.0, 3.0, 60, "made up"))


class MadeUpMachine:
    """Answers like an agent. `slow(visit)`: how many times as long a visit takes because another tenant shares the core;
    `waited(visit)`: for what share of it other programs had the core.
    """

    def __init__(
        self,
        costs_ns: Mapping[Operator, float],
        slow: Callable[[int], float] = lambda visit: 1.0,
        waited: Callable[[int], float] = lambda visit: 0.0,
        noise: float = 0.002,
    ) -> None:
        self.costs_ns, self._slow, self._waited, self._noise = costs_ns, slow, waited, noise
        self.visits = 0
        self._generator = np.random.default_rng(0)

    def __enter__(self) -> "MadeUpMachine":
        return self

    def __exit__(self, *error: object) -> None: ...

    def latency_ns(self, detector: Architecture, input_size: Size) -> float:
        """What a network really takes."""
        return OFFSET_NS + sum(self.costs_ns[entry] for entry in build_graph(detector, input_size).operators)

    def measure(
        self, detector: Architecture, input_size: Size, *, runs: int, layers: bool, quiet_ns: int = 0
    ) -> Measurement:
        slow, waited = self._slow(self.visits), self._waited(self.visits)
        self.visits += 1
        factor = slow * (1 + waited) * (1 + self._noise * abs(self._generator.standard_normal(runs)))
        companion_ns = round(COMPANION_NS * slow)
        if not layers:
            total_ns = self.latency_ns(detector, input_size) * factor
            return Measurement(tuple(total_ns.round().astype(int).tolist()), {}, (), waited, companion_ns)
        graph = build_graph(detector, input_size)
        times = {layer.name: (self.costs_ns[layer.operator] * factor).round().tolist() for layer in graph.layers}
        return Measurement((), times, (0,) * runs, waited, companion_ns)


def operators_of(space: Space, input_size: Size) -> dict[Operator, float]:
    """Made-up costs of all operators of a space."""
    return {
        operator: 5_000.0 + operator.macs / 50 + operator.out_values / 20
        for operator in sorted(space.operators(input_size))
    }
