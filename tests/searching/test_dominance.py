"""Dominance against its definition, point by point."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from facenas.searching.dominance import pareto_front, unbeaten

COSTS = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40).filter(lambda shape: shape[1] <= 4),
    elements=st.integers(0, 6).map(float),
)


def by_definition(costs: np.ndarray) -> list[int]:
    return [row for row in range(len(costs)) if not (costs[:row] <= costs[row]).all(axis=1).any()]


@given(COSTS)
def test_what_no_earlier_point_beats_stays(costs: np.ndarray) -> None:
    assert unbeaten(costs).tolist() == by_definition(costs)


@pytest.mark.parametrize("columns", [0, 1, 2, 3])
@pytest.mark.parametrize("levels", [5, 100_000])
def test_many_points(columns: int, levels: int) -> None:
    costs = np.random.default_rng(columns).integers(0, levels, (3000, columns)).astype(float)
    costs[:, :1] += 0.5 * np.arange(3000)[::-1, None]  # else few would stay
    assert unbeaten(costs).tolist() == by_definition(costs)
    assert unbeaten(costs[:0]).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_the_front_of_two_columns(points: list[tuple[int, int]]) -> None:
    cost, score = np.array(points, float).reshape(-1, 2).T
    front = [(cost[row], score[row]) for row in pareto_front(cost, score)]
    expected = {(c, s) for c, s in points if not any(oc <= c and os >= s and (oc, os) != (c, s) for oc, os in points)}
    assert front == sorted(expected)
