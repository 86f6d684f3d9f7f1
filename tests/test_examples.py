"""Every file of examples/ does what its first lines say, on a few synthetic photos."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facenas.data.synthetic import write_synthetic_set
from facenas.zoo import zoo_model

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
TRIED = {"budget_to_detector.sh", "fine_tune.sh", "detect_folder.py", "own_runtime.py", "own_space.json"}
SHORT = {"EPOCHS": "1", "CROP": "64", "LATENCY": "500ms"}  # no test depends on how fast the machine is


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ and val/, labelled."""
    place = tmp_path_factory.mktemp("examples")
    write_synthetic_set(place / "train", 8, seed=0)
    write_synthetic_set(place / "val", 4, seed=1)
    return place


def run(*words: object, folder: Path, **more: str) -> str:
    """What a command prints; `facenas` is this environment's."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, **SHORT, "PATH": path, **more}
    result = subprocess.run(
        list(map(str, words)), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_every_example_is_tried() -> None:
    found = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert found - TRIED <= {"github-workflow.yml"}  # tests/test_workflows and the runner itself read that one
    assert found >= TRIED


def test_a_folder_becomes_a_table(folder: Path) -> None:
    out = run(
        sys.executable, EXAMPLES / "detect_folder.py", "val", "faces.csv", zoo_model("facenas-5ms"), folder=folder
    )
    rows = list(csv.DictReader((folder / "faces.csv").read_text().splitlines()))
    assert len(out.splitlines()) == 4
    assert sum(int(line.rpartition(": ")[2].split()[0]) for line in out.splitlines()) == len(rows)
    assert all((folder / "val" / row["photo"]).is_file() for row in rows)


def test_another_runtime_finds_the_same_faces(folder: Path) -> None:
    photo, model = next((folder / "val/images").iterdir()), zoo_model("facenas-5ms")
    lines = run(sys.executable, EXAMPLES / "own_runtime.py", model, photo, folder=folder).splitlines()
    found = [list(map(float, line.split())) for line in lines]
    told = json.loads(run("facenas", "detect", photo, "--model", model, "--json", folder=folder))[0]["faces"]
    assert len(found) == len(told)
    for (score, *box), face in zip(found, told, strict=True):
        assert score == pytest.approx(face["score"], abs=2e-3)
        assert box == pytest.approx(face["box"], abs=0.5)


def test_an_own_space_is_searched(folder: Path) -> None:
    words = ("--space", EXAMPLES / "own_space.json", "--device", "none", "--flops", "200M", "--json")
    found = json.loads(run("facenas", "search", *words, folder=folder))
    assert (found["space"], found["certificate"]["optimal"]) == ("plain-and-small", True)
    assert found["flops"] <= 200e6


@pytest.mark.slow
def test_from_a_budget_to_a_detector(folder: Path) -> None:
    # A board that is modelled: nothing is measured, so that nothing depends on this machine's speed.
    out = run(
        "sh", EXAMPLES / "budget_to_detector.sh", "train", "val", "budget", folder=folder, DEVICE="jetson-orin-nano"
    )
    assert "certified: none of the" in out
    assert "latency within budget" in out
    assert len(list((folder / "budget/drawn").iterdir())) == 4


@pytest.mark.slow
def test_fine_tuning(folder: Path) -> None:
    out = run("sh", EXAMPLES / "fine_tune.sh", "train", "val", "tuned", folder=folder)
    assert out.count("average precision") == 2
    assert (folder / "tuned/model.onnx").is_file()
