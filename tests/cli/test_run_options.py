"""What `facenas run` takes beside latency and photos: other budgets, where its training starts and stops, who is trained."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import Outcome

from facenas.architecture import parse_architecture
from facenas.checkpoint import load_checkpoint
from facenas.data.synthetic import write_synthetic_set
from facenas.searching.result import SearchResult
from facenas.typed_json import read_file

Run = Callable[..., Outcome]
EDGE = ("--space", "facenas-edge", "--no-calibrate")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_synthetic_set(folder / "train", 12, seed=0)
    write_synthetic_set(folder / "val", 4, seed=1)
    return folder


def of(photos: Path) -> tuple[object, ...]:
    return ("--data", photos / "train", "--val", photos / "val")


def steps_of(folder: Path) -> dict[str, str]:
    return {step["name"]: step["summary"] for step in json.loads((folder / "run.json").read_text())["steps"]}


def found_in(folder: Path) -> SearchResult:
    return read_file(SearchResult, folder / "search.json", "search result")


def test_budgets_beside_the_latency_are_kept(facenas: Run, photos: Path, tmp_path: Path) -> None:
    free = json.loads(facenas("search", *EDGE, "--latency", "40ms", "--json").out)
    params, memory = free["params"] // 2, free["peak_memory_bytes"] // 2
    out = tmp_path / "run"
    words = ("run", "--latency", "40ms", *EDGE, *of(photos), "--epochs", 1, "--max-minutes", 0, "--out", out)
    outcome = facenas(*words, "--params", params, "--memory", memory)
    assert outcome.code in (0, 1), outcome.err
    best = found_in(out).best
    assert best.params <= params
    assert best.peak_memory_bytes <= memory
    budgets = json.loads((out / "run.json").read_text())["budgets"]
    assert budgets == {"latency cpu": 40.0, "params": params, "memory": memory}
    assert "budget, parameters" in (out / "report.html").read_text()
    another = facenas(*words, "--params", params - 1, "--memory", memory)
    assert another.code == 2
    assert "another params" in another.err


def test_the_best_few_are_trained_briefly_first(
    facenas: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # which gives the same (tests/ranking), and takes long to start
    out = tmp_path / "run"
    words = ("run", "--latency", "9ms", *EDGE, *of(photos), "--epochs", 1, "--top", 3, "--out", out, "--json")
    outcome = facenas(*words)
    assert outcome.code in (0, 1), outcome.err
    ranking = json.loads((out / "ranking" / "rank.json").read_text())
    ranked = [entry["architecture"] for entry in ranking["candidates"]]
    assert ranking["finished"]
    assert len(ranked) == 3
    found = found_in(out)
    assert [candidate.architecture for candidate in found.top] == ranked
    assert list(found.best.reranked) == [f"AP after {rung['epochs']} epochs" for rung in ranking["rungs"]]
    assert load_checkpoint(out / "training" / "best.safetensors").detector == parse_architecture(ranked[0])
    assert json.loads(facenas("predict", out, "--no-calibrate", "--json").out)["latency_ms"] == pytest.approx(
        json.loads((out / "prediction.json").read_text())["latency_ms"]
    )
    assert "put the best in order" in (out / "report.html").read_text()
    again = facenas(*words)
    assert "rank: already done" in again.err
    (out / "ranking" / "rank.json").unlink()
    repeated = facenas(*words)
    assert "again from here" in repeated.err
    assert [candidate.architecture for candidate in found_in(out).top] == ranked


def test_a_training_starts_from_what_is_given_and_stops_in_time(facenas: Run, photos: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    words = ("run", "--latency", "9ms", *EDGE, *of(photos), "--epochs", 4)
    assert facenas(*words, "--max-minutes", 0, "--out", first).code in (0, 1)
    assert steps_of(first)["train"].startswith("stopped at step 1 of 3, ")
    assert (first / "model.onnx").exists()
    outcome = facenas(*words, "--out", first)  # without the limit it goes to the end
    assert "train: was stopped early" in outcome.err
    assert steps_of(first)["train"].startswith("4 epochs of 12 photos")
    assert facenas(*words, "--init", first, "--max-minutes", 0, "--out", second).code in (0, 1)
    assert load_checkpoint(second / "training" / "best.safetensors").origin["init"]["file"] == "best.safetensors"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--init", "facenas-12ms"), "--init facenas-12ms: a slice of a supernet is not trained; add --data"),
        (("--top", 3), "--top 3: a slice of a supernet is not trained; add --data"),
        (("--max-minutes", 3), "--max-minutes 3.0: a slice of a supernet is not trained; add --data"),
        (("--data", ".", "--top", 1), "give 2 to 64 of them"),
        (("--data", ".", "--init", "facenas-12sm"), "'facenas-12ms'"),
        (("--data", ".", "--init", "absent.safetensors"), "absent.safetensors"),
        (("--data", ".", "--teacher", "absent.onnx"), "no teacher at absent.onnx"),
        (("--data", "."), "no labels in"),
        (("--data", "absent"), "absent"),
        (("--params", "lots"), "'lots'"),
        (("--memory", "4"), "4"),
    ],
    ids=lambda words: " ".join(map(str, words)) if isinstance(words, tuple) else "",
)
def test_what_cannot_be_is_refused_before_anything_is_measured(
    facenas: Run, words: tuple[object, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = facenas("run", "--latency", "9ms", *words, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert told in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "run" / "table.json").exists()
