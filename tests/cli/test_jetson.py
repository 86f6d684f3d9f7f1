"""What the owner of a Jetson types, over a fake `ssh` to a board that is played (helpers.board); and what is typed on a
machine with an NVIDIA GPU. Every precision, every version of TensorRT, every verb."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.board import HOST, VERSIONS, Board, board, gpu_here
from helpers.command_line import Outcome
from helpers.tiny_tables import TINY_INPUT, tiny_space, write_tiny_space
from PIL import Image

from facenas.devices.host import transport_for
from facenas.devices.own_devices import PRECISIONS
from facenas.devices.targets import resolve_target
from facenas.latency.profile_plan import Plan
from facenas.latency.profiler import profile
from facenas.latency.table import LatencyTable, load_table
from facenas.quiet import Patience
from facenas.remote.remote_agent import RemoteAgent
from facenas.runtimes.local_agent import LocalAgent
from facenas.steps.profile import table_path

Facenas = Callable[..., Outcome]
ARCHITECTURE = (
    "SuperConvK3BNRELU(3,16,2,1)SuperConvK3BNRELU(16,32,2,1)SuperConvK3BNRELU(32,32,2,1)SuperConvK3BNRELU(32,32,2,1)"
    "SuperResK3K3(32,32,2,16,1)PAFPN(16)HeadDW(16,1)"
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's configuration, cache and tables are this test's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def done(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def few(cases: tuple[tuple[str, str], ...], *quick: tuple[str, str]) -> list[Any]:
    """All cases; those that are not `quick` are slow."""
    return [pytest.param(*case, marks=[] if case in quick else [pytest.mark.slow]) for case in cases]


def small_table(agent: LocalAgent | RemoteAgent) -> LatencyTable:
    """The table of the tiny space by as few visits as will do, where commands look for it."""
    path = table_path(agent.target.name, TINY_INPUT)
    return profile(agent, tiny_space(), TINY_INPUT, path, plan=PLAN, patience=Patience(judges=False))


PLAN = Plan(
    carriers_per_operator=1, calibration_networks=6, seconds=0, least_rounds=2, runs_per_visit=2, published=False
)
QUICK = ("fp16", "10.3.0")
MATRIX = tuple((precision, version) for precision in PRECISIONS["tensorrt"] for version in VERSIONS)


def kept_board(facenas: Facenas, jetson: Board, precision: str) -> str:
    """The name under which a board is kept now."""
    name = "jetson" if precision == "fp16" else f"orin-{precision}"
    kept = ("--host", HOST, "--python", jetson.python, "--runtime", "tensorrt", "--precision", precision)
    done(facenas("device", "add", name, *kept, "--json"))
    return name


@pytest.mark.parametrize(("precision", "version"), few(MATRIX, QUICK))
def test_a_board_from_the_first_command_to_the_files_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facenas: Facenas, precision: str, version: str
) -> None:
    jetson = board(tmp_path, monkeypatch, version)
    name = kept_board(facenas, jetson, precision)
    space = ("--device", name, "--space", write_tiny_space(tmp_path), "--input", TINY_INPUT, "--json")
    if (precision, version) == QUICK:
        told = done(facenas("profile", *space, "--seconds", 0))
        assert (told["failures"], told["warnings"]) == ([], [])
        table = load_table(Path(told["table"]))
    else:
        table = small_table(RemoteAgent(resolve_target(name), transport_for(HOST), python=jetson.python))
    assert table.fingerprint.runtime_version == version
    assert table.calibration.error_percent < 5
    assert "launched as one CUDA graph; 0.0% of the layers' time" in table.calibration.note
    found = done(facenas("search", *space, "--latency", "5ms"))
    assert found["certificate"]["optimal"]
    common = ("--device", name, "--input", TINY_INPUT, "--json")
    predicted = done(facenas("predict", found["architecture"], *common))
    assert predicted["latency_ms"] == pytest.approx(found["latency_ms"][name], abs=1e-3)

    asked = ("--arch", ARCHITECTURE, "--format", "trt", "--device", name, "--input", TINY_INPUT)
    exported = done(facenas("export", *asked, "--calibration-count", 8, "--json"))
    assert (exported["artefact"], exported["precision"], exported["target"]) == ("model.engine", precision, name)
    assert exported["runtime_version"] == version
    reference = done(facenas("export", "--arch", ARCHITECTURE, "--input", TINY_INPUT, "--out", "ref.onnx", "--json"))
    found = done(facenas("detect", write_photo(tmp_path), "--model", "model.engine", "--min-score", 0.01, "--json"))
    assert len(found) == 1
    write_labels(tmp_path / "data")
    verified = facenas(
        *("verify", "model.engine", "--reference", reference["artefact"], "--data", "data"),
        *("--latency", "1000ms", "--json"),
    )
    assert verified.out, verified.err
    gates = {gate["name"]: gate for gate in json.loads(verified.out)["gates"]}
    assert gates["tensors"]["passed"], gates
    assert gates["latency within budget"]["passed"], gates  # measured there
    assert list((jetson.folder / "tmp").iterdir()) == []  # nothing of facenas is left there


@pytest.mark.parametrize("version", ["8.6.2", "10.3.0", "11.1.0"])
@pytest.mark.parametrize("precision", PRECISIONS["tensorrt"])
def test_for_a_board_that_is_off_the_onnx_file_is_written_and_what_to_type_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facenas: Facenas, precision: str, version: str
) -> None:
    jetson = board(tmp_path, monkeypatch, version)
    name = kept_board(facenas, jetson, precision)
    small_table(RemoteAgent(resolve_target(name), transport_for(HOST), python=jetson.python))
    (tmp_path / "board-bin" / "ssh").write_text("#!/bin/sh\necho 'No route to host' >&2\nexit 255\n")
    asked = ("--arch", ARCHITECTURE, "--format", "trt", "--device", name, "--input", TINY_INPUT)
    exported = facenas("export", *asked, "--calibration-count", 8, "--out", "model.engine", "--json")
    assert (done(exported)["artefact"], done(exported)["precision"]) == ("model.onnx", precision)
    strong = "--stronglyTyped" in exported.err, "--fp16" in exported.err, "--int8" in exported.err
    major = int(version.partition(".")[0])
    assert strong == (major == 10, major < 10 and precision != "fp32", major < 10 and precision == "int8")


@pytest.mark.parametrize(("precision", "version"), few(MATRIX, QUICK))
def test_a_gpu_here_from_the_first_command_to_faces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facenas: Facenas, precision: str, version: str
) -> None:
    gpu_here(tmp_path, monkeypatch, TENSORRT_STANDIN=version, CUDA_STANDIN_THROTTLED=str(0x20))
    name = "cuda-tensorrt" if precision == "fp32" else f"cuda-tensorrt-{precision}"
    space = ("--device", name, "--space", write_tiny_space(tmp_path), "--input", TINY_INPUT, "--json")
    if (precision, version) == QUICK:
        told = done(facenas("profile", *space, "--seconds", 0, "--even-if-busy"))
        assert told["failures"] == []
        assert told["warnings"] == ["this machine slowed its GPU down (heat); mend that, profile again"]
        table = load_table(Path(told["table"]))
    else:
        table = small_table(LocalAgent(resolve_target(name)))
    assert "launched as one CUDA graph; 0.0%" in table.calibration.note
    found = done(facenas("search", *space, "--latency", "5ms"))
    common = ("--device", name, "--input", TINY_INPUT, "--json")
    predicted = done(facenas("predict", found["architecture"], *common))
    assert predicted["latency_ms"] == pytest.approx(found["latency_ms"][name], abs=1e-3)
    asked = ("--arch", ARCHITECTURE, "--input", TINY_INPUT, "--json")
    engine = facenas("export", *asked, "--format", "trt", "--device", name, "--calibration-count", 8)
    assert done(engine)["target"] == name
    done(facenas("export", *asked, "--out", "ref.onnx"))
    photos = [write_photo(tmp_path, number) for number in range(3)]
    assert len(done(facenas("detect", *photos, "--model", "model.engine", "--min-score", 0.01, "--json"))) == 3
    write_labels(tmp_path / "data")
    words = ("--reference", "ref.onnx", "--data", "data", "--latency", "1000ms", "--json")
    gates = json.loads(facenas("verify", "model.engine", *words).out)["gates"]
    passed = {gate["name"]: gate["passed"] for gate in gates}
    assert passed["tensors"], gates
    assert passed["latency within budget"], gates


def write_photo(folder: Path, seed: int = 0) -> Path:
    values = np.random.default_rng(seed).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    path = folder / f"photo{seed}.jpg"
    Image.fromarray(values).save(path)
    return path


def write_labels(folder: Path) -> None:
    """Two photos with a face each, in the layout of labelv2.txt."""
    (folder / "images").mkdir(parents=True)
    lines = []
    for seed in (1, 2):
        write_photo(folder / "images", seed)
        lines += [f"# photo{seed}.jpg 128 96", "10 10 60 60"]
    (folder / "labelv2.txt").write_text("\n".join(lines) + "\n")


def test_an_engine_of_another_gpu_or_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facenas: Facenas
) -> None:
    with monkeypatch.context() as patch:
        gpu_here(tmp_path, patch, CUDA_STANDIN_GPU="NVIDIA H100;9.0;114")
        done(facenas("export", "--arch", ARCHITECTURE, "--format", "trt", "--input", TINY_INPUT, "--json"))
    gpu_here(tmp_path, monkeypatch, TENSORRT_STANDIN="11.1.0")
    outcome = facenas("detect", write_photo(tmp_path), "--model", "model.engine")
    assert outcome.code == 2
    words = "version 10.3.0, here 11.1.0; gpu NVIDIA H100, here Orin; compute capability 9.0, here 8.7"
    assert words in outcome.err


@pytest.mark.parametrize("installed", [True, False])
def test_an_engine_for_a_board_is_built_there_whatever_this_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facenas: Facenas, installed: bool
) -> None:
    if installed:
        gpu_here(tmp_path, monkeypatch)
    jetson = board(tmp_path, monkeypatch, "8.6.2")
    asked = ("export", "--arch", ARCHITECTURE, "--format", "trt", "--input", TINY_INPUT)
    nowhere = facenas(*asked, "--device", "jetson")
    assert nowhere.code == 2
    assert "facenas device add jetson --host user@host" in nowhere.err
    kept = ("--host", HOST, "--python", jetson.python, "--runtime", "tensorrt", "--precision", "fp16")
    assert facenas("device", "add", "jetson", *kept).code == 0
    engine = done(facenas(*asked, "--device", "jetson", "--json"))
    assert (engine["artefact"], engine["target"], engine["runtime_version"]) == ("model.engine", "jetson", "8.6.2")
    words = ("--model", "model.engine", "--min-score", 0.01, "--json")
    assert len(done(facenas("detect", write_photo(tmp_path), *words))) == 1
    jetson.has({"TENSORRT_STANDIN": "10.3.0"})  # it was set up anew
    refused = facenas("detect", write_photo(tmp_path), *words)
    assert refused.code == 2
    assert "version 8.6.2, there 10.3.0); engines are not portable, export it for this one" in refused.err
    modelled = facenas(*asked, "--device", "jetson-orin-nano", "--json")
    assert done(modelled)["precision"] == "fp16"
    assert "TensorRT 8: " in modelled.err
    assert "TensorRT 11: " in modelled.err


EXPORT = ("export", "--arch", ARCHITECTURE, "--format")
NAME_IT = "facenas device add NAME --host user@board"


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ((*EXPORT, "onnx", "--device", "jetson"), "--format trt"),
        ((*EXPORT, "trt", "--device", "cpu"), "--format trt"),
        ((*EXPORT, "trt", "--device", "jetson", "--precision", "int8"), "leave --precision out"),
        (("profile", "--device", "cuda-tensorrt-fp16", "--host", "user@board"), NAME_IT),
        (("profile", "--device", "jetson-orin-nano", "--host", "user@board"), NAME_IT),
        (("profile", "--device", "jetson"), "--host user@host"),
    ],
)
def test_words_that_do_not_fit_are_one_line_with_the_cure(facenas: Facenas, words: tuple[str, ...], cure: str) -> None:
    outcome = facenas(*words)
    assert outcome.code == 2
    assert cure in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_device_of_a_name_that_there_is_already_and_a_table_of_another(tmp_path: Path, facenas: Facenas) -> None:
    kept = ("--host", HOST, "--runtime", "tensorrt", "--precision", "fp16")
    assert facenas("device", "add", "nano", *kept).code == 0
    again = facenas("device", "add", "nano", *kept)
    assert again.code == 2
    assert "facenas device remove nano" in again.err
    facenas("profile", "--device", "jetson-orin-nano", "--out", "orin.json")
    other = facenas("predict", "damofd-0.5g", "--device", "nano", "--table", "orin.json")
    assert other.code == 2
    assert "jetson-orin-nano" in other.err


def test_a_budget_that_binds_nothing_is_said_and_the_space_for_gpus_ends_near_it(facenas: Facenas) -> None:
    asked = ("search", "--device", "jetson-orin-nano", "--latency", "5ms", "--json")
    small = facenas(*asked, "--input", "640x480,512x384")
    assert "binds nothing" in small.err
    assert "--space facenas-orin" in small.err
    large = facenas(*asked, "--space", "facenas-orin")
    assert "binds nothing" not in large.err
    assert 4.5 < done(large)["latency_ms"]["jetson-orin-nano"] <= 5
    assert "mean error" in large.err


def test_nothing_measured_is_not_passed(tmp_path: Path, facenas: Facenas, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        gpu_here(tmp_path, patch)
        done(facenas("export", "--arch", ARCHITECTURE, "--format", "trt", "--input", TINY_INPUT, "--json"))
    write_labels(tmp_path / "data")
    done(facenas("export", "--arch", ARCHITECTURE, "--input", TINY_INPUT, "--out", "ref.onnx", "--json"))
    outcome = facenas("verify", "model.engine", "--reference", "ref.onnx", "--data", "data")
    assert outcome.code == 1
    assert "NOT PASSED: nothing could be measured here" in outcome.out


def test_a_prediction_above_the_budget_fails(tmp_path: Path, facenas: Facenas) -> None:
    done(facenas("export", "--arch", "damofd-0.5g", "--precision", "fp16", "--out", "model.onnx", "--json"))
    write_labels(tmp_path / "data")
    asked = ("verify", "model.onnx", "--reference", "model.onnx", "--data", "data", "--device", "jetson-orin-nano")
    within = json.loads(facenas(*asked, "--latency", "100ms", "--json").out)
    assert within["passed"]
    above = facenas(*asked, "--latency", "0.1ms", "--json")
    assert above.code == 1
    gate = json.loads(above.out)["gates"][-1]
    assert gate["passed"] is False
    assert "predicted by the modelled table, not measured" in gate["note"]
