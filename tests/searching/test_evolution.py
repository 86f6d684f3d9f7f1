"""The released evolution as baseline: it repeats itself, goes on after a kill, and never beats the exact search."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from helpers.tiny_tables import TINY_INPUT, tiny_space, tiny_table

from facenas.errors import BudgetError, InputError
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.budgets import Budgets
from facenas.searching.costs import TableModel
from facenas.searching.evolution import EvolutionSettings, run_evolution
from facenas.searching.exact import ExactSearch
from facenas.searching.problem import Problem
from facenas.searching.result import SearchResult
from facenas.spaces.named import load_space
from facenas.units import Size

SHORT = EvolutionSettings(candidates=6_400)


@cache
def released_problem() -> Problem:
    """The release's own search: 65 MFLOPs at 224 and 14 layers."""
    budgets = Budgets({}, layers=14, released_flops=65e6)
    return Problem(load_space("damofd-0.5g"), ScoreSettings(alpha=0.25), Size(640, 480), {}, budgets)


@cache
def released_optimum() -> float:
    return ExactSearch(released_problem()).solve().bound


def edge_problem(budgets: Budgets) -> Problem:
    return Problem(load_space("facenas-edge"), ScoreSettings(), Size(320, 256), {}, budgets)


def evolve(problem: Problem, settings: EvolutionSettings, **options: object) -> SearchResult:
    return run_evolution(problem, settings, top=3, provenance={}, **options)  # type: ignore[arg-type]


def test_it_stays_within_the_budgets_and_proves_nothing() -> None:
    problem = edge_problem(Budgets({}, flops=150e6, params=0.25e6, memory_bytes=3e6))
    result = evolve(problem, SHORT)
    assert result.certificate.optimal is False
    assert result.certificate.bound is None
    assert result.certificate.labels == 6_400
    assert (result.algorithm, result.seed, len(result.top)) == ("evolution", 0, 3)
    for candidate in result.top:
        assert candidate.flops <= 150e6
        assert candidate.params <= 0.25e6
        assert candidate.peak_memory_bytes <= 3e6
    scores = [candidate.ddsar for candidate in result.top]
    assert scores == sorted(scores, reverse=True)
    assert len({candidate.architecture for candidate in result.top}) == 3
    best = ExactSearch(problem).solve().bound
    assert scores[0] <= best + 1e-9
    assert scores[0] > 0.97 * best


@pytest.mark.parametrize("seed", range(4))
def test_the_exact_search_is_at_least_as_good_in_the_released_space(seed: int) -> None:
    result = evolve(released_problem(), replace(SHORT, seed=seed))
    assert result.best.ddsar <= released_optimum() + 1e-9
    assert result.best.released_flops is not None
    assert result.best.released_flops <= 65e6
    assert result.best.layers <= 14


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_all_96000_candidates_do_not_beat_it(seed: int) -> None:
    result = evolve(released_problem(), EvolutionSettings(seed))
    assert 22 < result.best.ddsar <= released_optimum() + 1e-9


def test_in_a_space_of_six_networks_it_finds_the_best() -> None:
    models = {"cpu": TableModel(tiny_table())}
    problem = Problem(tiny_space(), ScoreSettings(), TINY_INPUT, models, Budgets({"cpu": 1.0}))
    result = run_evolution(problem, SHORT, top=9, provenance={"cpu": "measured"})
    assert result.best.ddsar == pytest.approx(ExactSearch(problem).solve().bound)
    assert len(result.top) <= tiny_space().size


class KilledError(Exception):
    """Stands for a kill between two batches."""


def test_the_same_seed_gives_the_same_bytes_also_after_a_stop(tmp_path: Path) -> None:
    problem = edge_problem(Budgets({}, flops=200e6))
    whole = evolve(problem, SHORT, state_path=tmp_path / "whole.json")

    def kill(done: int, total: int) -> None:
        if done > total / 2:
            raise KilledError

    with pytest.raises(KilledError):
        evolve(problem, SHORT, state_path=tmp_path / "cut.json", progress=kill)
    assert 3_000 < json.loads((tmp_path / "cut.json").read_text())["candidates"] < 6_400
    resumed = evolve(problem, SHORT, state_path=tmp_path / "cut.json", resume=True)
    assert json.dumps(resumed.to_json()) == json.dumps(whole.to_json())
    assert (tmp_path / "cut.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert evolve(problem, SHORT, state_path=tmp_path / "none.json", resume=True) == whole
    assert evolve(problem, replace(SHORT, seed=1)).top != whole.top


def test_a_state_of_another_search_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    evolve(edge_problem(Budgets({}, flops=200e6)), SHORT, state_path=path)
    for problem, settings in (
        (edge_problem(Budgets({}, flops=210e6)), SHORT),
        (edge_problem(Budgets({}, flops=200e6)), replace(SHORT, seed=2)),
    ):
        with pytest.raises(InputError, match="the state of another search"):
            evolve(problem, settings, state_path=path, resume=True)
    whole = json.loads(path.read_text())
    broken: tuple[object, ...] = (
        whole | {"genes": [[99_999] * 5]},
        whole | {"generator": {}},
        whole | {"genes": "x"},
        [],
        {},
    )
    for damaged in broken:
        path.write_text(json.dumps(damaged))
        with pytest.raises(InputError, match="is no state of an evolution"):
            evolve(edge_problem(Budgets({}, flops=200e6)), SHORT, state_path=path, resume=True)
    path.write_text("{")
    with pytest.raises(InputError, match="not whole JSON"):
        evolve(edge_problem(Budgets({}, flops=200e6)), SHORT, state_path=path, resume=True)


def test_budgets_that_nothing_meets() -> None:
    with pytest.raises(BudgetError, match=r"flops <=.*least possible"):
        evolve(edge_problem(Budgets({}, flops=1e6)), SHORT)
    least = ExactSearch(edge_problem(Budgets({}, flops=1e12))).least[0]
    with pytest.raises(BudgetError, match="--algorithm exact"):
        evolve(edge_problem(Budgets({}, flops=float(least) + 1)), replace(SHORT, candidates=64))
    with pytest.raises(InputError, match="seed -1"):
        EvolutionSettings(seed=-1)


@pytest.mark.slow
def test_kill_9_and_resume_on_the_command_line(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "facenas.cli.main",
        "search",
        "--space",
        "facenas-edge",
        "--latency",
        "9ms",
        "--algorithm",
        "evolution",
    ]
    command += ["--seed", "5", "--out"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    killed = subprocess.Popen([*command, str(tmp_path / "cut")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / "cut" / "evolution.json").exists() and killed.poll() is None:
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "cut" / "search.json").exists()
    subprocess.run([*command, str(tmp_path / "cut"), "--resume"], check=True, capture_output=True)
    assert (tmp_path / "cut" / "search.json").read_bytes() == (tmp_path / "whole" / "search.json").read_bytes()
