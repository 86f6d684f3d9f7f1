"""A search as arrays: for every stage choice its share of the score and of every budgeted cost.

The score and the costs of a detector are sums over its stages given the widths at their borders, plus what neck and
head cost given the widths of stages 3, 4 and 5. So a search is a shortest-path problem over positions, whose state is
(width of stage 3, current width): with it, neck, head and the memory that waiting features hold are known exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facenas.architecture import IMAGE_CHANNELS, STAGE_COUNT, Detector
from facenas.cost import BYTES_PER_VALUE, FLOPS, MEMORY, Cost, latency_cost, peak_values
from facenas.errors import BudgetError, InputError, LatencyBudgetError
from facenas.graph import IMAGE, STRIDES, Layer, neck_and_head_layers, stage_layers
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.budgets import Budgets
from facenas.searching.costs import CostModel, LatencyModel, Part, cost_models
from facenas.searching.objective import Ranking, stage_values
from facenas.spaces.space import Space
from facenas.units import Size

FloatArray = npt.NDArray[np.float64]
State = tuple[int, int]
START: State = (0, IMAGE_CHANNELS)


@dataclass(frozen=True)
class Resource:
    """One additive cost and its budget (inf: only reported)."""

    model: CostModel
    limit: float


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
        models = cost_models(self.latency_models, released=budgets.released_flops is not None)
        self.resources = tuple(Resource(model, budgets.limits.get(model.cost.key, float("inf"))) for model in models)
        breaking_ties = [*map(latency_cost, self.latency_models), FLOPS]
        self.tie_breakers = [[model.cost for model in models].index(cost) for cost in breaking_ties]
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
                    self._costs(Part(stage_ops, stage, position))
                    for stage, stage_ops in zip(choices, layers[position], strict=True)
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
        return np.array([resource.limit - resource.model.constant for resource in self.resources])

    @property
    def constants(self) -> FloatArray:
        """[resources]: what every network pays."""
        return np.array([resource.model.constant for resource in self.resources])

    def _costs(self, part: Part) -> list[float]:
        return [resource.model.of(part) for resource in self.resources]

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
            self._ends[widths] = (np.array(self._costs(Part(layers)), np.float64), memory_bytes)
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
            f"no network of space '{self.space.name}' has {_at_most(MEMORY, limit_bytes, self.least_memory_bytes())}"
        )

    def refuse(self, least: FloatArray) -> BudgetError:
        """The error for budgets that nothing meets; `least` [resources]: the least possible of each cost alone."""
        which = "" if self.budgets.memory_bytes is None else " within the memory budget"
        targets = {latency_cost(target): target for target in self.latency_models}
        for (model, limit), value in zip(
            ((entry.model, entry.limit) for entry in self.resources), least + self.constants, strict=True
        ):
            if value > limit:
                words = f"no network of space '{self.space.name}'{which} has {_at_most(model.cost, limit, value)}"
                if model.cost not in targets:
                    return BudgetError(words)
                return LatencyBudgetError(words, targets[model.cost], limit, float(value), model.constant)
        return BudgetError(
            f"no network of space '{self.space.name}' meets all budgets together, though each alone could be met; "
            "raise one of them"
        )


def _at_most(cost: Cost, limit: float, least: float) -> str:
    """A budget that cannot be met, with the least that could be."""
    unit = cost.unit
    return f"{cost.key} <= {unit.in_digits(limit)}: the least possible is {unit.in_digits(least)}; raise this budget"
