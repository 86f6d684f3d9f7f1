"""The comparison of the search's choices with trained networks, as a command: few networks, a few drawn photos."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from facenas.data.synthetic import write_synthetic_set

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "score_against_training.py"


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["--data", "train", "--val", "val", "--latency", "9ms", "--drawn", "1", "--seconds", "0"]
    command = [sys.executable, str(SCRIPT), *words, *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_choices_and_drawn_networks_are_trained_alike_and_never_twice(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "train", 32, 0)
    write_synthetic_set(tmp_path / "val", 8, 1)
    first = run(tmp_path, "--epochs", "1", "--twice", "1", "--work", "work", "--out", "first.json")
    assert first.returncode == 0, first.stderr
    result = json.loads((tmp_path / "first.json").read_text())
    networks = result["networks"]
    choosers = {name for entry in networks for name in entry["what"].split(" and ")}
    assert {"DDSAR, the paper's weights", "DDSAR, learnt weights", "the accuracy table"} <= choosers
    assert len({entry["architecture"] for entry in networks}) == len(networks)
    assert [len(entry["ap"]) for entry in networks] == [2] + [1] * (len(networks) - 1)
    assert result["crops_each"] == 32
    assert set(result["kendall_tau"]["9ms"]) >= {"ddsar_paper", "ddsar_learnt", "predicted_ap", "flops"}

    trained = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("rung-1.json")}
    assert len(trained) == len(networks) + 1
    again = run(tmp_path, "--epochs", "1", "--twice", "1", "--work", "work", "--out", "again.json")
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "again.json").read_text()) == result
    assert {path: path.stat().st_mtime_ns for path in trained} == trained

    other = run(tmp_path, "--epochs", "2", "--work", "work")
    assert other.returncode == 2
    assert "choose another --work" in other.stderr
