"""The whole chain, small: a budget in, a verified detector and a report out; resumed where it was stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from facenas.exporters.formats import description_of
from helpers.elastic_tables import elastic_table
from helpers.random_supernet import write_photos, write_supernet
from helpers.told import Told
from helpers.web import require_web

from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError
from facenas.evaluation.gates import Gate, proved
from facenas.files import read_json, sha256_of, write_json
from facenas.latency.this_machine import Calibrate
from facenas.spaces import DEFAULT_SPACE
from facenas.spaces.elastic_space import elastic_space
from facenas.steps.run import RunResult, run
from facenas.steps.run_settings import RunSettings
from facenas.units import Size

ROOT = Path(__file__).resolve().parents[2]
STEPS = ["table", "search", "data", "train", "export", "verify"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_synthetic_set(folder / "train", 12, seed=0)
    write_synthetic_set(folder / "val", 4, seed=1)
    return folder


@pytest.fixture(scope="module")
def settings(photos: Path) -> RunSettings:
    return RunSettings(photos / "val", epochs=2, space="facenas-edge", calibrate=Calibrate.NEVER)


def small_run(photos: Path, settings: RunSettings, folder: Path, notes: Told | None = None) -> RunResult:
    """A generous budget, twelve photos, two epochs: every step is real, only short."""
    return run("12ms", data=photos / "train", settings=settings, out=folder, progress=notes or Told())


@pytest.fixture(scope="module")
def run_folder(photos: Path, settings: RunSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    small_run(photos, settings, folder)
    return folder


def test_every_step_leaves_its_artefact(run_folder: Path) -> None:
    names = [step["name"] for step in read_json(run_folder / "run.json", "run")["steps"]]
    assert names == STEPS
    for name in ("table.json", "search.json", "prediction.json", "model.onnx", "verify.json", "report.html"):
        assert (run_folder / name).stat().st_size > 0
    assert (run_folder / "training" / "best.safetensors").exists()


def test_the_export_answers_like_the_checkpoint(run_folder: Path) -> None:
    gates = {gate["name"]: gate for gate in read_json(run_folder / "verify.json", "verification")["gates"]}
    # The latency gates depend on how busy this machine is; the others do not.
    assert gates["tensors"]["passed"]
    assert gates["tensors"]["value"] < 1e-4
    # So short a training finds hardly a face, and of none nothing is proved.
    for name in ("boxes", "average precision"):
        assert gates[name]["passed"] is not False
        assert (gates[name]["value"] is None) == (gates[name]["passed"] is None)
    assert gates["latency as predicted"]["value"] is not None


def test_the_same_call_does_nothing_twice(run_folder: Path, photos: Path, settings: RunSettings) -> None:
    before = (run_folder / "model.onnx").stat().st_mtime_ns
    notes = Told()
    small_run(photos, settings, run_folder, notes)
    assert (run_folder / "model.onnx").stat().st_mtime_ns == before
    assert [note for note in notes.lines if "already done" in note][:5] == [
        f"{name}: already done" for name in STEPS[:5]
    ]


@pytest.mark.parametrize("passed", [True, False])
def test_only_a_latency_that_the_machine_may_have_failed_is_measured_again(
    run_folder: Path, photos: Path, settings: RunSettings, tmp_path: Path, passed: bool
) -> None:
    folder = tmp_path / "again"
    shutil.copytree(run_folder, folder)
    verification = read_json(folder / "verify.json", "verification")
    for gate in verification["gates"]:
        gate["passed"] = passed or not gate["name"].startswith("latency")
    write_json(folder / "verify.json", verification)
    keep_as_made(folder, "verify.json")
    notes = Told()
    small_run(photos, settings, folder, notes)
    assert ("verify: already done" in notes.lines) is passed


def keep_as_made(folder: Path, name: str) -> None:
    """The run takes a file that a test has written for its own."""
    record = read_json(folder / "run.json", "run")
    record["sha256"][name] = sha256_of(folder / name)
    write_json(folder / "run.json", record)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "first", "change"),
    [
        ("model.onnx", "export", emptied),
        ("training/best.safetensors", "train", emptied),
        ("verify.json", "verify", Path.unlink),
    ],
)
def test_what_rests_on_a_file_that_was_changed_is_done_again(
    run_folder: Path,
    photos: Path,
    settings: RunSettings,
    tmp_path: Path,
    name: str,
    first: str,
    change: Callable[[Path], None],
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(run_folder, folder)
    before = sha256_of(folder / "model.onnx")
    change(folder / name)
    notes = Told()
    small_run(photos, settings, folder, notes)
    assert f"{first}: {name} was changed or is gone since; again from here" in notes.lines
    done = [note.partition(":")[0] for note in notes.lines if note.endswith(": already done")]
    assert done == STEPS[: STEPS.index(first)]
    if first != "train":  # of whose last state the weights are made then
        assert sha256_of(folder / "model.onnx") == before


def test_other_settings_are_refused(run_folder: Path, photos: Path, settings: RunSettings) -> None:
    with pytest.raises(InputError, match="budget"):
        run("7ms", data=photos / "train", settings=settings, out=run_folder)
    with pytest.raises(InputError, match="epochs"):
        small_run(photos, replace(settings, epochs=3), run_folder)


def test_a_killed_run_goes_on(run_folder: Path, photos: Path, settings: RunSettings, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    arguments = [
        "run",
        "--latency",
        "12ms",
        "--data",
        photos / "train",
        "--val",
        photos / "val",
        "--epochs",
        "2",
        "--space",
        "facenas-edge",
    ]
    command = [sys.executable, "-m", "facenas.cli.main", *map(str, arguments), "--out", str(folder)]
    # The same table, so that the search cannot choose otherwise when the machine is busier.
    command += ["--table", str(run_folder / "table.json")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (folder / "search.json").exists() and process.poll() is None:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert json.loads((folder / "run.json").read_text())["steps"][0]["name"] == "table"
    done = replace(settings, table=run_folder / "table.json")
    small_run(photos, done, folder)
    assert (folder / "report.html").exists()
    assert not list(folder.rglob("*.partial"))


def test_what_a_supernet_needs_is_said_before_anything_is_measured(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(InputError, match="no elastic space 'facenas-edge'"):
        run(
            "12ms",
            settings=RunSettings(space="facenas-edge", supernet=tmp_path / "s.safetensors"),
            out=tmp_path / "run",
        )
    with pytest.raises(InputError, match="train on labelled ones with --data"):
        run("12ms", data=photos / "train", settings=RunSettings(photos=photos), out=tmp_path / "run")
    with pytest.raises(InputError, match="is not trained; add --data"):
        run("12ms", settings=RunSettings(epochs=3), out=tmp_path / "run")


@pytest.mark.parametrize(
    ("device", "artefact"), [("cpu", "model.onnx"), pytest.param("web", "web/model.onnx", marks=pytest.mark.slow)]
)
def test_without_photos_it_takes_a_slice_of_the_supernet(tmp_path: Path, device: str, artefact: str) -> None:
    if device == "web":
        require_web()
    settings = RunSettings(
        space=DEFAULT_SPACE,
        supernet=write_supernet(tmp_path / "elastic.safetensors", elastic_space(DEFAULT_SPACE)),
        photos=write_photos(tmp_path / "photos", 16),
        input_size=Size(320, 256),
        table=elastic_table(tmp_path / "table.json", Size(320, 256), device),
        calibrate=Calibrate.NEVER,
    )
    told = Told()
    budget = "0.4ms"  # small networks by that table; larger ones take long to measure the norms of
    result = run(budget, device, settings=settings, out=tmp_path / "run", progress=told)
    assert [step.name for step in result.steps] == ["table", "search", "data", "slice", "export", "verify"]
    gates = {gate.name: gate.passed for gate in result.gates}
    assert gates["loads"]
    assert gates["tensors"]
    assert description_of(tmp_path / "run" / artefact).input_size == settings.input_size  # not the supernet's
    record = read_json(tmp_path / "run" / "run.json", "run")
    assert record["supernet"] == "elastic"
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "the weights are a slice of supernet elastic" in page
    again = run(budget, device, settings=settings, out=tmp_path / "run", progress=told)
    assert "slice: already done" in told.lines
    assert again.steps[:5] == result.steps[:5]


def test_the_verdict_in_a_line_is_that_of_the_page(tmp_path: Path) -> None:
    def line(*passed: bool | None) -> str:
        names = ("loads", "tensors", "boxes", "average precision")
        gates = tuple(Gate(name, each, None, None) for name, each in zip(names, passed, strict=True))
        return RunResult(tmp_path, proved(gates), (), gates).line().partition(":")[0]

    assert line(True, True, True, True) == "passed"
    assert line(True, True, None, False) == "FAILED"
    assert line(True, True, None, True).startswith("NOT PROVED")
