"""What goes wrong with a board: each is mended, or one line with its cure."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.board import HOST, Board, board, python_of
from helpers.far_devices import DETECTOR, SIZE
from helpers.tiny_tables import TINY_INPUT, tiny_space

from facenas.devices.host import transport_for
from facenas.devices.targets import resolve_target
from facenas.errors import AgentError, DeviceError, PassingFaultError
from facenas.graph import build_graph
from facenas.latency.profile_plan import Plan
from facenas.latency.profiler import networks_to_visit, profile
from facenas.latency.table import load_table
from facenas.remote.remote_agent import BUILD_TIMEOUT_S, RemoteAgent

JETSON = resolve_target("jetson")
PLAN = Plan(
    carriers_per_operator=1, calibration_networks=6, seconds=0, least_rounds=2, runs_per_visit=1, published=False
)


@pytest.fixture
def jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return board(tmp_path, monkeypatch)


def agent_on(
    jetson: Board, *, build_timeout_s: float = BUILD_TIMEOUT_S, note: Callable[[str], None] = print
) -> RemoteAgent:
    return RemoteAgent(
        JETSON,
        transport_for(HOST),
        python=jetson.python,
        build_timeout_s=build_timeout_s,
        retry_delays_s=(0.01,) * 3,
        note=note,
    )


@pytest.mark.slow
def test_where_memory_ends_engines_are_forgotten_and_loaded_again_not_built_again(
    jetson: Board, tmp_path: Path
) -> None:
    builds = tmp_path / "builds"
    jetson.has({"CUDA_STANDIN_BYTES": str(90 << 20), "TENSORRT_STANDIN_BUILDS": str(builds)})
    table = profile(agent_on(jetson), tiny_space(), TINY_INPUT, tmp_path / "table.json", plan=PLAN)
    assert table.failures == ()
    networks = networks_to_visit(tiny_space(), TINY_INPUT, PLAN)
    built = len(builds.read_text().splitlines())
    assert built == len({network.detector for network in networks})


def test_too_little_memory_stops_the_profile_and_resume_goes_on(jetson: Board, tmp_path: Path) -> None:
    out = tmp_path / "table.json"
    jetson.has({"CUDA_STANDIN_BYTES": str(15 << 20)})
    with pytest.raises(DeviceError, match=r"user@board is out of memory .*end what else runs there.*--resume"):
        profile(agent_on(jetson), tiny_space(), TINY_INPUT, out, plan=PLAN)
    jetson.has({})
    table = profile(agent_on(jetson), tiny_space(), TINY_INPUT, out, plan=PLAN, resume=True)
    assert table.failures == ()


def test_a_build_that_lasts_too_long_goes_on_where_it_was(jetson: Board) -> None:
    notes: list[str] = []
    # Some 20 kernels of a quarter of a second each, and 2 seconds a build.
    jetson.has({"TENSORRT_STANDIN_BUILD_S": "0.25"})
    with agent_on(jetson, build_timeout_s=2, note=notes.append) as agent:
        assert agent.measure(DETECTOR, SIZE, runs=1, layers=True).layers_ns
    assert any("its timings are kept" in note for note in notes)


def test_a_build_that_learns_nothing_is_a_passing_fault(jetson: Board) -> None:
    jetson.has({"TENSORRT_STANDIN_BUILD_S": "30"})
    with (
        agent_on(jetson, build_timeout_s=1) as agent,
        pytest.raises(PassingFaultError, match=r"more than 1 s.*--resume"),
    ):
        agent.measure(DETECTOR, SIZE, runs=1, layers=True)


def test_a_board_that_restarts_is_asked_again_and_one_that_changed_is_named(jetson: Board) -> None:
    with agent_on(jetson) as agent:
        agent.measure(DETECTOR, SIZE, runs=1, layers=False)
        jetson.restarts()
        assert agent.measure(DETECTOR, SIZE, runs=1, layers=False).end_to_end_ns
        jetson.has({"TENSORRT_STANDIN": "11.1.0"})
        jetson.restarts()
        with pytest.raises(
            DeviceError, match=r"runtime version: the table's 10\.3\.0, this machine's 11\.1\.0.*--resume"
        ):
            agent.measure(DETECTOR, SIZE, runs=1, layers=False)


@pytest.mark.parametrize("names", [pytest.param("neck", marks=pytest.mark.slow), "compiled"])
def test_what_the_compiler_takes_is_charged_to_its_layers(jetson: Board, tmp_path: Path, names: str) -> None:
    jetson.has({"TENSORRT_STANDIN_NAMES": names})
    table = profile(agent_on(jetson), tiny_space(), TINY_INPUT, tmp_path / "table.json", plan=PLAN)
    assert [str(operator) for operator, time in table.operators.items() if time.low_ns == 0] == []
    assert "launched as one CUDA graph; 0.0% of the layers' time belongs to no layer" in table.calibration.note
    assert load_table(tmp_path / "table.json").calibration.note == table.calibration.note


def test_what_nobody_tells_of_is_no_table(jetson: Board, tmp_path: Path) -> None:
    jetson.has({"TENSORRT_STANDIN_NAMES": "nameless"})
    with agent_on(jetson) as agent, pytest.raises(AgentError, match="does not tell of which layers"):
        agent.measure(DETECTOR, SIZE, runs=1, layers=True)


def test_the_agent_runs_on_python_3_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = python_of("3.8", "numpy", "onnx", "onnxruntime")
    jetson = board(tmp_path, monkeypatch, "8.5.2", python)
    with agent_on(jetson) as agent:
        assert agent.fingerprint.runtime_version == "8.5.2"
        layers = agent.measure(DETECTOR, SIZE, runs=1, layers=True).layers_ns
        assert list(layers) == [layer.name for layer in build_graph(DETECTOR, SIZE).layers]
        assert agent.measure(DETECTOR, SIZE, runs=2, layers=False).end_to_end_ns
    assert list((jetson.folder / "tmp").iterdir()) == []


def broken_module(folder: Path, name: str, error: str) -> None:
    """A module that comes before the others and cannot be imported."""
    (folder / "standins" / f"{name}.py").write_text(f"raise {error}\n")


NVDLA = "libnvdla_compiler.so: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("module", "error", "words"),
    [
        ("numpy", "ImportError('No module named numpy')", r"numpy cannot be imported.*apt install python3-numpy"),
        ("numpy", "OSError('libblas.so.3: cannot open')", r"numpy cannot be imported \(libblas.so.3"),
        ("tensorrt", f"ImportError({NVDLA!r})", "libnvdla_compiler.so.*apt install nvidia-l4t-dla-compiler"),
        ("tensorrt", "OSError('libnvinfer.so.8: no such file')", "libnvinfer.so.8.*nvidia-jetpack"),
        ("tensorrt", "RuntimeError('no idea')", "the agent on user@board failed .RuntimeError: no idea.*doctor"),
    ],
)
def test_the_reason_why_something_cannot_be_imported_reaches_the_user(
    jetson: Board, tmp_path: Path, module: str, error: str, words: str
) -> None:
    broken_module(tmp_path, module, error)
    with pytest.raises(DeviceError, match=words), agent_on(jetson) as agent:
        agent.connect()


def test_a_board_with_tensorrt_7_or_without_any_is_told_what_it_needs(jetson: Board, tmp_path: Path) -> None:
    jetson.has({"TENSORRT_STANDIN": "7.1.3"})
    with pytest.raises(DeviceError, match=r"TensorRT 7\.1\.3 is too old; 8\.5 or later"), agent_on(jetson) as agent:
        agent.connect()
    (tmp_path / "standins" / "tensorrt.py").unlink()
    with (
        pytest.raises(DeviceError, match=r"no module named tensorrt.*apt install nvidia-jetpack"),
        agent_on(jetson) as a,
    ):
        a.connect()


def test_a_board_with_python_3_6_is_told_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jetson = board(tmp_path, monkeypatch, python=python_of("3.6"))
    with (
        pytest.raises(DeviceError, match=r"Python on user@board is too old \(3\.6.*Python 3\.8"),
        agent_on(jetson) as agent,
    ):
        agent.connect()


def test_a_full_disk_there_is_said(jetson: Board) -> None:
    jetson.has({})
    with jetson.environment.open("a") as file:
        file.write("ulimit -f 4\n")
    with pytest.raises(DeviceError, match=r"the disk of user@board is full.*--resume"), agent_on(jetson) as agent:
        agent.connect()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("user@board: Permission denied (publickey,password).", r"does not let this user in.*ssh-copy-id user@board"),
        ("Host key verification failed.", r"host key of user@board is not known.*ssh user@board"),
    ],
)
def test_an_ssh_that_would_ask_is_an_error_with_its_cure(tmp_path: Path, jetson: Board, said: str, words: str) -> None:
    (tmp_path / "board-bin" / "ssh").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 255\n")
    with pytest.raises(DeviceError, match=words), agent_on(jetson) as agent:
        agent.connect()
