"""The comparison of scores with training, as a command: few networks, a few drawn photos."""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from facenas.data.synthetic import write_synthetic_set

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "score_against_training.py"


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--data", "train", "--val", "val", "--networks", "3", "--seconds", "1"]
    return subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_networks_of_equal_latency_are_trained_alike_and_never_twice(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "train", 32, 0)
    write_synthetic_set(tmp_path / "val", 8, 1)
    first = run(tmp_path, "--epochs", "1", "--seeds", "2", "--work", "work", "--out", "first.json")
    assert first.returncode == 0, first.stderr
    result = json.loads((tmp_path / "first.json").read_text())
    networks = result["networks"]
    assert [entry["what"] for entry in networks] == ["the search's choice", "damofd-0.5g", "drawn at random"]
    assert len({entry["architecture"] for entry in networks}) == 3
    middle_ms = median(entry["latency_ms"] for entry in networks)
    assert all(abs(entry["latency_ms"] / middle_ms - 1) < 0.1 for entry in networks)
    assert all(len(entry["ap"]) == 2 for entry in networks)
    assert result["crops_each"] == 32
    assert set(result["kendall_tau"]) == {"ddsar", "flops", "params", "naswot", "zen"}

    trained = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("rung-1.json")}
    assert len(trained) == 6
    again = run(tmp_path, "--epochs", "1", "--seeds", "2", "--work", "work", "--out", "again.json")
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "again.json").read_text()) == result
    assert {path: path.stat().st_mtime_ns for path in trained} == trained

    other = run(tmp_path, "--epochs", "2", "--work", "work")
    assert other.returncode == 2
    assert "choose another --work" in other.stderr
