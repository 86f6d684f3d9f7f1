"""The exact search equals brute force: the optimum, the top ones, the frontier, and what cannot be met."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from helpers.brute_force import (
    Everything,
    FlatTable,
    RandomTable,
    kernel_free,
    problem_of,
    random_budgets,
    random_elastic_space,
    random_space,
)

from facenas.errors import BudgetError
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.budgets import Budgets
from facenas.searching.costs import LatencyModel
from facenas.searching.exact import ExactSearch
from facenas.searching.result import run_search

SPACES = 24
BUDGETS_PER_SPACE = 6
TOP = 5


def random_everything(seed: int, choices: int) -> Everything:
    """A random space with one or two targets; every sixth with times that tie. Where `choices` is 0, an elastic one.

    In every other elastic one the ends have values, which must not be lost to the cheapest.
    """
    tables: dict[str, LatencyModel] = {"a": RandomTable(seed)}
    if seed % 2:
        tables["b"] = RandomTable(seed + 1000)
    if seed % 6 == 0:
        tables["a"] = FlatTable()
    settings = ScoreSettings(alpha=(0.25, 0.005, 0.0)[seed % 3], resolution_px=224 if seed % 5 else 64)
    if choices:
        return Everything(random_space(seed, choices), tables, settings)
    space = random_elastic_space(seed)
    values = np.random.default_rng(seed).integers(0, 64, len(space.necks_and_heads)) / 64 if seed % 2 else None
    return Everything(space, tables, settings, values)


@pytest.mark.parametrize("seed", range(SPACES))
def test_the_search_equals_brute_force(seed: int) -> None:
    assert_search_equals_brute_force(seed, choices=(4, 5, 6, 8)[seed % 4])


@pytest.mark.parametrize("seed", range(200, 200 + SPACES))
def test_the_search_equals_brute_force_where_neck_and_head_are_choices(seed: int) -> None:
    assert_search_equals_brute_force(seed, choices=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_the_search_equals_brute_force_in_larger_spaces(seed: int) -> None:
    assert_search_equals_brute_force(seed, choices=(8, 10, 13, 15)[seed % 4])


def assert_search_equals_brute_force(seed: int, choices: int) -> None:
    everything = random_everything(seed, choices)
    assert everything.space.size == len(everything.choices) >= 300
    generator = np.random.default_rng(seed)
    _assert_whole_networks_cost_the_same(everything, generator)
    for _ in range(BUDGETS_PER_SPACE):
        budgets = random_budgets(everything, generator)
        rows = np.flatnonzero(everything.feasible(budgets))
        if not len(rows):
            with pytest.raises(BudgetError) as raised:
                ExactSearch(problem_of(everything, budgets)).solve()
            _assert_refusal_is_true(everything, budgets, str(raised.value))
            continue
        search = ExactSearch(problem_of(everything, budgets))
        solution = search.solve()
        expected = everything.top(rows, TOP)
        best = expected[0]
        assert list(solution.choices) == [tuple(everything.choices[best])]
        assert solution.bound == pytest.approx(everything.score[best], abs=1e-9)
        top = search.enumerate_top(TOP, solution)
        assert list(top.choices) == [tuple(everything.choices[row]) for row in expected]
        _assert_frontier_equals(everything, budgets, search)


def _assert_whole_networks_cost_the_same(everything: Everything, generator: np.random.Generator) -> None:
    """The sums over parts, that brute force goes by, are what whole networks cost: score and peak memory among it."""
    for row in generator.integers(len(everything.choices), size=12):
        whole = everything.whole_network_costs(int(row))
        if everything.end_values is not None:
            whole["score"] += everything.end_values[everything.choices[row, 5]]
        assert everything.score[row] == pytest.approx(whole.pop("score"), abs=1e-12)
        assert {name: values[row] for name, values in everything.costs.items()} == pytest.approx(whole, rel=1e-12)


def _assert_frontier_equals(everything: Everything, budgets: Budgets, search: ExactSearch) -> None:
    rows = np.flatnonzero(everything.feasible(budgets, lifted="latency a"))
    front = search.frontier(0)
    constant_ms = everything.tables["a"].constant_ms
    found = [(cost + constant_ms, score) for cost, score in zip(front.costs[:, 0], front.score, strict=True)]
    assert found == everything.frontier(rows, "latency a")
    row_of = {tuple(choice): row for row, choice in enumerate(everything.choices.tolist())}
    own = [row_of[tuple(path)] for path in front.path.tolist()]
    assert set(own) <= set(rows.tolist())
    assert [(everything.costs["latency a"][row], everything.score[row]) for row in own] == found


def _assert_refusal_is_true(everything: Everything, budgets: Budgets, message: str) -> None:
    """A named budget really is below the named least; else each could be met alone (within the memory budget)."""
    limits: dict[str, float | None] = {f"latency {name}": limit for name, limit in budgets.latency_ms.items()}
    limits |= {"flops": budgets.flops, "params": budgets.params, "layers": budgets.layers}
    limits["memory"] = budgets.memory_bytes
    named = re.search(r"has ([a-z ]+) <= [0-9.e+-]+.*: the least possible is ([0-9.e+-]+)( MB?\b)?", message)
    considered = np.ones(len(everything.choices), bool)
    if named is None or named[1] != "memory":
        considered = everything.feasible(Budgets({}, memory_bytes=budgets.memory_bytes))
    least = {name: values[considered].min() for name, values in everything.costs.items()}
    short = {name for name, limit in limits.items() if limit is not None and least[name] > limit}
    if named is None:
        assert "all budgets together" in message
        assert not short
        return
    assert named[1] in short
    assert float(named[2]) * (1e6 if named[3] else 1) == pytest.approx(least[named[1]], rel=1e-5)
    assert ("within the memory budget" in message) == (budgets.memory_bytes is not None and named[1] != "memory")


def test_ties_go_to_the_lower_latency_then_flops_then_the_least_string() -> None:
    """With every stage in three kernel sizes and kernels of no weight in the score, whole crowds of networks tie."""
    each: tuple[Mapping[str, LatencyModel], ...] = ({"a": FlatTable()}, {"a": RandomTable(1), "b": FlatTable()})
    for seed, tables in product(range(4), each):
        space = random_space(seed, 2)
        stages = tuple(
            tuple(sorted({replace(stage, kernel_size=kernel_size) for stage in choices for kernel_size in (3, 5, 7)}))
            for choices in space.stages
        )
        everything = Everything(replace(space, stages=stages), tables, ScoreSettings(alpha=0.0))
        best = everything.best_first(np.arange(len(everything.choices)))[0]
        tied = everything.score >= everything.score[best] - 1e-9
        assert tied.sum() > 100
        for name in ("latency a", "latency b", "flops"):
            if name in everything.costs:
                tied &= everything.costs[name] == everything.costs[name][tied].min()
        strings = [str(everything.detector(int(row))) for row in np.flatnonzero(tied)]
        assert str(everything.detector(int(best))) == min(strings)
        for budgets in (Budgets({}), Budgets({}, flops=1e9, params=1e9), Budgets({"a": 1e9}, params=1e9, layers=1000)):
            solution = ExactSearch(problem_of(everything, budgets)).solve()
            assert solution.choices[0] == tuple(everything.choices[best])


def test_fewer_networks_than_asked_for_gives_all_of_them() -> None:
    everything = random_everything(3, 4)
    least = float(everything.costs["latency a"].min())
    budgets = Budgets({"a": least * 1.05})
    rows = np.flatnonzero(everything.feasible(budgets))
    expected = everything.top(rows, 100)
    assert 1 <= len(expected) < 100
    search = ExactSearch(problem_of(everything, budgets))
    found = search.enumerate_top(100, search.solve())
    assert list(found.choices) == [tuple(everything.choices[row]) for row in expected]


def test_equal_inputs_give_equal_bytes_and_the_fields_of_the_contract() -> None:
    everything = random_everything(5, 5)
    costs = {name: float(np.median(values)) for name, values in everything.costs.items()}
    budgets = Budgets({"a": costs["latency a"], "b": costs["latency b"]}, costs["flops"], memory_bytes=costs["memory"])
    results = [
        run_search(problem_of(everything, budgets), top=TOP, provenance={"a": "measured", "b": "modelled"})
        for _ in range(2)
    ]
    texts = [json.dumps(result.to_json(), allow_nan=False) for result in results]
    assert texts[0] == texts[1]
    value = json.loads(texts[0])
    assert value["top"][0] == {name: value[name] for name in value["top"][0]}
    assert value["certificate"]["optimal"] is True
    assert value["certificate"]["space_size"] == len(everything.choices)
    assert value["certificate"]["labels"] > 0
    assert value["certificate"]["bound"] == value["ddsar"]
    assert value["provenance"] == {"a": "measured", "b": "modelled"}
    assert [entry["name"] for entry in value["ranges"]] == ["latency a", "latency b", "flops", "params", "layers"]
    for entry in value["ranges"]:
        within_memory = everything.feasible(Budgets({}, memory_bytes=budgets.memory_bytes))
        assert entry["least"] == pytest.approx(everything.costs[entry["name"]][within_memory].min(), abs=1e-6)
        assert entry["least"] <= entry["median"] <= entry["largest"]
    row_of = {str(everything.detector(row)): row for row in range(len(everything.choices))}
    for candidate in (*value["top"], *value["frontier"]):
        whole = everything.whole_network_costs(row_of[candidate["architecture"]])
        assert candidate["ddsar"] == pytest.approx(whole["score"], abs=1e-8)
        assert candidate["latency_ms"] == pytest.approx({t: whole[f"latency {t}"] for t in "ab"}, abs=1e-5)
        assert (candidate["flops"], candidate["params"]) == (whole["flops"], whole["params"])
        assert (candidate["layers"], candidate["peak_memory_bytes"]) == (whole["layers"], whole["memory"])


def test_the_top_ones_differ_in_more_than_kernel_sizes() -> None:
    everything = random_everything(8, 6)
    search = ExactSearch(problem_of(everything, Budgets({})))
    top = search.enumerate_top(20, search.solve())
    backbones = [search.problem.detector(choice).backbone for choice in top.choices]
    assert len({kernel_free(backbone) for backbone in backbones}) == 20
