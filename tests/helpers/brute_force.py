"""Random small search problems, and the answers that looking at every network gives, to hold the exact search against."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from facenas.architecture import DEFAULT_NECK_AND_HEAD, Architecture, Backbone, Family, NeckAndHead, Stage
from facenas.arrays import BoolArray, Float64Array, IntArray
from facenas.cost import count_flops, count_parameters, detector_costs
from facenas.errors import InputError
from facenas.graph import IMAGE, Graph, Layer, backbone_layers, build_graph, inventory
from facenas.operators import Operator
from facenas.scoring.ddsar import ScoreSettings, ddsar_score, sar_scores
from facenas.searching.budgets import Budgets
from facenas.searching.costs import LatencyModel
from facenas.searching.problem import Problem
from facenas.spaces.elastic_space import ElasticSpace, StageChoices
from facenas.spaces.space import Space
from facenas.units import Size

SIZE = Size(64, 64)


class RandomTable:
    """A latency model with a random part for every operator. All times are multiples of 1/1024 ms: sums are exact."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.constant_ms = seed % 64 / 1024

    def operator_ms(self, operator: Operator) -> float:
        """A share for the work, and a random one."""
        random = zlib.crc32(f"{self._seed} {operator}".encode()) % 64
        return (1 + operator.macs // 50_000 + random) / 1024


class FlatTable:
    """A latency model by which every operator takes a millisecond, so that many networks take equally long."""

    constant_ms = 0.0

    def operator_ms(self, _: Operator) -> float:
        """Always one."""
        return 1.0


def random_space(seed: int, choices: int) -> Space:
    """A space of about choices^5 networks: random stages between two widths a position."""
    generator = np.random.default_rng(seed)
    widths = [np.sort(generator.choice([8, 16, 24, 32], 2, replace=False)).tolist() for _ in range(5)]
    positions = []
    for position in range(5):
        entering = [3] if position == 0 else widths[position - 1]
        pairs = [(i, o) for i in entering for o in widths[position]]
        if position and generator.random() < 0.3:  # a pair of widths that no stage joins
            pairs.pop(int(generator.integers(len(pairs))))
        stages: set[Stage] = set()
        while len(stages) < len(entering) * choices:
            stages.add(_random_stage(generator, *pairs[len(stages) % len(pairs)]))
        positions.append(tuple(sorted(stages)))
    necks_and_heads = (
        (0, NeckAndHead(8, 8, 1, depthwise=True)),
        (widths[2][1], NeckAndHead(16, 16, 2, depthwise=False)),
    )
    return Space(f"random-{seed}", tuple(positions), necks_and_heads)


def random_elastic_space(seed: int) -> Space:
    """A slice space of some thousand networks: one or two widths, inner widths and depths a stage, four or eight ends.

    Heads of 400 channels hold more memory than the image does, so that a budget of it has a say in the ends, too.
    """
    generator = np.random.default_rng(seed)

    def some(values: tuple[int, ...], count: int) -> tuple[int, ...]:
        return tuple(sorted(generator.choice(values, count, replace=False).tolist()))

    while True:
        stages = [StageChoices(some((8, 16), 1)), StageChoices(some((8, 16, 24), 2))]
        stages += [
            StageChoices(some((8, 16, 24, 32, 48), 2), some((8, 16, 24, 32), int(generator.integers(1, 3))), depths)
            for depths in ((1,), some((1, 2, 3), 2), some((1, 2, 3), 2))
        ]
        choices = some((8, 16, 24), 2), some((8, 16, 400), 2), some((1, 2, 3), int(generator.integers(1, 3)))
        try:
            space = ElasticSpace(f"elastic-{seed}", tuple(stages), *choices).space
        except InputError:  # its largest, middle or smallest network is none
            continue
        if 300 <= space.size <= 20_000:
            return space


def _random_stage(generator: np.random.Generator, in_channels: int, out_channels: int) -> Stage:
    family = tuple(Family)[generator.integers(4)]
    kernel_size, second, bottleneck, expansion, sublayers = (
        int(generator.choice(values)) for values in ((3, 5, 7), (3, 5), (8, 16), (1, 2), (1, 2, 3))
    )
    return Stage(
        family,
        in_channels,
        out_channels,
        2,
        sublayers,
        kernel_size,
        second if family is Family.RESIDUAL else 0,
        0 if family is Family.CONV else bottleneck,
        expansion if family is Family.INVERTED else 0,
    )


def random_budgets(everything: "Everything", generator: np.random.Generator) -> Budgets:
    """A random combination of budgets, each at a value that some network costs; now and then below the least."""
    limits: dict[str, float] = {}
    names = list(everything.costs)
    for name in generator.choice(names, int(generator.integers(1, len(names) + 1)), replace=False):
        values = everything.costs[name]
        share = generator.choice([0.02, 0.1, 0.3, 0.6])
        limits[str(name)] = float(np.quantile(values, share, method="lower"))
        if generator.random() < 0.04:
            limits[str(name)] = float(values.min()) * 0.99
    latency_ms = {name.removeprefix("latency "): limit for name, limit in limits.items() if name.startswith("latency ")}
    layers = limits.get("layers")
    return Budgets(
        latency_ms,
        flops=limits.get("flops"),
        params=limits.get("params"),
        layers=None if layers is None else max(1, int(layers)),
        memory_bytes=limits.get("memory"),
    )


@dataclass(frozen=True, eq=False)
class Everything:
    """Every network of a space as a row `choices` [n, 6] of indices of stages and end, with score and costs [n] by name.

    `end_values` [ends]: what an end adds to the score. The parts of a network are taken from whole networks that hold
    them, by the names of their layers, and not from the functions that the search takes them from.
    """

    space: Space
    tables: Mapping[str, LatencyModel]
    settings: ScoreSettings = field(default_factory=ScoreSettings)
    end_values: Float64Array | None = None

    @cached_property
    def stages(self) -> list[list[Stage]]:
        """The choices by position, in the order of their strings."""
        return [sorted(choices, key=str) for choices in self.space.stages]

    @cached_property
    def ends(self) -> list[NeckAndHead]:
        """All necks and heads, in the order of the suffixes that they are written as."""
        of_space = {end for _, end in self.space.necks_and_heads}
        return sorted(of_space, key=lambda end: "" if end == DEFAULT_NECK_AND_HEAD else str(end))

    @cached_property
    def choices(self) -> IntArray:
        """All chains whose widths agree, each with every end that goes with the width of its third stage."""
        chains = np.array([[i] for i, stage in enumerate(self.stages[0]) if stage.in_channels == 3], np.intp)
        for position in range(1, 5):
            before = np.array([stage.out_channels for stage in self.stages[position - 1]])[chains[:, -1]]
            entering = np.array([stage.in_channels for stage in self.stages[position]])
            row, index = np.nonzero(before[:, None] == entering)
            chains = np.concatenate([chains[row], index[:, None]], axis=1)
        widths = np.array([stage.out_channels for stage in self.stages[2]])[chains[:, 2]]
        goes_with = np.array([[end in self.space.ends(int(width)) for end in self.ends] for width in widths])
        row, index = np.nonzero(goes_with)
        return np.concatenate([chains[row], index[:, None]], axis=1)

    def detector(self, row: int) -> Architecture:
        """The detector of a row."""
        *stages, end = self.choices[row]
        backbone = Backbone(tuple(self.stages[position][index] for position, index in enumerate(stages)))
        return Architecture(backbone, self.ends[end])

    @cached_property
    def score(self) -> Float64Array:
        """DDSAR, and what ends add to it."""
        total = np.zeros(len(self.choices))
        for position in range(5):
            rows, part = np.unique(self.choices[:, position], return_index=True)
            scores = np.zeros(len(self.stages[position]))
            for index, row in zip(rows, part, strict=True):
                sar = sar_scores(self.detector(int(row)).backbone, self.settings)[position]
                scores[index] = self.settings.stage_weights[position] * sar
            total += scores[self.choices[:, position]]
        return total if self.end_values is None else total + self.end_values[self.choices[:, 5]]

    @cached_property
    def costs(self) -> dict[str, Float64Array]:
        """Latencies by target, flops, params, layers and peak memory."""
        widths = np.stack(
            [
                np.array([stage.out_channels for stage in self.stages[position]])[self.choices[:, position]]
                for position in (2, 3, 4)
            ],
            axis=1,
        )
        # A stage's memory depends on itself and on the width of stage 3, which waits for the neck meanwhile.
        keys = [np.stack([self.choices[:, position], widths[:, 0]], axis=1) for position in range(5)]
        keys.append(np.concatenate([widths, self.choices[:, 5:]], axis=1))
        names = [*(f"latency {name}" for name in self.tables), "flops", "params", "memory"]
        costs = {name: np.zeros(len(self.choices)) for name in names}
        for part, key in enumerate(keys):
            _, rows, member = np.unique(key, axis=0, return_index=True, return_inverse=True)
            values = [self._costs_of_part(int(row), part) for row in rows]
            for name in names:
                mine = np.array([value[name] for value in values])[member.ravel()]
                costs[name] = np.maximum(costs[name], mine) if name == "memory" else costs[name] + mine
        for name, table in self.tables.items():
            costs[f"latency {name}"] += table.constant_ms
        depths = [np.array([stage.sublayers for stage in choices]) for choices in self.stages]
        costs["layers"] = np.sum(
            [depths[position][self.choices[:, position]] for position in range(5)], axis=0, dtype=float
        )
        return costs

    def _costs_of_part(self, row: int, part: int) -> dict[str, float]:
        """Costs of stage `part` (5: neck and head) of a row's whole network."""
        graph = build_graph(self.detector(row), SIZE)
        backbone = backbone_layers(graph.layers)
        layers = [layer for layer in backbone if layer.name.startswith(f"backbone.stage{part + 1}.")]
        if part == 5:
            layers = [layer for layer in graph.layers if layer not in backbone]
        latencies = {
            f"latency {name}": sum(table.operator_ms(layer.operator) for layer in layers)
            for name, table in self.tables.items()
        }
        memory = max(bytes_alive for layer, bytes_alive in bytes_alive_by_layer(graph) if layer in layers)
        return latencies | {"flops": count_flops(layers), "params": count_parameters(layers), "memory": memory}

    def whole_network_costs(self, row: int) -> dict[str, float]:
        """Score and costs of a row, computed from the whole network alone."""
        detector = self.detector(row)
        costs = detector_costs(detector, SIZE)
        latencies = {
            f"latency {name}": table.constant_ms + sum(map(table.operator_ms, inventory(detector, SIZE)))
            for name, table in self.tables.items()
        }
        return latencies | {
            "score": ddsar_score(sar_scores(detector.backbone, self.settings), self.settings.stage_weights),
            "flops": costs.flops,
            "params": costs.params,
            "memory": costs.peak_memory_bytes,
            "layers": detector.backbone.layers,
        }

    def feasible(self, budgets: Budgets, lifted: str = "") -> BoolArray:
        """[n]: whether a network is within all budgets but the one that is `lifted`."""
        limits = {f"latency {name}": limit for name, limit in budgets.latency_ms.items()}
        for name, limit in (
            ("flops", budgets.flops),
            ("params", budgets.params),
            ("layers", budgets.layers),
            ("memory", budgets.memory_bytes),
        ):
            if limit is not None:
                limits[name] = limit
        fits = np.ones(len(self.choices), bool)
        for name, limit in limits.items():
            if name != lifted:
                fits &= self.costs[name] <= limit
        return fits

    def best_first(self, rows: IntArray) -> IntArray:
        """`rows` by score, then latency (target by target), then FLOPs, then the architecture string."""
        keys = [self.choices[rows, position] for position in reversed(range(6))]
        latencies = [self.costs[f"latency {name}"][rows] for name in self.tables]
        keys += [self.costs["flops"][rows], *reversed(latencies), -np.round(self.score[rows] * 1e9)]
        return rows[np.lexsort(keys)]

    def top(self, rows: IntArray, count: int) -> list[int]:
        """The best rows of `rows` that differ in more than their kernel sizes, at most `count`."""
        seen: dict[object, int] = {}
        for row in self.best_first(rows):
            seen.setdefault(kernel_free(self.detector(int(row)).backbone), int(row))
            if len(seen) == count:
                break
        return list(seen.values())

    def frontier(self, rows: IntArray, resource: str) -> list[tuple[float, float]]:
        """Cost and score of the networks of `rows` that no other beats in both, cheapest first."""
        points: list[tuple[float, float]] = []
        cost, score = self.costs[resource][rows], self.score[rows]
        for index in np.lexsort((-score, cost)):
            if not points or score[index] > points[-1][1]:
                points.append((float(cost[index]), float(score[index])))
        return points


def kernel_free(backbone: Backbone) -> tuple[object, ...]:
    """What a backbone is when its kernel sizes are forgotten."""
    return tuple(
        (s.family, s.in_channels, s.out_channels, s.bottleneck_channels, s.expansion, s.sublayers)
        for s in backbone.stages
    )


def bytes_alive_by_layer(graph: Graph) -> list[tuple[Layer, int]]:
    """For every layer the bytes of all feature maps that are needed while it runs or later, its own output among them."""
    size = graph.input_size
    values = {layer.name: layer.operator.out_values for layer in graph.layers}
    values[IMAGE] = 3 * size.width_px * size.height_px
    result = []
    alive = {IMAGE}
    for index, layer in enumerate(graph.layers):
        alive.add(layer.name)
        result.append((layer, 4 * sum(values[name] for name in alive)))
        alive &= {name for later in graph.layers[index + 1 :] for name in later.inputs} | set(graph.outputs)
    return result


def problem_of(everything: Everything, budgets: Budgets) -> Problem:
    """The same space, tables and settings as the search takes them."""
    problem = Problem(everything.space, everything.settings, SIZE, everything.tables, budgets)
    if everything.end_values is not None:
        problem.scores = (*problem.scores[:5], everything.end_values)
    return problem
