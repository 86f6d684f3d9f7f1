"""Confirm: what is measured over its budget does not win, and the result says what was measured."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from helpers.tiny_tables import TINY_INPUT, tiny_space, tiny_table
from helpers.told import Told

from facenas.errors import BudgetError, InputError
from facenas.runtimes.timing import Latency
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.budgets import Budgets
from facenas.searching.confirm import ROUNDS, Measure, confirm, require_confirmable
from facenas.searching.costs import TableModel
from facenas.searching.problem import Problem
from facenas.searching.result import SearchResult, run_search

AMPLE_MS = {"cpu": 1000.0}


def search(latency_ms: Mapping[str, float]) -> SearchResult:
    models = {"cpu": TableModel(tiny_table())}
    problem = Problem(tiny_space(), ScoreSettings(), TINY_INPUT, models, Budgets(latency_ms))
    return run_search(problem, top=3, provenance={"cpu": "measured"})


def measured_as(*rounds_ms: tuple[float, ...]) -> Measure:
    """Measuring that gives these latencies, round after round."""
    rounds = iter(rounds_ms)

    def measure(models: list[Any], **_: object) -> list[Latency]:
        return [
            Latency(value, value, 0.1, 30, 0.5, value, value) for _, value in zip(models, next(rounds), strict=True)
        ]

    return measure


def with_predictions(limit_ms: Mapping[str, float], *predicted_ms: float) -> SearchResult:
    """What a search for a limit gives, but with these predictions."""
    found = search(AMPLE_MS)
    top = tuple(
        replace(candidate, latency_ms={"cpu": value}) for candidate, value in zip(found.top, predicted_ms, strict=True)
    )
    return replace(found, top=top, budgets={f"latency {name}": value for name, value in limit_ms.items()})


def test_the_best_that_really_meets_the_budget_comes_first() -> None:
    result = search({"cpu": 1000.0})
    before = [candidate.architecture for candidate in result.top]
    measure = measured_as((5.2, 4.9, 4.0))
    confirmed = confirm(lambda _: result, {"cpu": 5.0}, TINY_INPUT, measure=measure)
    assert [candidate.architecture for candidate in confirmed.top] == [before[1], before[2], before[0]]
    assert [candidate.measured_ms for candidate in confirmed.top] == [{"cpu": 4.9}, {"cpu": 4.0}, {"cpu": 5.2}]
    assert confirmed.certificate.optimal is False
    assert confirmed.certificate.bound == result.certificate.bound
    assert confirmed.to_json()["confirmed"] is True
    assert confirmed.to_json()["measured_ms"] == {"cpu": 4.9}
    assert confirmed.to_json()["tightened_ms"] == {}
    assert "measured_ms" not in result.to_json()


def test_the_certified_optimum_stays_so_where_it_meets_the_budget() -> None:
    measure = measured_as((4.9, 4.8, 5.4))
    confirmed = confirm(search, AMPLE_MS, TINY_INPUT, measure=measure)
    assert confirmed.best.architecture == search(AMPLE_MS).best.architecture
    assert confirmed.certificate.optimal is True


def test_when_none_meets_it_the_search_goes_again_for_less() -> None:
    asked: list[float] = []

    def find(latency_ms: Mapping[str, float]) -> SearchResult:
        asked.append(latency_ms["cpu"])
        return with_predictions(latency_ms, 4.9, 4.8, 4.6) if len(asked) == 1 else with_predictions(latency_ms, 4, 4, 4)

    measure = measured_as((6.125, 6.0, 5.75), (5.1, 4.9, 4.8))
    told = Told()
    confirmed = confirm(find, {"cpu": 5.0}, TINY_INPUT, told, measure=measure)
    assert asked == [5.0, pytest.approx(4.0)]  # predictions were 0.8 of the truth
    assert [candidate.measured_ms["cpu"] for candidate in confirmed.top] == [4.9, 4.8, 5.1]
    assert confirmed.tightened_ms == {"cpu": pytest.approx(4.0)}
    assert confirmed.budgets == {"latency cpu": 5.0}  # the user's
    assert confirmed.certificate.optimal is False
    (line,) = told.lines
    assert "on cpu the fastest takes 5.750 ms of 5 ms; searching for a predicted cpu 4.000 ms (search 2 of at" in line


def test_when_none_ever_meets_it_the_fastest_is_told_after_a_few_searches() -> None:
    measure = measured_as(*[(5.3, 5.2, 5.4)] * ROUNDS)
    asked: list[float] = []

    def find(latency_ms: Mapping[str, float]) -> SearchResult:
        asked.append(latency_ms["cpu"])
        return with_predictions(latency_ms, 5.29, 5.19, 5.39)

    told = Told()
    with pytest.raises(
        BudgetError, match=rf"none of the 3 best.*on cpu the fastest takes 5\.200 ms.*{ROUNDS} searches"
    ):
        confirm(find, {"cpu": 5.0}, TINY_INPUT, told, measure=measure)
    assert len(told.lines) == ROUNDS - 1
    assert len(asked) == ROUNDS
    assert all(after <= 0.99 * before + 1e-6 for before, after in pairwise(asked))


def test_where_there_is_nothing_smaller_both_reasons_are_told() -> None:
    least = next(entry.least for entry in search(AMPLE_MS).ranges if entry.name == "latency cpu")
    budget_ms = least * 1.02
    count = len(search({"cpu": budget_ms}).top)
    measure = measured_as((2 * budget_ms,) * count)
    with pytest.raises(BudgetError, match=r"when measured.*there is none: no network of space 'tiny'.*least possible"):
        confirm(search, {"cpu": budget_ms}, TINY_INPUT, measure=measure)


def test_it_measures_this_machine() -> None:
    confirmed = confirm(lambda _: search(AMPLE_MS), {}, TINY_INPUT)
    assert all(0.01 < candidate.measured_ms["cpu"] < 1000 for candidate in confirmed.top)


def test_an_estimate_is_never_called_measured() -> None:
    def load(*_: object, **__: object) -> Any:
        """The compiler is not needed here: only what its figures are called."""

    found = search(AMPLE_MS)
    top = tuple(replace(candidate, latency_ms={"npu": 4.0}) for candidate in found.top)
    result = replace(found, top=top, budgets={"latency npu": 5.0}, provenance={"npu": "vendor-estimated"})
    said: list[str] = []
    measure = measured_as((5.2, 4.9, 4.0))
    tell = Told(lambda *words: said.append(words[2]))
    confirmed = confirm(lambda _: result, {"npu": 5.0}, TINY_INPUT, tell, measure=measure, load=load)
    assert [candidate.estimated_ms for candidate in confirmed.top] == [{"npu": 4.9}, {"npu": 4.0}, {"npu": 5.2}]
    assert "measured_ms" not in confirmed.to_json()
    assert confirmed.to_json()["estimated_ms"] == {"npu": 4.9}
    assert not tell.lines
    measure = measured_as(*[(6.0, 6.0, 6.0)] * ROUNDS)
    told = Told()
    with pytest.raises(BudgetError, match="by Vela's estimate: on npu") as caught:
        confirm(lambda _: result, {"npu": 5.0}, TINY_INPUT, told, measure=measure, load=load)
    assert "measured" not in " ".join([str(caught.value), *said, *told.lines])


def test_a_device_that_cannot_run_here_is_refused_before_the_search() -> None:
    require_confirmable(["cpu"])
    with pytest.raises(InputError, match="threads are more than"):
        require_confirmable(["cpu-999threads"])
    with pytest.raises(InputError, match="--device none has none"):
        require_confirmable([])
