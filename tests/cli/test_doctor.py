"""What an owner sends when something fails on a board: versions, reasons, one small network; no names, no addresses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.board import Board, board
from helpers.command_line import Outcome

Facenas = Callable[..., Outcome]


@pytest.fixture
def jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    return board(tmp_path, monkeypatch)


def test_a_board_that_works_tells_all_that_helps(jetson: Board, facenas: Facenas, tmp_path: Path) -> None:
    outcome = facenas("doctor", "--device", "jetson", *jetson.arguments, "--out", tmp_path / "doctor.json")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert told == json.loads((tmp_path / "doctor.json").read_text())
    assert told["failed"] is None
    assert (told["device"]["runtime_version"], told["device"]["gpu"]) == ("10.3.0", "Orin (compute capability 8.7)")
    assert told["device"]["memory_bytes"][1] > 0
    assert {"python", "numpy", "l4t", "power_mode", "clocks_fixed"} <= set(told["device"])
    assert {"temperature_c", "gpu_hz", "throttle_events"} <= set(told["state"])
    assert len(told["compile_seconds"]) == 2
    assert told["time"]["as_graph"]
    assert len(told["time"]["times_ns"]) == 20
    assert told["layers"]["rows"]
    assert told["nodes_of_layers"]


def test_a_reason_is_told_without_names_and_addresses(jetson: Board, facenas: Facenas, tmp_path: Path) -> None:
    (tmp_path / "standins" / "tensorrt.py").write_text(
        "raise ImportError('/home/alice/lib/libnvdla_compiler.so: cannot open, says user@board')\n"
    )
    outcome = facenas("doctor", "--device", "jetson", *jetson.arguments)
    assert outcome.code == 1
    told = json.loads(outcome.out)
    assert "libnvdla_compiler.so" in told["failed"]
    assert told["device"]["python"]  # also where the runtime is missing
    assert not [name for name in ("alice", "user@", "board'") if name in outcome.out]


def test_a_board_that_does_not_answer_is_told_of_too(facenas: Facenas, tmp_path: Path, jetson: Board) -> None:
    (tmp_path / "board-bin" / "ssh").write_text("#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n")
    outcome = facenas("doctor", "--device", "jetson", *jetson.arguments)
    assert outcome.code == 1
    assert "is not known" in json.loads(outcome.out)["failed"]


@pytest.mark.parametrize(("device", "words"), [("npu", "has no agent to ask"), ("jetson", "--host user@host")])
def test_a_device_that_cannot_be_asked_is_refused(
    facenas: Facenas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, words: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    outcome = facenas("doctor", "--device", device)
    assert outcome.code == 2
    assert words in outcome.err
