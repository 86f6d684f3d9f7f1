"""What is seen of a training while it runs: the bar, a log, the curve as a table, TensorBoard."""

import csv
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import Outcome
from helpers.random_networks import TINY

from facenas.data.synthetic import write_synthetic_set

Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_synthetic_set(folder, 6, seed=0)
    return folder


def words(photos: Path, out: Path, *more: object) -> list[str]:
    given = ("train", "--arch", TINY, "--data", photos, "--val", photos, "--input", "96x64", "--crop", 64, "--batch", 2)
    return [*map(str, given), "--epochs", "14", "--out", str(out), *map(str, more)]


def test_a_log_says_how_it_stands(facenas: Run, photos: Path, tmp_path: Path) -> None:
    outcome = facenas(*words(photos, tmp_path / "out"))
    assert outcome.code == 0, outcome.err
    last = [line for line in outcome.err.splitlines() if line.startswith("training: ")][-1]
    assert "loss " in last
    assert "best AP " in last
    assert "crops/s" in last


def test_crops_that_hold_no_close_up_are_told(facenas: Run, photos: Path, tmp_path: Path) -> None:
    once = ("--epochs", 1, "--max-minutes", 0)
    assert "close-ups" not in facenas(*words(photos, tmp_path / "as large", *once)).err
    told = facenas(*words(photos, tmp_path / "smaller", *once, "--input", "160x128")).err
    assert "crops of 64 px hold no larger face, and pictures of 160x128 do: for close-ups give --crop 128" in told


def test_the_bar_says_how_it_stands(photos: Path, tmp_path: Path) -> None:
    """On a terminal, here one of 160 columns."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "facenas", *words(photos, tmp_path / "out")]
    environment = os.environ | {"COLUMNS": "160", "TERM": "xterm"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
    except OSError:  # how a terminal ends on Linux
        pass
    finally:
        os.close(ours)
    assert process.wait() == 0, seen
    bar = [line for line in seen.decode().splitlines() if "training" in line and "loss" in line][-1]
    assert "best AP " in bar
    assert "crops/s" in bar


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """What TensorBoard shows, by its own reader: the values by tag and step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: {each.step: each.value for each in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def test_tensorboard_and_the_table_show_the_curve(facenas: Run, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    out = tmp_path / "out"
    assert facenas(*words(photos, out, "--tensorboard", "--max-minutes", 0)).code == 0
    outcome = facenas(*words(photos, out, "--tensorboard", "--resume"))
    assert outcome.code == 0, outcome.err
    curve = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    shown = scalars(out / "tensorboard")
    assert shown["loss/score"] == pytest.approx({line["step"]: line["score"] for line in curve if "score" in line})
    assert shown["AP/all"] == pytest.approx({line["step"]: line["all"] for line in curve if "all" in line})
    assert "speed/crops a second" in shown
    with (out / "training.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [int(row["step"]) for row in table] == sorted({line["step"] for line in curve})


def test_without_tensorboard_it_says_what_to_install(
    facenas: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    outcome = facenas(*words(photos, tmp_path / "out", "--tensorboard"))
    assert outcome.code == 2
    assert "pip install 'facenas[tensorboard]'" in outcome.err
    assert not (tmp_path / "out").exists()
    assert facenas(*words(photos, tmp_path / "out", "--max-minutes", 0)).code == 0
