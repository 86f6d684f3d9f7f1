"""Confirm: what is measured over its budget does not win, and the result says what was measured."""

from typing import Any

import pytest
from tiny_tables import TINY_INPUT, tiny_space, tiny_table

from facenas.errors import BudgetError, InputError
from facenas.latency.measure import Latency
from facenas.score import ScoreSettings
from facenas.search import confirm as module
from facenas.search.confirm import confirm, require_confirmable
from facenas.search.problem import Budgets, Problem
from facenas.search.result import SearchResult, run_search
from facenas.search.table_model import TableModel


@pytest.fixture
def result() -> SearchResult:
    models = {"cpu": TableModel(tiny_table())}
    problem = Problem(tiny_space(), ScoreSettings(), TINY_INPUT, models, Budgets({"cpu": 1000.0}))
    return run_search(problem, top=3, provenance={"cpu": "measured"})


def quiet(done: int, total: int, what: str) -> None:
    """No progress."""


def measured_as(monkeypatch: pytest.MonkeyPatch, *latencies_ms: float) -> None:
    def measure(models: list[Any], **_: object) -> list[Latency]:
        assert len(models) == len(latencies_ms)
        return [Latency(value, value, 0.1, 30, 0.5) for value in latencies_ms]

    monkeypatch.setattr(module, "measure_latency", measure)


def test_the_best_that_really_meets_the_budget_comes_first(
    result: SearchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [candidate.architecture for candidate in result.top]
    measured_as(monkeypatch, 5.2, 4.9, 4.0)
    confirmed = confirm(result, {"cpu": 5.0}, TINY_INPUT, quiet)
    assert [candidate.architecture for candidate in confirmed.top] == [before[1], before[2], before[0]]
    assert [candidate.measured_ms for candidate in confirmed.top] == [{"cpu": 4.9}, {"cpu": 4.0}, {"cpu": 5.2}]
    assert confirmed.certificate.optimal is False
    assert confirmed.certificate.bound == result.certificate.bound
    assert confirmed.to_json()["confirmed"] is True
    assert confirmed.to_json()["measured_ms"] == {"cpu": 4.9}
    assert "measured_ms" not in result.to_json()


def test_the_certified_optimum_stays_so_where_it_meets_the_budget(
    result: SearchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured_as(monkeypatch, 4.9, 4.8, 5.4)
    confirmed = confirm(result, {"cpu": 5.0}, TINY_INPUT, quiet)
    assert confirmed.best.architecture == result.best.architecture
    assert confirmed.certificate.optimal is True


def test_when_none_meets_it_the_fastest_is_told(result: SearchResult, monkeypatch: pytest.MonkeyPatch) -> None:
    measured_as(monkeypatch, 5.3, 5.2, 5.4)
    with pytest.raises(BudgetError, match=r"none of the 3 best.*on cpu the fastest takes 5\.200 ms of 5 ms"):
        confirm(result, {"cpu": 5.0}, TINY_INPUT, quiet)


def test_it_measures_this_machine(result: SearchResult) -> None:
    confirmed = confirm(result, {}, TINY_INPUT, quiet)
    assert all(0.01 < candidate.measured_ms["cpu"] < 1000 for candidate in confirmed.top)


def test_a_device_that_cannot_run_here_is_refused_before_the_search() -> None:
    require_confirmable(["cpu"])
    with pytest.raises(InputError, match="threads are more than"):
        require_confirmable(["cpu-999threads"])
