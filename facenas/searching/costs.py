"""A latency table as the additive model that a search adds up."""

from facenas.latency.predictor import OperatorCosts
from facenas.latency.table import LatencyTable
from facenas.operators import Operator


class TableModel:
    """Calibrated operator costs of one table: latency = constant_ms + the sum of operator_ms."""

    def __init__(self, table: LatencyTable) -> None:
        self._costs = OperatorCosts(table)

    @property
    def constant_ms(self) -> float:
        """Latency of a network without operators, in milliseconds."""
        return self._costs.offset_ms

    def operator_ms(self, operator: Operator) -> float:
        """Calibrated share of one operator in milliseconds. Raises TableError where the table cannot tell."""
        return self._costs.cost(operator).latency_us / 1e3
