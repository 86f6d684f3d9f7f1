"""A latency table that cannot be used: every command that reads one says in one line what is wrong and the cure."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Outcome
from helpers.tiny_tables import TINY_INPUT, tiny_space, tiny_table

from facenas.latency.table import save_table

Run = Callable[..., Outcome]
ARCHITECTURE = next(iter(map(str, tiny_space().covering_detectors())))


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[str], str]:
    """A damage done to the table as JSON."""

    def damage(text: str) -> str:
        value = json.loads(text)
        change(value)
        return json.dumps(value)

    return damage


def set_in(part: str, name: str, value: object) -> Callable[[str], str]:
    return edited(lambda table: table[part].update({name: value}))


DAMAGES: Mapping[str, tuple[Callable[[str], str], str]] = {
    "cut off in the middle": (lambda text: text[: len(text) // 2], "not whole JSON"),
    "empty": (lambda text: "", "not whole JSON"),
    "a negative time": (edited(lambda table: table["operators"][1].update(low_ns=-7)), "low_ns is -7"),
    "a time that is no number": (
        edited(lambda table: table["operators"][1].update(low_ns=float("nan"))),
        "NaN is no number",
    ),
    "a negative calibration": (set_in("calibration", "scale", -1.0), "scale is -1.0"),
    "another schema": (edited(lambda table: table.update(schema=99)), "schema 99"),
    "another precision": (set_in("fingerprint", "precision", "int8"), "onnxruntime int8"),
    "another runtime": (set_in("fingerprint", "runtime", "openvino"), "openvino fp32"),
    "another input": (edited(lambda table: table.update(input_size="320x256")), "for input 320x256"),
}


@pytest.mark.parametrize("command", ["search", "predict"])
@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_table_that_cannot_be_used(facenas: Run, tmp_path: Path, damage: str, command: str) -> None:
    path = tmp_path / "table.json"
    save_table(tiny_table(), path)
    break_it, words = DAMAGES[damage]
    path.write_text(break_it(path.read_text()))
    arguments = {"search": ("search", "--latency", "9ms"), "predict": ("predict", ARCHITECTURE, "--device", "cpu")}
    outcome = facenas(*arguments[command], "--input", str(TINY_INPUT), "--table", path)
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("facenas: ")
    assert words in line
    assert str(path) in line
    assert not outcome.out


def test_a_table_that_is_not_there_or_not_asked_for(facenas: Run, tmp_path: Path) -> None:
    missing = facenas("search", "--latency", "9ms", "--table", tmp_path / "none.json")
    assert (missing.code, missing.err.count("\n")) == (2, 1)
    assert "no latency table at" in missing.err
    save_table(tiny_table(), tmp_path / "cpu.json")
    other = facenas("search", "--device", "none", "--table", tmp_path / "cpu.json")
    assert (other.code, other.err.count("\n")) == (2, 1)
    assert "is for device 'cpu', which is not asked for" in other.err
