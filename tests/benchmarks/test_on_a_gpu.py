"""What a machine with a GPU is to do, tried on a CPU: in a copy of the checkout that is not installed, with the packages that
such a machine has and no others."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.elastic_tables import elastic_table

from facenas.data.packed import Packing
from facenas.data.synthetic import write_synthetic_set
from facenas.latency.table import load_table, save_table
from facenas.steps.pack import pack
from facenas.units import Size

ROOT = Path(__file__).resolve().parents[2]
# A None among the modules is a package that is not installed; and this checkout is installed here, but not there.
ABSENT = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path[:] = [path for path in sys.path if "editable" not in path]
for name in ("openvino", "onnxsim", "platformdirs", "tensorrt", "nncf", "ray", "ai_edge_litert", "hypothesis", "asyncssh"):
    sys.modules[name] = None
"""
TINY = (
    "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,8,2,8,1)SuperConvK3BNRELU(8,8,2,1)"
    "SuperResIDWE1K3(8,8,2,8,1)SuperConvK3BNRELU(8,8,2,1)PAFPN(8)HeadDW(8,1)"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the checkout, pieces of photos, and one network to train."""
    place = tmp_path_factory.mktemp("lent")
    for room in ("facenas", "exporters", "latency_tables", "benchmarks"):
        shutil.copytree(ROOT / room, place / "checkout" / room, ignore=shutil.ignore_patterns("__pycache__", "results"))
    (place / "absent").mkdir()
    (place / "absent" / "sitecustomize.py").write_text(ABSENT)
    write_synthetic_set(place / "photos", 8, width_px=128, height_px=96)
    pack(place / "photos", place / "pieces", packing=Packing(long_side_px=96))
    (place / "choices.json").write_text(json.dumps({"tiny": ["64x64", TINY]}))
    return place


def on_a_gpu(place: Path, stage: str, *options: str) -> subprocess.CompletedProcess[str]:
    words = [
        "--photos",
        "pieces",
        "--val",
        "pieces",
        "--state",
        "state",
        "--batch",
        "4",
        "--crop",
        "64",
        "--epochs",
        "1",
    ]
    environment = {**os.environ, "PYTHONPATH": str(place / "absent"), "OUT": str(place / "out")}
    return subprocess.run(
        [sys.executable, "checkout/benchmarks/on_a_gpu.py", stage, *words, "--choices", "choices.json", *options],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_speed_training_and_results_are_made_and_brought_back(place: Path) -> None:
    supernet = ("--supernet-minutes", "0")  # trained by the test of all stages
    speed = on_a_gpu(place, "speed", "--ways", "detector")
    assert speed.returncode == 0, speed.stderr
    assert "crops a second" in speed.stdout
    trained = on_a_gpu(place, "train", *supernet)
    assert trained.returncode == 0, trained.stderr
    again = on_a_gpu(place, "train", *supernet)
    assert again.returncode == 0
    assert "train tiny" not in again.stdout  # what is finished is not trained again
    judged = on_a_gpu(place, "results", *supernet)
    assert judged.returncode == 0, judged.stderr
    results = json.loads((place / "out" / "results.json").read_text())
    assert results["speed"]["detector"] > 0
    assert results["training"]["tiny"]["finished"]
    assert results["training"]["tiny"]["step"] == 2  # 8 photos, 4 a step
    assert 0 <= results["accuracy"]["tiny"]["own"]["all"] <= 1
    for name in ("tiny/best.safetensors", "tiny/training.jsonl", "tiny.onnx", "plan.json"):
        assert (place / "out" / name).is_file(), name


def test_all_are_trained_at_the_same_time(place: Path) -> None:
    (place / "two.json").write_text(json.dumps({"one": ["64x64", TINY], "other": ["96x64", TINY]}))
    words = ("--choices", "two.json", "--at-once", "--state", "once", "--supernet-minutes", "0")
    trained = on_a_gpu(place, "train", *words)
    assert trained.returncode == 0, trained.stderr
    results = json.loads((place / "once" / "results.json").read_text())
    assert all(results["training"][name]["finished"] for name in ("one", "other"))


def test_one_training_that_fails_costs_the_others_nothing(place: Path) -> None:
    (place / "bad.json").write_text(json.dumps({"bad": ["64x64", "nonsense"], "good": ["64x64", TINY]}))
    words = ("--choices", "bad.json", "--at-once", "--state", "bad", "--supernet-minutes", "0")
    told = on_a_gpu(place, "train", *words)
    assert told.returncode == 1
    assert "train: bad: facenas: " in told.stderr
    assert "good: " not in told.stderr
    results = json.loads((place / "bad" / "results.json").read_text())
    assert results["training"]["good"]["finished"]
    assert (place / "out" / "good" / "best.safetensors").is_file()


@pytest.mark.slow
def test_the_chain_goes_to_its_end_and_brings_its_verdict_back(place: Path) -> None:
    write_synthetic_set(place / "twenty", 20, width_px=128, height_px=96)  # a slice's norms want sixteen
    pack(place / "twenty", place / "twenty_packed", packing=Packing(long_side_px=96))
    # As the stage `profile` leaves one.
    made_up = load_table(elastic_table(place / "chained" / "cpu.json", Size(320, 256)))
    # So slow that no machine is slower: what is slower than predicted is measured again, after pauses.
    slow = {operator: replace(time, low_ns=1000 * time.low_ns) for operator, time in made_up.operators.items()}
    save_table(replace(made_up, operators=slow), place / "chained" / "cpu.json")
    words = ("--photos", "twenty_packed", "--val", "twenty", "--state", "chained", "--input", "320x256")
    told = on_a_gpu(place, "chain", *words, "--chain-targets", "cpu", "--max-minutes", "60", "--chain-minutes", "30")
    assert told.returncode == 0, told.stderr
    results = json.loads((place / "out" / "results.json").read_text())["chain"]
    assert set(results["cpu"]["gates"]) == {"drawn", "photos"}
    for gates in results["cpu"]["gates"].values():
        assert gates["tensors"][0] is True, gates
        assert "latency as predicted" in gates
    folder = place / "out" / "chain-cpu"
    run = json.loads((folder / "run.json").read_text())
    assert [step["name"] for step in run["steps"]] == ["table", "search", "data", "slice", "export", "verify"]
    assert "crops of norm-photos photos" in run["steps"][3]["summary"]  # those of the piece
    assert {path.name for path in folder.iterdir()} >= {"verify.json", "model.verify.json", "table.json", "model.onnx"}
    again = on_a_gpu(place, "chain", *words, "--chain-targets", "cpu")
    assert "chain cpu" not in again.stdout  # what has a verdict is not run again


def test_without_a_gpu_profile_and_chain_are_called_not_measured(place: Path) -> None:
    told = on_a_gpu(place, "profile", "--targets", "cuda")
    assert told.returncode == 0, told.stderr
    assert "profile cuda: not measured: facenas: device 'cuda'" in told.stdout
    told = on_a_gpu(place, "chain", "--chain-targets", "cuda")
    assert told.returncode == 0, told.stderr
    assert "chain cuda: not run: facenas: device 'cuda'" in told.stdout


def test_a_stage_that_cannot_go_on_says_why(place: Path) -> None:
    told = on_a_gpu(place, "train", "--photos", "nowhere", "--state", "other")
    assert told.returncode == 1
    assert "nowhere" in told.stderr
    assert "Traceback" not in told.stderr


MEMBER = (  # the smallest of facenas-elastic
    "SuperConvK3BNRELU(3,8,2,1)SuperConvK3BNRELU(8,24,2,1)SuperResK3K3(24,32,2,16,1)"
    "SuperResK3K3(32,48,2,16,1)SuperResK3K3(48,64,2,32,1)PAFPN(16)HeadDW(32,1)"
)


@pytest.mark.slow
def test_all_stages_with_the_supernet(place: Path) -> None:
    shutil.copytree(ROOT / "tests", place / "checkout" / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "pyproject.toml", place / "checkout")
    (place / "members.json").write_text(json.dumps({"member": ["64x64", MEMBER]}))
    ways = (
        "--choices",
        "members.json",
        "--ways",
        "detector",
        "supernet",
        "--targets",
        "cuda",
        "--chain-targets",
        "cuda",
    )
    told = on_a_gpu(place, "all", *ways, "--state", "all", "--max-minutes", "60")
    assert told.returncode == 0, told.stderr
    results = json.loads((place / "out" / "results.json").read_text())
    assert results["tests"]["passed"], results["tests"]
    assert {"machine", "tests", "profile", "chain", "speed", "training", "accuracy"} <= set(results)
    assert results["training"]["supernet"]["finished"]
    assert (place / "out" / "supernet" / "best.safetensors").is_file()
