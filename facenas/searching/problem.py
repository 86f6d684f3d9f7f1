"""A search as arrays: for every choice its share of the score and of every budgeted cost.

The score and the costs of a detector are sums over its stages given the widths at their borders, plus those of its neck
and head, together an *end*, given the widths of stages 3, 4 and 5. So a search is a shortest-path problem over six
positions, five stages and the end. A state is (width of stage 3, current width), and before the end the three widths
that it reads: with it, costs and the memory that waiting features hold are known exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facenas.accuracy.additive_model import AdditiveModel
from facenas.architecture import (
    DEFAULT_NECK_AND_HEAD,
    IMAGE_CHANNELS,
    STAGE_COUNT,
    Architecture,
    Backbone,
    NeckAndHead,
)
from facenas.arrays import Float64Array, IndexArray
from facenas.cost import BYTES_PER_VALUE, FLOPS, MEMORY, Cost, latency_cost, peak_values
from facenas.errors import BudgetError, InputError, LatencyBudgetError
from facenas.graph import IMAGE, STRIDES, Layer, neck_and_head_layers, stage_layers
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.budgets import Budgets
from facenas.searching.costs import CostModel, LatencyModel, Part, cost_models
from facenas.searching.objective import Objective, end_values, stage_values
from facenas.spaces.space import Space
from facenas.units import Size

State = tuple[int, ...]
Moves = Mapping[State, tuple[IndexArray, Float64Array]]
START: State = (0, IMAGE_CHANNELS)
COMPLETE: State = ()
POSITIONS = STAGE_COUNT + 1


@dataclass(frozen=True)
class Resource:
    """One additive cost and its budget (inf: only reported)."""

    model: CostModel
    limit: float


class Problem:
    """A space, a ranking and budgets, as arrays by position: `scores[i]` [n] of the choices there, `costs[i]` [n, resources].

    The last position's choices are `ends`; their costs depend on the widths before them (`end`). `seed` is for the random
    ranking; `accuracy` predicts average precision.
    """

    def __init__(
        self,
        space: Space,
        settings: ScoreSettings,
        input_size: Size,
        latency_models: Mapping[str, LatencyModel],
        budgets: Budgets,
        ranking: Objective = Objective.DDSAR,
        seed: int = 0,
        accuracy: AdditiveModel | None = None,
    ) -> None:
        self.space, self.settings, self.input_size, self.budgets = space, settings, input_size, budgets
        self.ranking, self.seed, self.accuracy = ranking, seed, accuracy
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
        self.scores: tuple[Float64Array, ...] = tuple(
            stage_values(ranking, settings, position, choices, layers[position], seed, accuracy)
            for position, choices in enumerate(self.stages)
        )
        self.costs: tuple[Float64Array, ...] = tuple(
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
        self.ends = tuple(sorted({design for _, design in space.necks_and_heads}, key=_as_suffix))
        self.scores += (end_values(ranking, self.ends, seed if space.chooses_ends else None, accuracy),)
        self._costs_of_ends: dict[tuple[int, int, int], Float64Array] = {}
        self._memory_of_ends: dict[tuple[State, int], float] = {}
        self._moves: dict[tuple[int, State], Moves] = {}

    @property
    def base_value(self) -> float:
        """What every network has of the value that is maximised, beside its `scores`."""
        return self.accuracy.base if self.accuracy is not None and self.ranking is Objective.ACCURACY else 0.0

    @property
    def limits(self) -> Float64Array:
        """[resources]: the budgets less what every network pays."""
        return np.array([resource.limit - resource.model.constant for resource in self.resources])

    @property
    def constants(self) -> Float64Array:
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

    def end(self, widths: State, index: int) -> Float64Array:
        """Costs [resources] of the end `index` on stages 3, 4, 5 of these widths: of its layers that read one of these, which
        differ by the neck's width, and of all others, which are the same whatever the stages' widths."""
        neck = self.ends[index].neck_channels
        keys = [(index, 0, 0), *((neck, stride, width) for stride, width in zip(STRIDES, widths, strict=True))]
        if any(key not in self._costs_of_ends for key in keys):
            parts: dict[str, list[Layer]] = {"": [], **{f"features.{stride}": [] for stride in STRIDES}}
            for layer in self._end_layers(widths, index):
                parts[layer.inputs[0] if layer.inputs[0] in parts else ""].append(layer)
            for key, part in zip(keys, parts.values(), strict=True):
                self._costs_of_ends.setdefault(key, np.array(self._costs(Part(tuple(part)))))
        return np.asarray(np.sum([self._costs_of_ends[key] for key in keys], axis=0))

    def _end_layers(self, widths: State, index: int) -> tuple[Layer, ...]:
        stage3, stage4, stage5 = widths
        return neck_and_head_layers((stage3, stage4, stage5), self.ends[index], self.input_size)

    def _end_memory_bytes(self, widths: State, index: int) -> float:
        """Peak memory while an end runs on stages 3, 4, 5 of these widths."""
        if (widths, index) not in self._memory_of_ends:
            layers = self._end_layers(widths, index)
            given = {
                f"features.{stride}": self._feature_values(level, widths[level]) for level, stride in enumerate(STRIDES)
            }
            outputs = [layer.name for layer in layers if layer.name.startswith("output_")]
            self._memory_of_ends[widths, index] = BYTES_PER_VALUE * peak_values(layers, given, outputs)
        return self._memory_of_ends[widths, index]

    def ends_on(self, stage3_channels: int) -> list[int]:
        """The indices of the ends that go with a third stage of this width, ascending."""
        designs = self.space.ends(stage3_channels)
        return [index for index, design in enumerate(self.ends) if design in designs]

    def moves(self, position: int, state: State) -> Moves:
        """From a state: for each next state the choices that fit the memory, and their costs."""
        if (position, state) not in self._moves:
            of_position = self._end_moves(state) if position == STAGE_COUNT else self._stage_moves(position, state)
            self._moves[position, state] = of_position
        return self._moves[position, state]

    def _stage_moves(self, position: int, state: State) -> Moves:
        waiting = self._waiting_bytes(position, state[0])
        fits = self._memory_bytes[position] + waiting <= (self.budgets.memory_bytes or float("inf"))
        groups: dict[State, list[int]] = {}
        for index, stage in enumerate(self.stages[position]):
            if stage.in_channels == state[1] and fits[index]:
                groups.setdefault(_after(position, state, stage.out_channels), []).append(index)
        return {
            following: (np.array(indices, np.intp), self.costs[position][indices])
            for following, indices in groups.items()
        }

    def _end_moves(self, widths: State) -> Moves:
        fitting = [index for index in self.ends_on(widths[0]) if self._end_fits(widths, index)]
        if not fitting:
            return {}
        return {COMPLETE: (np.array(fitting, np.intp), np.array([self.end(widths, index) for index in fitting]))}

    def _end_fits(self, widths: State, index: int) -> bool:
        limit_bytes = self.budgets.memory_bytes
        return limit_bytes is None or self._end_memory_bytes(widths, index) <= limit_bytes

    def detector(self, choice: Sequence[int]) -> Architecture:
        """The detector of the indices of five stages and an end."""
        *stages, end = choice
        backbone = Backbone(tuple(self.stages[position][index] for position, index in enumerate(stages)))
        return Architecture(backbone, self.ends[end])

    def least_memory_bytes(self) -> float:
        """The least peak memory of any network of the space."""
        peaks: dict[State, float] = {START: 0.0}
        for position, choices in enumerate(self.stages):
            reached: dict[State, float] = {}
            for state, before in peaks.items():
                waiting = self._waiting_bytes(position, state[0])
                for stage, memory_bytes in zip(choices, self._memory_bytes[position], strict=True):
                    if stage.in_channels == state[1]:
                        after = _after(position, state, stage.out_channels)
                        peak = max(before, float(memory_bytes) + waiting)
                        reached[after] = min(peak, reached.get(after, peak))
            peaks = reached
        return min(
            max(peak, self._end_memory_bytes(widths, index))
            for widths, peak in peaks.items()
            for index in self.ends_on(widths[0])
        )

    def refuse_memory(self) -> BudgetError:
        """The error for a memory budget that no network meets."""
        limit_bytes = self.budgets.memory_bytes or 0.0
        return BudgetError(
            f"no network of space '{self.space.name}' has {_at_most(MEMORY, limit_bytes, self.least_memory_bytes())}"
        )

    def refuse(self, least: Float64Array) -> BudgetError:
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


def _after(position: int, state: State, out_channels: int) -> State:
    """The state after a stage of this width."""
    if position == STAGE_COUNT - 1:
        return (*state, out_channels)
    return (out_channels if position == 2 else state[0], out_channels)


def _as_suffix(end: NeckAndHead) -> str:
    """How an end is written behind a backbone, so that equal results mean the least string."""
    return "" if end == DEFAULT_NECK_AND_HEAD else str(end)


def _at_most(cost: Cost, limit: float, least: float) -> str:
    """A budget that cannot be met, with the least that could be."""
    unit = cost.unit
    return f"{cost.key} <= {unit.in_digits(limit)}: the least possible is {unit.in_digits(least)}; raise this budget"
