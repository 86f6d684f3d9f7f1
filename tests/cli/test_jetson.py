"""What the owner of a Jetson types, over a fake `ssh` to a board that is played (helpers.board)."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.board import board
from helpers.command_line import Outcome
from helpers.tiny_tables import TINY_INPUT, write_tiny_space


def test_from_the_first_command_to_the_best_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facenas: Callable[..., Outcome]
) -> None:
    monkeypatch.chdir(tmp_path)
    jetson = board(tmp_path, monkeypatch)
    common = ("--device", "jetson", "--space", write_tiny_space(tmp_path), "--input", TINY_INPUT, "--json")
    measured = facenas("profile", *common, *jetson.arguments, "--seconds", 0)
    assert measured.code == 0, measured.err
    profile = json.loads(measured.out)
    assert profile["failures"] == []
    assert profile["calibration_error_percent"] < 5
    found = facenas("search", *common, "--latency", "5ms")
    assert found.code == 0, found.err
    assert json.loads(found.out)["certificate"]["optimal"]
    assert list((jetson.folder / "tmp").iterdir()) == []  # nothing of facenas is left there
