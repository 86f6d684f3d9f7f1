"""A latency table as the additive model that a search adds up.

For a percentile of the runs other than the table's everything is multiplied by the ratio that was measured beside it.
"""

from facenas.latency.predictor import OperatorCosts
from facenas.latency.table import LatencyTable
from facenas.operators import Operator
from facenas.units import LOW_PERCENTILE


class TableModel:
    """Calibrated operator costs of one table: latency = constant_ms + the sum of operator_ms."""

    def __init__(self, table: LatencyTable, percentile: int = LOW_PERCENTILE) -> None:
        """Raises TableError where the table does not tell that percentile."""
        self._costs = OperatorCosts(table)
        self._ratio = table.ratio_to(percentile)

    @property
    def constant_ms(self) -> float:
        """Latency of a network without operators, in milliseconds."""
        return self._costs.offset_ms * self._ratio

    def operator_ms(self, operator: Operator) -> float:
        """Calibrated share of one operator in milliseconds. Raises TableError where the table cannot tell."""
        return self._costs.cost(operator).latency_us / 1e3 * self._ratio
