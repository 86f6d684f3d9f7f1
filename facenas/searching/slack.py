"""Which latency budgets bind nothing, because every network of the space meets them: there the search has nothing to weigh.

The largest latency of a space is that of its longest path: forwards over the states, the most that leads to each.
"""

import numpy as np

from facenas.cost import latency_cost
from facenas.searching.problem import COMPLETE, POSITIONS, START, Problem, State


def slack_budgets(problem: Problem) -> dict[str, float]:
    """By target, the largest latency in the space in milliseconds, where it is within the budget."""
    position_of = {resource.model.cost: index for index, resource in enumerate(problem.resources)}
    largest = _largest_costs(problem) + problem.constants
    slack = {}
    for target, limit_ms in problem.budgets.latency_ms.items():
        most_ms = float(largest[position_of[latency_cost(target)]])
        if most_ms <= limit_ms:
            slack[target] = most_ms
    return slack


def _largest_costs(problem: Problem) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """[resources]: the most of each cost alone that a network has, without what every network pays."""
    reached: dict[State, np.ndarray[tuple[int], np.dtype[np.float64]]] = {START: np.zeros(len(problem.resources))}
    for position in range(POSITIONS):
        following: dict[State, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
        for state, before in reached.items():
            for after, (_, costs) in problem.moves(position, state).items():
                most = before + costs.max(axis=0)
                following[after] = np.maximum(most, following[after]) if after in following else most
        reached = following
    return reached[COMPLETE]
