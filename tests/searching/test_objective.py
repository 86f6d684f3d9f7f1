"""Rankings other than DDSAR: the same solver finds what looking at every network finds."""

import numpy as np
import pytest
from helpers.brute_force import Everything, RandomTable, problem_of, random_space

from facenas.cost import count_flops, count_parameters
from facenas.graph import backbone_layers, build_graph
from facenas.searching.budgets import Budgets
from facenas.searching.exact import ExactSearch
from facenas.searching.objective import Objective
from facenas.searching.problem import Problem
from facenas.searching.result import run_search


def ranked(everything: Everything, budgets: Budgets, ranking: Objective, seed: int = 0) -> Problem:
    plain = problem_of(everything, budgets)
    return Problem(plain.space, plain.settings, plain.input_size, plain.latency_models, budgets, ranking, seed)


def value(everything: Everything, row: int, ranking: Objective) -> float:
    layers = backbone_layers(
        build_graph(everything.detector(row), problem_of(everything, Budgets({})).input_size).layers
    )
    return count_flops(layers) / 1e9 if ranking is Objective.FLOPS else count_parameters(layers) / 1e6


@pytest.mark.parametrize("ranking", [Objective.FLOPS, Objective.PARAMS])
def test_the_most_flops_or_parameters_within_a_budget(ranking: Objective) -> None:
    everything = Everything(random_space(3, 2), {"a": RandomTable(3)})
    budgets = Budgets({"a": float(np.quantile(everything.costs["latency a"], 0.4))})
    rows = np.flatnonzero(everything.feasible(budgets))
    best = max(value(everything, int(row), ranking) for row in rows)
    result = run_search(ranked(everything, budgets, ranking), top=3, provenance={"a": "modelled"})
    assert result.certificate.bound == pytest.approx(best, abs=1e-9)
    assert result.to_json()["ranked_by"] == ranking.value
    assert result.best.latency_ms["a"] <= budgets.latency_ms["a"] + 1e-6


def test_a_random_ranking_follows_its_seed() -> None:
    everything = Everything(random_space(4, 3), {})
    budgets = Budgets({}, flops=float(np.median(everything.costs["flops"])))
    results = [
        run_search(ranked(everything, budgets, Objective.RANDOM, seed), top=1, provenance={})
        for seed in (0, 0, 1, 2, 3)
    ]
    assert results[0] == results[1]
    assert results[2].seed == 1
    assert len({result.best.architecture for result in results}) > 1
    scores = ranked(everything, budgets, Objective.RANDOM).scores
    assert all(((values >= 0) & (values < 1)).all() for values in scores)
    assert ExactSearch(ranked(everything, budgets, Objective.DDSAR)).solve().bound >= results[0].best.ddsar - 1e-9


def test_the_value_that_was_maximised_is_stored() -> None:
    everything = Everything(random_space(3, 2), {"a": RandomTable(3)})
    budgets = Budgets({"a": float(np.quantile(everything.costs["latency a"], 0.4))})
    for ranking in (Objective.DDSAR, Objective.FLOPS, Objective.PARAMS, Objective.RANDOM):
        result = run_search(ranked(everything, budgets, ranking), top=3, provenance={"a": "modelled"})
        values = [candidate.ranked.get(ranking.value, candidate.ddsar) for candidate in result.top]
        assert values[0] == pytest.approx(result.certificate.bound, abs=1e-8)
        assert values == sorted(values, reverse=True)
        assert ("ranked" in result.to_json()) == (ranking is not Objective.DDSAR)
        if ranking is Objective.PARAMS:
            assert set(result.to_json()["ranked"]) == {"params"}
            assert all(set(point.ranked) == {"params"} for point in result.frontier)
