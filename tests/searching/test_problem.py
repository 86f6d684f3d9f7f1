"""A search as arrays: its parts add up to whole networks, and unusable budgets are refused."""

from itertools import islice

import numpy as np
import pytest
from helpers.brute_force import SIZE, Everything, RandomTable, problem_of, random_space

from facenas.cost import peak_memory_bytes
from facenas.errors import BudgetError, InputError
from facenas.graph import build_graph
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.budgets import Budgets
from facenas.searching.exact import ExactSearch
from facenas.searching.problem import Problem
from facenas.searching.result import require_top
from facenas.spaces.named import facenas_edge
from facenas.units import Size


def test_the_memory_filter_of_the_stages_is_the_peak_of_whole_networks() -> None:
    """A network passes the filter of every stage and of its end exactly where its own peak fits."""
    space = facenas_edge()
    size = Size(160, 128)
    detectors = list(islice(space.random_detectors(np.random.default_rng(0)), 60))
    peaks = [peak_memory_bytes(build_graph(detector, size)) for detector in detectors]
    for limit in np.quantile(peaks, [0.1, 0.5, 0.9], method="nearest"):
        problem = Problem(space, ScoreSettings(), size, {}, Budgets({}, memory_bytes=float(limit)))
        for detector, peak in zip(detectors, peaks, strict=True):
            state: tuple[int, ...] = (0, 3)
            passes = True
            for position, stage in enumerate(detector.backbone.stages):
                index = problem.stages[position].index(stage)
                third = stage.out_channels if position == 2 else state[0]
                after = (*state, stage.out_channels) if position == 4 else (third, stage.out_channels)
                chosen, _ = problem.moves(position, state).get(after, (np.zeros(0), None))
                passes &= index in chosen
                state = after
            passes &= len(problem.moves(5, state)) == 1
            assert passes == (peak <= limit)


def test_costs_of_stages_and_end_add_up_to_the_network() -> None:
    everything = Everything(random_space(1, 4), {"a": RandomTable(1)})
    problem = problem_of(everything, Budgets({}))
    row = len(everything.choices) // 2
    choice = everything.choices[row]
    stages = everything.detector(row).backbone.stages
    third, fourth, fifth = (stage.out_channels for stage in stages[2:])
    total = sum(problem.costs[position][index] for position, index in enumerate(choice[:5]))
    total = total + problem.end((third, fourth, fifth), choice[5]) + problem.constants
    names = [resource.model.cost.key for resource in problem.resources]
    assert names == ["latency a", "flops", "params", "layers"]
    assert dict(zip(names, total, strict=True)) == {name: everything.costs[name][row] for name in names}
    assert problem.detector(choice) == everything.detector(row)


@pytest.mark.parametrize(
    ("budgets", "words"),
    [
        ({"latency_ms": {"cpu": 0.0}}, "latency cpu budget 0.0 must be more than zero"),
        ({"latency_ms": {"cpu": float("nan")}}, "latency cpu budget nan"),
        ({"latency_ms": {}, "flops": -1.0}, "flops budget -1.0"),
        ({"latency_ms": {}, "params": 0.0}, "params budget 0.0"),
        ({"latency_ms": {}, "layers": 0}, "layers budget 0"),
        ({"latency_ms": {}, "memory_bytes": 0.0}, "memory budget 0.0"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(budgets: dict[str, float], words: str) -> None:
    with pytest.raises(InputError) as raised:
        Budgets(**budgets)  # type: ignore[arg-type]
    assert words in str(raised.value)


def test_a_budget_for_a_target_that_is_not_searched_on_is_refused() -> None:
    with pytest.raises(InputError, match="latency budget for 'jetson', which is no --device of this search"):
        Problem(random_space(0, 4), ScoreSettings(), SIZE, {"a": RandomTable(0)}, Budgets({"jetson": 5.0}))


@pytest.mark.parametrize("top", [0, 101, -1])
def test_a_number_of_candidates_out_of_range_is_refused(top: int) -> None:
    with pytest.raises(InputError, match=f"--top {top} is outside"):
        require_top(top)


@pytest.mark.parametrize(
    ("limits", "resource"),
    [
        ({"latency_ms": {"a": 0.01}}, "latency a"),
        ({"flops": 1000.0}, "flops"),
        ({"params": 10.0}, "params"),
        ({"layers": 4}, "layers"),
        ({"memory_bytes": 100.0}, "memory"),
    ],
)
def test_a_budget_below_the_least_is_named_with_the_least(limits: dict[str, float], resource: str) -> None:
    everything = Everything(random_space(2, 4), {"a": RandomTable(2)})
    with pytest.raises(BudgetError, match=f"no network of space 'random-2' has {resource} <= ") as raised:
        ExactSearch(problem_of(everything, Budgets(**({"latency_ms": {}} | limits))))  # type: ignore[arg-type]
    unit = 1e6 if resource in ("flops", "params", "memory") else 1
    least = f"{everything.costs[resource].min() / unit:.6g}"
    assert f"the least possible is {least}" in str(raised.value)


def test_budgets_that_cannot_be_met_together_say_so() -> None:
    everything = Everything(random_space(4, 5), {"a": RandomTable(4)})
    latency_ms, layers = everything.costs["latency a"], everything.costs["params"]
    least = latency_ms <= np.quantile(latency_ms, 0.001)
    budgets = Budgets({"a": float(latency_ms[least].max())}, params=float(layers[least].min()) - 1)
    assert not everything.feasible(budgets).any()
    assert budgets.params is not None
    assert (layers <= budgets.params).any()
    with pytest.raises(BudgetError, match="meets all budgets together, though each alone could be met"):
        ExactSearch(problem_of(everything, budgets)).solve()
