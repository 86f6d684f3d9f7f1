"""Costs as a search adds them up: what every network pays, and what each part of it adds.

For a percentile of the runs other than a table's its latencies are multiplied by the ratio that was measured beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import fsum
from typing import Protocol

from facenas.architecture import Stage
from facenas.cost import FLOPS, LAYERS, PARAMS, RELEASED_FLOPS, Cost, count_flops, count_parameters, latency_cost
from facenas.graph import Layer, stage_layers
from facenas.latency.predictor import OperatorCosts
from facenas.latency.table import LatencyTable
from facenas.operators import Operator
from facenas.scoring.released import RELEASED_SIZE, released_flops_of
from facenas.units import LOW_PERCENTILE, Size


class LatencyModel(Protocol):
    """What the search needs of a latency table: latency = constant_ms + the sum of operator_ms over the operators."""

    @property
    def constant_ms(self) -> float:
        """Latency of a network without operators (calls, input), in milliseconds."""

    def operator_ms(self, operator: Operator) -> float:
        """Calibrated share of one operator in milliseconds. Raises TableError where the table lacks it."""


class TableModel:
    """Calibrated operator costs of one table: latency = constant_ms + the sum of operator_ms."""

    def __init__(self, table: LatencyTable, percentile: int = LOW_PERCENTILE, input_size: Size | None = None) -> None:
        """`input_size`: default that of the table's operators. Raises TableError where the table does not tell that
        percentile, or not that input."""
        self._costs = OperatorCosts(table, input_size)
        self._ratio = table.ratio_to(percentile)

    @property
    def constant_ms(self) -> float:
        """Latency of a network without operators, in milliseconds."""
        return self._costs.offset_ms * self._ratio

    def operator_ms(self, operator: Operator) -> float:
        """Calibrated share of one operator in milliseconds. Raises TableError where the table cannot tell."""
        return self._costs.cost(operator).latency_us / 1e3 * self._ratio


@dataclass(frozen=True)
class Part:
    """A stage at its position 0 to 4, or neck and head (no stage), with its layers at the input size."""

    layers: tuple[Layer, ...]
    stage: Stage | None = None
    position: int = 0


@dataclass(frozen=True)
class CostModel:
    """How a cost adds up: `constant`, which every network pays, and `of` each part."""

    cost: Cost
    of: Callable[[Part], float]
    constant: float = 0.0


def latency_costs(target: str, model: LatencyModel) -> CostModel:
    """The latency on a target; each operator is asked for once."""
    operator_ms = cache(model.operator_ms)
    # fsum, for sum() rounds in one way up to Python 3.11 and in another from 3.12 on.
    return CostModel(
        latency_cost(target), lambda part: fsum(operator_ms(layer.operator) for layer in part.layers), model.constant_ms
    )


def cost_models(latency_models: Mapping[str, LatencyModel], *, released: bool) -> tuple[CostModel, ...]:
    """All costs of a search: the latencies by target, FLOPs, parameters, layers and, where asked for, released FLOPs."""
    models = [latency_costs(target, model) for target, model in latency_models.items()]
    models += [_FLOPS, _PARAMS, _LAYERS]
    return (*models, _RELEASED_FLOPS) if released else tuple(models)


def _released(part: Part) -> int:
    """Neck and head are no part of what the release counts."""
    if part.stage is None:
        return 0
    return released_flops_of(stage_layers(part.stage, part.position, RELEASED_SIZE))


_FLOPS = CostModel(FLOPS, lambda part: count_flops(part.layers))
_PARAMS = CostModel(PARAMS, lambda part: count_parameters(part.layers))
_LAYERS = CostModel(LAYERS, lambda part: part.stage.sublayers if part.stage is not None else 0)
_RELEASED_FLOPS = CostModel(RELEASED_FLOPS, _released)
