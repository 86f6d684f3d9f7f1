"""A search as arrays: for every stage choice its share of the score and of every budgeted cost.

The score and the costs of a detector are sums over its stages given the widths at their borders, plus what neck and
head cost given the widths of stages 3, 4 and 5. So a search is a shortest-path problem over positions, whose state is
(width of stage 3, current width): with it, neck, head and the memory that waiting features hold are known exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from facenas.architecture import IMAGE_CHANNELS, STAGE_COUNT, Detector, Stage
from facenas.cost import BYTES_PER_VALUE, count_flops, count_parameters, peak_values
from facenas.errors import BudgetError, InputError, LatencyBudgetError
from facenas.graph import IMAGE, STRIDES, Layer, neck_and_head_layers, stage_layers
from facenas.operators import Operator
from facenas.scoring.ddsar import ScoreSettings
from facenas.scoring.released import RELEASED_SIZE, released_flops_of
from facenas.searching.budgets import Budgets
from facenas.searching.objective import Ranking, stage_values
from facenas.spaces.space import Space
from facenas.units import Size

FloatArray = npt.NDArray[np.float64]
State = tuple[int, int]
START: State = (0, IMAGE_CHANNELS)


class LatencyModel(Protocol):
    """What the search needs of a latency table: latency = constant_ms + the sum of operator_ms over the operators."""

    @property
    def constant_ms(self) -> float:
        """Latency of a network without operators (calls, input), in milliseconds."""

    def operator_ms(self, operator: Operator) -> float:
        """Calibrated share of one operator in milliseconds. Raises TableError where the table lacks it."""


@dataclass(frozen=True)
class Resource:
    """One additive cost: its name, its budget (inf: only reported), and what every network pays of it."""

    name: str
    limit: float
    constant: float = 0.0


class Problem:
    """A space, a ranking and budgets, as arrays by position: `scores[i]` [n], `costs[i]` [n, resources].

    `seed` is for the random ranking.
    """

    def __init__(
        self,
        space: Space,
        settings: ScoreSettings,
        input_size: Size,
        latency_models: Mapping[str, LatencyModel],
        budgets: Budgets,
        ranking: Ranking = Ranking.DDSAR,
        seed: int = 0,
    ) -> None:
        self.space, self.settings, self.input_size, self.budgets = space, settings, input_size, budgets
        self.ranking, self.seed = ranking, seed
        self.latency_models = dict(latency_models)
        missing = sorted(set(budgets.latency_ms) - set(latency_models))
        if missing:
            raise InputError(f"latency budget for '{missing[0]}', which is no --device of this search; add it")
        unlimited = float("inf")
        self.resources = (
            *(
                Resource(f"latency {name}", budgets.latency_ms.get(name, unlimited), model.constant_ms)
                for name, model in self.latency_models.items()
            ),
            Resource("flops", budgets.flops or unlimited),
            Resource("params", budgets.params or unlimited),
            Resource("layers", budgets.layers or unlimited),
            *([] if budgets.released_flops is None else [Resource("released_flops", budgets.released_flops)]),
        )
        self._operator_ms: dict[tuple[str, Operator], float] = {}
        # Stages in the order of their strings, so that equal results mean the least string.
        self.stages = tuple(tuple(sorted(choices, key=str)) for choices in space.stages)
        layers = [
            [stage_layers(s, position, input_size) for s in choices] for position, choices in enumerate(self.stages)
        ]
        self.scores: tuple[FloatArray, ...] = tuple(
            stage_values(ranking, settings, position, choices, layers[position], seed)
            for position, choices in enumerate(self.stages)
        )
        self.costs: tuple[FloatArray, ...] = tuple(
            np.array(
                [
                    [*self._costs(stage_ops, s.sublayers), *self._released_flops(s, position)]
                    for s, stage_ops in zip(choices, layers[position], strict=True)
                ]
            )
            for position, choices in enumerate(self.stages)
        )
        self._memory_bytes = tuple(
            np.array([self._stage_memory_bytes(position, stage_ops) for stage_ops in layers[position]])
            for position in range(STAGE_COUNT)
        )
        self._ends: dict[tuple[int, int, int], tuple[FloatArray, float]] = {}

    @property
    def limits(self) -> FloatArray:
        """[resources]: the budgets less what every network pays."""
        return np.array([resource.limit - resource.constant for resource in self.resources])

    @property
    def constants(self) -> FloatArray:
        """[resources]: what every network pays."""
        return np.array([resource.constant for resource in self.resources])

    def _milliseconds(self, target: str, operator: Operator) -> float:
        key = (target, operator)
        if key not in self._operator_ms:
            self._operator_ms[key] = self.latency_models[target].operator_ms(operator)
        return self._operator_ms[key]

    def _costs(self, layers: Sequence[Layer], sublayers: int) -> list[float]:
        # fsum, for sum() rounds in one way up to Python 3.11 and in another from 3.12 on.
        latencies = [
            fsum(self._milliseconds(target, layer.operator) for layer in layers) for target in self.latency_models
        ]
        return [*latencies, count_flops(layers), count_parameters(layers), sublayers]

    def _released_flops(self, stage: Stage, position: int) -> list[float]:
        """One entry where there is a budget of this kind."""
        if self.budgets.released_flops is None:
            return []
        return [released_flops_of(stage_layers(stage, position, RELEASED_SIZE))]

    def _stage_memory_bytes(self, position: int, layers: Sequence[Layer]) -> int:
        """Peak while a stage runs; from stage 4 on its input is also a feature that the neck still needs."""
        values = layers[0].operator.in_channels * layers[0].operator.height_px * layers[0].operator.width_px
        kept = [layers[-1].name] + ([IMAGE] if position >= 3 else [])
        return BYTES_PER_VALUE * peak_values(layers, {IMAGE: values}, kept)

    def _feature_values(self, level: int, channels: int) -> int:
        stride = STRIDES[level]
        return channels * (self.input_size.width_px // stride) * (self.input_size.height_px // stride)

    def _waiting_bytes(self, position: int, stage3_channels: int) -> int:
        """What waits for the neck while a stage runs, beside its own input: during stage 5 the output of stage 3."""
        return self._feature_values(0, stage3_channels) * BYTES_PER_VALUE if position == STAGE_COUNT - 1 else 0

    def end(self, widths: tuple[int, int, int]) -> tuple[FloatArray, float]:
        """Costs [resources] and peak memory in bytes of neck and head on stages 3, 4, 5 of these widths."""
        if widths not in self._ends:
            layers = neck_and_head_layers(widths, self.space.neck_and_head(widths[0]), self.input_size)
            given = {
                f"features.{stride}": self._feature_values(level, widths[level]) for level, stride in enumerate(STRIDES)
            }
            outputs = [layer.name for layer in layers if layer.name.startswith("output_")]
            memory_bytes = BYTES_PER_VALUE * peak_values(layers, given, outputs)
            costs = np.zeros(len(self.resources))  # neck and head are no part of what the release counts
            costs[: len(self.latency_models) + 3] = self._costs(layers, 0)
            self._ends[widths] = (costs, memory_bytes)
        return self._ends[widths]

    def moves(self, position: int, state: State) -> dict[State, tuple[npt.NDArray[np.intp], FloatArray]]:
        """From a state: for each next state the stage choices that fit the memory, and their costs (last: with the end)."""
        limit_bytes = self.budgets.memory_bytes or float("inf")
        fits = self._memory_bytes[position] + self._waiting_bytes(position, state[0]) <= limit_bytes
        groups: dict[State, list[int]] = {}
        for index, stage in enumerate(self.stages[position]):
            if stage.in_channels == state[1] and fits[index]:
                stage3_channels = stage.out_channels if position == 2 else state[0]
                groups.setdefault((stage3_channels, stage.out_channels), []).append(index)
        moves = {}
        for following, indices in groups.items():
            chosen = np.array(indices, np.intp)
            costs = self.costs[position][chosen]
            if position == STAGE_COUNT - 1:
                end_costs, end_memory_bytes = self.end((state[0], state[1], following[1]))
                if end_memory_bytes > limit_bytes:
                    continue
                costs = costs + end_costs
            moves[following] = (chosen, costs)
        return moves

    def detector(self, choice: Sequence[int]) -> Detector:
        """The detector of five stage indices."""
        return self.space.detector(self.stages[position][index] for position, index in enumerate(choice))

    def least_memory_bytes(self) -> float:
        """The least peak memory of any network of the space."""
        peaks: dict[State, float] = {START: 0.0}
        for position, choices in enumerate(self.stages):
            reached: dict[State, float] = {}
            for (stage3_channels, channels), before in peaks.items():
                waiting = self._waiting_bytes(position, stage3_channels)
                for stage, memory_bytes in zip(choices, self._memory_bytes[position], strict=True):
                    if stage.in_channels != channels:
                        continue
                    peak = max(before, float(memory_bytes) + waiting)
                    if position == STAGE_COUNT - 1:
                        peak = max(peak, self.end((stage3_channels, channels, stage.out_channels))[1])
                    state = (stage.out_channels if position == 2 else stage3_channels, stage.out_channels)
                    reached[state] = min(peak, reached.get(state, peak))
            peaks = reached
        return min(peaks.values())

    def refuse_memory(self) -> BudgetError:
        """The error for a memory budget that no network meets."""
        limit_bytes = self.budgets.memory_bytes or 0.0
        return BudgetError(
            f"no network of space '{self.space.name}' has memory <= {limit_bytes / 1e6:.6g} MB: the least possible is"
            f" {self.least_memory_bytes() / 1e6:.6g} MB; raise this budget"
        )

    def refuse(self, least: FloatArray) -> BudgetError:
        """The error for budgets that nothing meets; `least` [resources]: the least possible of each cost alone."""
        which = "" if self.budgets.memory_bytes is None else " within the memory budget"
        for resource, value in zip(self.resources, least + self.constants, strict=True):
            if value > resource.limit:
                words = (
                    f"no network of space '{self.space.name}'{which} has {resource.name} <="
                    f" {_with_unit(resource, resource.limit)}: the least possible is"
                    f" {_with_unit(resource, value)}; raise this budget"
                )
                target = resource.name.removeprefix("latency ")
                if target == resource.name:
                    return BudgetError(words)
                return LatencyBudgetError(words, target, resource.limit, float(value), resource.constant)
        return BudgetError(
            f"no network of space '{self.space.name}' meets all budgets together, though each alone could be met; "
            "raise one of them"
        )


def _with_unit(resource: Resource, value: float) -> str:
    if resource.name.startswith("latency"):
        return f"{value:.6g} ms"
    return f"{value:.6g}" if resource.name == "layers" else f"{value / 1e6:.6g} M"
