"""kill -9 at ten random moments of an export and of a benchmark: the old result or the new one, whole, and nothing else."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.formats import FORMATS, format_of
from helpers.random_networks import TINY, confident_checkpoint

from facenas.checkpoint import save_checkpoint
from facenas.detector.face_detector import FaceDetector
from facenas.units import Size

pytestmark = pytest.mark.slow

KILLS = 10
SIZE = Size(96, 64)
PHOTO = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
BENCHMARK = """
def workloads(quick):
    return {"sums": lambda: sum(range(20_000))}

def figures(quick):
    return {"error, percent": 1.5}
"""


def killed_at_random(words: Sequence[object], seed: int, check: Callable[[], None]) -> int:
    """Run `facenas` to its end, then kill it at random moments of the time that it took, and `check` after each, until
    `KILLS` came before its end or four times as many were tried. How many came before its end."""
    command = [sys.executable, "-P", "-m", "facenas.cli.main", *map(str, words)]
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    took_s = time.monotonic() - start
    generator, killed, tried = random.Random(seed), 0, 0
    while killed < KILLS and tried < 4 * KILLS:
        tried += 1
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(took_s * generator.uniform(0.1, 1.0))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        check()
    return killed


def files_of(path: Path) -> dict[str, bytes]:
    """A model's file, and that of its weights."""
    weights = format_of(path).weights_of(path)
    return {each.name: each.read_bytes() for each in (path, weights) if each is not None}


@pytest.mark.parametrize(
    ("file_format", "precision"), [("onnx", "fp32"), ("onnx", "int8"), ("openvino", "fp32"), ("tflite", "int8")]
)
def test_an_export_leaves_the_old_file_or_the_new_one(tmp_path: Path, file_format: str, precision: str) -> None:
    if file_format == "tflite":
        pytest.importorskip("ai_edge_litert", reason="the extra npu is not installed")
    for seed, name in enumerate(("old", "new")):
        save_checkpoint(tmp_path / f"{name}.safetensors", confident_checkpoint(TINY, SIZE, seed))
    folder = tmp_path / "out"
    out = folder / FORMATS[file_format].file_name

    def words(name: str) -> tuple[object, ...]:
        asked = ("--format", file_format, "--precision", precision, "--calibration-count", 8, "--out", out)
        return ("export", "--checkpoint", tmp_path / f"{name}.safetensors", *asked)

    contents, faces = {}, {}
    for name in ("old", "new"):
        subprocess.run(
            [sys.executable, "-P", "-m", "facenas.cli.main", *map(str, words(name))], check=True, capture_output=True
        )
        contents[name], faces[name] = files_of(out), FaceDetector(out)(PHOTO).rows.tobytes()
        shutil.copytree(folder, tmp_path / f"{name}-folder")
    assert faces["old"] != faces["new"]

    def check() -> None:
        assert FaceDetector(out)(PHOTO).rows.tobytes() in faces.values()
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "old-folder", folder)

    assert killed_at_random(words("new"), 3, check) == KILLS
    # What is killed, and not put back, is as good as undisturbed once it has run to its end.
    process = subprocess.Popen([sys.executable, "-P", "-m", "facenas.cli.main", *map(str, words("new"))])
    time.sleep(1)
    process.kill()
    process.wait()
    subprocess.run(
        [sys.executable, "-P", "-m", "facenas.cli.main", *map(str, words("new"))], check=True, capture_output=True
    )
    assert files_of(out) == contents["new"]
    assert {path.name for path in folder.iterdir()} == set(contents["new"])


def test_a_benchmark_leaves_a_whole_record_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its processes end with it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "sums.py").write_text(BENCHMARK)
    record = tmp_path / "records" / "a.json"

    def whole() -> None:
        if record.exists():
            value = json.loads(record.read_text())
            timing = value["timings"]["sums"]
            assert len(timing["samples_ns"]) == len(timing["reference_ns"]) > 0
            assert value["figures"] == {"error, percent": 1.5}
            record.unlink()

    words = ("bench", "--quick", "--benchmarks", "benchmarks", "--out", record)
    first = subprocess.run(
        [sys.executable, "-P", "-m", "facenas.cli.main", *map(str, words), "--json"], check=True, capture_output=True
    )
    whole()
    assert killed_at_random(words, 4, whole) == KILLS
    subprocess.run([sys.executable, "-P", "-m", "facenas.cli.main", *map(str, words)], check=True, capture_output=True)
    told, again = json.loads(first.stdout), json.loads(record.read_text())
    for changing in ("date", "timings"):
        told.pop(changing), again.pop(changing)
    assert again == {key: told[key] for key in again}
    assert [path.name for path in record.parent.iterdir()] == ["a.json"]
    deadline = time.monotonic() + 60
    while (left := workers_of(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def workers_of(folder: Path) -> list[str]:
    """The processes whose working folder this is, but for this one."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if place.name != str(os.getpid()) and (place / "cwd").resolve() == folder:
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
