"""Smallest cases of what people throw at it that belong to no other file: see docs/robustness.md."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.onnx import export_checkpoint
from helpers.command_line import Outcome
from helpers.random_networks import TINY, confident_checkpoint

from facenas.data.image import encode_jpeg
from facenas.devices.targets import resolve_target
from facenas.runtimes.local_agent import LocalAgent
from facenas.runtimes.peak_memory import peak_memory_bytes
from facenas.units import Size

Facenas = Callable[..., Outcome]
TABLE = Path(__file__).resolve().parents[2] / "latency_tables" / "cpu.json"
HOLD = """
import sys, time
from pathlib import Path
from facenas.locks import only_one
with only_one(Path(sys.argv[1]), "a run"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_python_files_of_the_working_folder_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By no process that is started to measure, nor by one that reads foreign files."""
    monkeypatch.chdir(tmp_path)
    export_checkpoint(confident_checkpoint(TINY, Size(96, 64)), tmp_path / "model.onnx", dynamic=False)
    for name in ("json", "numpy", "onnxruntime", "facenas", "scipy"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\n")
    with LocalAgent(resolve_target("cpu")) as agent:
        assert agent.measure(TINY, Size(64, 64), runs=1, layers=False).end_to_end_ns
    assert (peak_memory_bytes(tmp_path / "model.onnx", resolve_target("cpu")) or 0) > 0
    assert not (tmp_path / "ran").exists()


def test_a_table_is_drawn_where_it_lies_whatever_target_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facenas: Facenas
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    value = json.loads(TABLE.read_text(encoding="utf-8"))
    value["target"] = "../outside\x1b[2J"
    Path("t.json").write_text(json.dumps(value))
    told = facenas("report", "table", "t.json")
    assert "\x1b" not in told.out + told.err
    assert [path.name for path in tmp_path.iterdir()] == ["below"]
    assert told.code in (0, 2)
    assert len(list(Path().glob("*.html"))) == (told.code == 0)


def test_two_runs_do_not_share_a_folder(tmp_path: Path, facenas: Facenas) -> None:
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-P", "-c", HOLD, str(tmp_path / "run" / "run.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        told = facenas("run", "--latency", "5ms", "--out", tmp_path / "run")
        process.kill()
    assert told.code == 2
    assert "is running already" in told.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("train", "--arch", "damofd-0.5g", "--seed", "-1"), "seed"),
        (("train", "--arch", "damofd-0.5g", "--crop", "1000000"), "1000000"),
        (("train", "--arch", "damofd-0.5g", "--paste", "100000"), "paste"),
        (("run", "--latency", "5ms", "--seed", "-1"), "seed"),
        (("run", "--latency", "5ms", "--epochs", "0"), "epochs"),
        (("rank", "--arch", "damofd-0.5g", "--arch", "damofd-1g", "--seed", "-1"), "seed"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
)
def test_every_door_refuses_what_the_recipe_cannot_be(
    words: tuple[str, ...], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facenas: Facenas
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "images" / "a.jpg").write_bytes(encode_jpeg(np.full((96, 128, 3), 90, np.uint8), 90))
    (tmp_path / "data" / "labelv2.txt").write_text("# a.jpg 128 96\n10 10 60 60\n")
    told = facenas(*words, "--data", "data")
    assert told.code == 2
    assert named in told.err
    assert "Traceback" not in told.err
    assert not list(tmp_path.rglob("*.safetensors"))
