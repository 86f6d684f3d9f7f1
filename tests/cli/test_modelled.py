"""A modelled latency is never shown bare, and the table is remade by one command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facenas.latency.table import load_table


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "damofd-0.5g", "--device", "jetson-orin-nano"),
        ("search", "--device", "jetson-orin-nano", "--latency", "2ms", "--input", "640x480,512x384"),
    ],
)
def test_every_modelled_number_says_so_with_its_error(facenas: Callable[..., Any], words: tuple[str, ...]) -> None:
    outcome = facenas(*words)
    assert outcome.code == 0, outcome.err
    assert "modelled from published figures" in outcome.err
    assert "mean error" in outcome.err
    assert "not measured" in outcome.err
    assert "modelled" in outcome.out
    ranges = [line for line in outcome.out.splitlines() if "latency jetson" in line]
    assert all("(modelled)" in line for line in ranges)


def test_the_devices_list_shows_provenance_and_error(facenas: Callable[..., Any]) -> None:
    listed = " ".join(facenas("devices").out.split())
    assert "modelled" in listed
    assert "error" in listed


def test_profile_remakes_a_modelled_table_for_any_input(facenas: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    outcome = facenas("profile", "--device", "jetson-agx-orin", "--input", "320x256", "--out", path, "--json")
    assert outcome.code == 0, outcome.err
    assert load_table(path).provenance == "modelled"


def test_a_modelled_board_runs_nothing_and_says_why(facenas: Callable[..., Any]) -> None:
    outcome = facenas("predict", "damofd-0.5g", "--device", "jetson-orin-nano", "--calibrate")
    assert outcome.code == 2
    assert "modelled, not measured, and not here" in outcome.err
