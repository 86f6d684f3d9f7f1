"""Profiling on the command line: what goes wrong is one line, what was measured is kept and not measured twice."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Outcome
from helpers.tiny_tables import TINY_INPUT, made_up_cost_ns, tiny_space

from facenas.architecture import Detector
from facenas.errors import AgentError
from facenas.graph import build_graph
from facenas.latency import profiler
from facenas.latency.profiler import Plan
from facenas.latency.table import load_table
from facenas.runtimes.local_agent import Sample
from facenas.units import Size

Run = Callable[..., Outcome]
QUICK = Plan(seconds=0.0, least_rounds=2)


class FakeAgent:
    """Answers at once with made-up times; `accident` may be raised at a visit."""

    visits: Counter[str]
    accident: Callable[[int, Detector], None]

    def __init__(self, target: object) -> None: ...

    def __enter__(self) -> "FakeAgent":
        return self

    def __exit__(self, *error: object) -> None: ...

    def measure(self, detector: Detector, input_size: Size, *, runs: int, layers: bool) -> Sample:
        type(self).accident(self.visits.total(), detector)
        self.visits[f"{detector} {detector.landmarks} {layers}"] += 1
        graph = build_graph(detector, input_size)
        times = {layer.name: [made_up_cost_ns(layer.operator)] * runs for layer in graph.layers}
        total = sum(made_up_cost_ns(operator) for operator in graph.operators)
        return Sample((), times, (0,) * runs) if layers else Sample((total + 10_000,) * runs, {}, ())


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> type[FakeAgent]:
    fake: type[FakeAgent] = type("QuickAgent", (FakeAgent,), {"visits": Counter(), "accident": lambda *_: None})
    monkeypatch.setattr(profiler, "Agent", fake)
    monkeypatch.setattr(profiler, "Plan", lambda: QUICK)
    return fake


@pytest.fixture
def words(tmp_path: Path) -> tuple[str | Path, ...]:
    """The arguments of a profile of the tiny space, into `t.json`."""
    space = {
        "name": "tiny",
        "stages": [[str(stage) for stage in stages] for stages in tiny_space().stages],
        "necks_and_heads": {str(least): str(design) for least, design in tiny_space().necks_and_heads},
    }
    path = tmp_path / "space.json"
    path.write_text(json.dumps(space))
    return (
        "profile",
        "--device",
        "cpu",
        "--space",
        path,
        "--input",
        str(TINY_INPUT),
        "--out",
        tmp_path / "t.json",
        "--even-if-busy",
    )


def one_line(outcome: Outcome) -> str:
    """The one line of facenas on stderr, beside progress."""
    assert "Traceback" not in outcome.err
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("facenas: ")]
    return line


def test_a_runtime_that_crashes_on_one_carrier_keeps_the_rest(
    facenas: Run, agent: type[FakeAgent], words: tuple[str | Path, ...], tmp_path: Path
) -> None:
    refused: list[str] = []

    def crash(visit: int, detector: Detector) -> None:
        if (visit == 3 and not refused) or str(detector) in refused:
            refused.append(str(detector))
            raise AgentError("the runtime onnxruntime crashed with signal SIGSEGV")

    agent.accident = staticmethod(crash)  # type: ignore[assignment]
    outcome = facenas(*words, "--json")
    assert outcome.code == 0, outcome.err
    result = json.loads(outcome.out)
    assert result["operators"] > 10
    assert result["failures"]
    assert all(refused[0] in failure and "SIGSEGV" in failure for failure in result["failures"])
    assert f"kept out: {refused[0]}" in outcome.err
    assert load_table(tmp_path / "t.json").failures == tuple(result["failures"])


def test_ctrl_c_is_one_line_and_resume_measures_nothing_twice(
    facenas: Run, agent: type[FakeAgent], words: tuple[str | Path, ...], tmp_path: Path
) -> None:
    assert facenas(*words).code == 0
    undisturbed = agent.visits.copy()
    (tmp_path / "t.json").unlink()
    agent.visits.clear()

    def interrupt(visit: int, detector: Detector) -> None:
        if visit == 7:
            raise KeyboardInterrupt

    agent.accident = staticmethod(interrupt)  # type: ignore[assignment]
    stopped = facenas(*words)
    assert stopped.code == 130
    assert "--resume" in one_line(stopped)
    assert not (tmp_path / "t.json").exists()
    agent.accident = staticmethod(lambda *_: None)  # type: ignore[assignment]
    refused = facenas(*words)
    assert refused.code == 2
    assert "add --resume to continue it" in one_line(refused)
    assert facenas(*words, "--resume").code == 0
    assert agent.visits == undisturbed
    assert load_table(tmp_path / "t.json").operators


def test_the_page_of_a_table_shows_its_calibration_networks(
    facenas: Run, agent: type[FakeAgent], words: tuple[str | Path, ...], tmp_path: Path
) -> None:
    assert facenas(*words).code == 0
    outcome = facenas("report", "table", tmp_path / "t.json", "--out", tmp_path / "page.html", "--json")
    assert outcome.code == 0, outcome.err
    table = load_table(tmp_path / "t.json")
    figures = json.loads(outcome.out)
    assert figures["networks"] == table.calibration.networks >= 3
    assert (figures["operators"], figures["provenance"]) == (len(table.operators), "measured")
    assert f"{figures['networks']} whole networks from" in (tmp_path / "page.html").read_text()
    shipped = facenas("report", "table", "cpu", "--out", tmp_path / "cpu.html")
    assert (shipped.code, shipped.out.strip()) == (0, str(tmp_path / "cpu.html"))
    assert "no latency table at" in one_line(facenas("report", "table", tmp_path / "none.json"))
    assert "toaster" in one_line(facenas("report", "table", "toaster"))


def test_a_full_disk_is_one_line_and_keeps_what_was_measured(
    facenas: Run,
    agent: type[FakeAgent],
    words: tuple[str | Path, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = iter(range(1_000_000))

    def full(descriptor: int) -> None:
        if next(calls) >= 5:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        outcome = facenas(*words)
    assert outcome.code == 2
    line = one_line(outcome)
    assert "No space left on device" in line
    assert "--resume" in line
    assert not (tmp_path / "t.json").exists()
    measured = agent.visits.total()
    assert facenas(*words, "--resume").code == 0
    assert agent.visits.total() > measured
    assert load_table(tmp_path / "t.json").operators


def test_kill_9_then_resume_measures_nothing_twice(
    facenas: Run,
    agent: type[FakeAgent],
    words: tuple[str | Path, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A real profile of this machine is killed; the resumed one is quick."""
    journal = tmp_path / "t.json.journal"
    command = [sys.executable, "-m", "facenas.cli.main", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < 8):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    lines = journal.read_text().splitlines(keepends=True)
    done = {(line["round"], line["network"]) for line in map(json.loads, lines[1:-1])}
    assert len(done) >= 6
    assert not (tmp_path / "t.json").exists()
    visited: list[tuple[int, str]] = []
    visit = profiler._visit

    def counting(agent: Any, network: Any, number: int, *rest: Any) -> Any:
        visited.append((number, network.key))
        return visit(agent, network, number, *rest)

    monkeypatch.setattr(profiler, "_visit", counting)
    assert facenas(*words, "--resume").code == 0
    assert visited
    assert len(set(visited)) == len(visited)
    assert not set(visited) & done
    assert load_table(tmp_path / "t.json").operators


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--device", "toaster"), "toaster"),
        (("--device", "cpu", "--space", "nowhere"), "no search space 'nowhere'"),
        (("--device", "cpu", "--input", "640"), "640"),
        (("--device", "cpu", "--also", "no-such-net"), "no-such-net"),
        (("--device", "cpu-999threads"), "threads are more than"),
    ],
)
def test_unusable_words(
    facenas: Run,
    arguments: tuple[str, ...],
    expected: str,
    agent: type[FakeAgent],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = facenas("profile", *arguments)
    assert outcome.code == 2
    assert expected in one_line(outcome)
    assert not list(tmp_path.iterdir())
