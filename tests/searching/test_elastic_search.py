"""The elastic space as it ships: searched exactly, with neck and head among the choices."""

import json

import pytest

from facenas.architecture import parse_architecture
from facenas.cost import FLOPS, MEMORY, PARAMS
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.budgets import Budgets
from facenas.searching.exact import ExactSearch
from facenas.searching.objective import Objective
from facenas.searching.problem import Problem
from facenas.searching.result import run_search
from facenas.spaces.elastic_space import elastic_space
from facenas.units import Size

ELASTIC = elastic_space("facenas-elastic")
BUDGETS = Budgets({}, flops=150e6, params=0.3e6, memory_bytes=2e6)
SIZE = Size(320, 256)


def problem(budgets: Budgets = BUDGETS, ranking: Objective = Objective.DDSAR) -> Problem:
    return Problem(ELASTIC.space, ScoreSettings(), SIZE, {}, budgets, ranking)


def test_all_that_it_gives_are_members_within_the_budgets_and_the_same_again() -> None:
    first, second = (run_search(problem(), top=5, provenance={}) for _ in range(2))
    assert json.dumps(first.to_json()) == json.dumps(second.to_json())
    assert first.certificate.space_size == ELASTIC.size
    assert first.certificate.bound is not None
    assert len(first.top) == 5
    for candidate in (*first.top, *first.frontier):
        ELASTIC.require(parse_architecture(candidate.architecture))
        assert candidate.ddsar <= first.certificate.bound + 1e-9 or candidate not in first.top
        assert all(candidate.costs[cost.key] <= first.budgets[cost.key] for cost in (PARAMS, MEMORY))
        assert candidate.costs[FLOPS.key] <= first.budgets[FLOPS.key] or candidate in first.frontier
    assert len({parse_architecture(candidate.architecture).backbone for candidate in first.top}) == 5


def test_a_score_that_sees_no_ends_takes_the_cheapest_and_a_value_of_theirs_decides() -> None:
    search = ExactSearch(problem())
    cheapest = search.problem.detector(search.solve().choices[0])
    assert cheapest.neck_and_head == ELASTIC.smallest.neck_and_head
    valued = problem()
    widest = max(range(len(valued.ends)), key=lambda index: valued.ends[index].neck_channels)
    valued.scores[-1][widest] = 100.0
    assert valued.detector(ExactSearch(valued).solve().choices[0]).neck_and_head == valued.ends[widest]


def test_a_random_ranking_is_over_ends_too() -> None:
    assert len(set(problem(ranking=Objective.RANDOM).scores[-1])) == len(ELASTIC.ends)
    assert problem().scores[-1] == pytest.approx(0)
