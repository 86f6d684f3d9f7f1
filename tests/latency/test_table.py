import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_tables import TINY_INPUT, tiny_table

from facenas.devices.target import TARGET_NAMES
from facenas.devices.targets import resolve_target
from facenas.errors import TableError
from facenas.latency.predictor import OperatorCosts
from facenas.latency.shipped import shipped_table_path
from facenas.latency.table import find_table, load_table, save_table
from facenas.spaces.named import load_space
from facenas.units import Size


def test_a_table_reads_back_as_it_was_written(tmp_path: Path) -> None:
    save_table(tiny_table(), tmp_path / "cpu.json")
    assert load_table(tmp_path / "cpu.json") == tiny_table()


def test_equal_tables_give_equal_bytes_with_one_operator_a_line(tmp_path: Path) -> None:
    table = tiny_table()
    shuffled = replace(table, operators=dict(reversed(list(table.operators.items()))))
    save_table(table, tmp_path / "a.json")
    save_table(shuffled, tmp_path / "b.json")
    text = (tmp_path / "a.json").read_text()
    assert text == (tmp_path / "b.json").read_text()
    assert sum('"operator":' in line for line in text.splitlines()) == len(table.operators)


def test_the_latencies_of_the_calibration_networks_are_one_line(tmp_path: Path) -> None:
    table = tiny_table()
    table = replace(table, calibration=replace(table.calibration, pairs_ms=((5.0, 5.1), (20.25, 19.5))))
    save_table(table, tmp_path / "cpu.json")
    assert load_table(tmp_path / "cpu.json") == table
    assert ' "calibration_pairs_ms": [[5.0, 5.1], [20.25, 19.5]],\n' in (tmp_path / "cpu.json").read_text()
    older = json.loads((tmp_path / "cpu.json").read_text())
    del older["calibration_pairs_ms"]
    (tmp_path / "cpu.json").write_text(json.dumps(older))
    assert load_table(tmp_path / "cpu.json").calibration.pairs_ms == ()


def _negative(value: dict[str, Any]) -> None:
    value["operators"][0]["low_ns"] = -5


def _nan(value: dict[str, Any]) -> None:
    value["operators"][0]["median_ns"] = float("nan")


def _text_time(value: dict[str, Any]) -> None:
    value["operators"][0]["low_ns"] = "12"


def _schema(value: dict[str, Any]) -> None:
    value["schema"] = 7


def _no_calibration(value: dict[str, Any]) -> None:
    del value["calibration"]


def _provenance(value: dict[str, Any]) -> None:
    value["provenance"] = "guessed"


def _twice(value: dict[str, Any]) -> None:
    value["operators"].append(value["operators"][0])


def _empty(value: dict[str, Any]) -> None:
    value["operators"] = []


def _no_operator(value: dict[str, Any]) -> None:
    value["operators"][0] = 3


def _fingerprint(value: dict[str, Any]) -> None:
    value["fingerprint"]["threads"] = "one"


def _interval(value: dict[str, Any]) -> None:
    value["calibration"]["low_ratio"] = 2.0


def _drift(value: dict[str, Any]) -> None:
    value["calibration"]["drift"] = -0.01


def _pairs(value: dict[str, Any]) -> None:
    value["calibration_pairs_ms"] = [[5.0, -1.0]]


def _odd_pairs(value: dict[str, Any]) -> None:
    value["calibration_pairs_ms"] = [5.0]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_negative, "low_ns is -5"),
        (_nan, "NaN is no number"),
        (_text_time, "low_ns is '12'"),
        (_schema, "schema 7"),
        (_no_calibration, "lacks calibration"),
        (_provenance, "'guessed'"),
        (_twice, "twice"),
        (_empty, "no operators"),
        (_no_operator, "'operator' is missing"),
        (_fingerprint, "'threads' is 'one'"),
        (_interval, "cannot be"),
        (_drift, "drift is -0.01"),
        (_pairs, "measured_ms is -1.0"),
        (_odd_pairs, "no list of [predicted, measured]"),
    ],
)
def test_a_damaged_table_is_refused_with_what_is_wrong_and_the_cure(
    tmp_path: Path, damage: Callable[[dict[str, Any]], None], words: str
) -> None:
    path = tmp_path / "cpu.json"
    save_table(tiny_table(), path)
    value = json.loads(path.read_text())
    damage(value)
    path.write_text(json.dumps(value))
    with pytest.raises(TableError, match="profile") as caught:
        load_table(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_table_cut_off_in_the_middle_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "cpu.json"
    save_table(tiny_table(), path)
    text = path.read_text()
    path.write_text(text[: int(share * len(text))])
    with pytest.raises(TableError, match="not whole JSON"):
        load_table(path)


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"schema": true}'])
def test_other_json_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cpu.json"
    path.write_text(content)
    with pytest.raises(TableError):
        load_table(path)


def test_a_table_of_another_device_precision_or_size_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "cpu.json"
    cpu = resolve_target("cpu")
    save_table(tiny_table(), path)
    assert find_table(cpu, TINY_INPUT, path) == tiny_table()
    with pytest.raises(TableError, match="facenas profile --device cpu-openvino --input 128x96"):
        find_table(resolve_target("cpu-openvino"), TINY_INPUT, path)
    with pytest.raises(TableError, match="for input 128x96, not for 640x480"):
        find_table(cpu, Size(640, 480), path)
    other = replace(tiny_table(), fingerprint=replace(tiny_table().fingerprint, precision="int8"))
    save_table(other, path)
    with pytest.raises(TableError, match="onnxruntime int8"):
        find_table(cpu, TINY_INPUT, path)


def test_a_missing_table_names_the_command_that_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TableError, match="facenas profile --device cpu --input 96x96"):
        find_table(resolve_target("cpu"), Size(96, 96))


def test_the_table_of_the_working_folder_comes_before_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_table(tiny_table(), tmp_path / "latency_tables" / "cpu-128x96.json")
    assert find_table(resolve_target("cpu"), TINY_INPUT) == tiny_table()


def test_every_shipped_table_is_sound_and_covers_its_space() -> None:
    paths = {name: shipped_table_path(name) for name in TARGET_NAMES}
    assert paths["cpu"] is not None
    for name, path in paths.items():
        if path is not None:
            table = find_table(resolve_target(name), Size(640, 480), path)
            missing = load_space(table.space).operators(table.input_size) - set(table.operators)
            assert not missing, f"{path.name} lacks {len(missing)} operators; profile again"


@pytest.mark.parametrize(
    "target", ["cpu", "cpu-int8", "cpu-openvino", "cpu-openvino-bf16", "cpu-openvino-int8", "npu", "npu-u55-256"]
)
def test_a_table_that_ships_tells_of_all_inputs_for_both_spaces(target: str) -> None:
    for size in (Size(192, 160), Size(512, 384), Size(960, 736)):
        costs = OperatorCosts(find_table(resolve_target(target), size), size)
        for name in ("facenas-elastic", "facenas-edge"):
            assert costs.reaches(load_space(name).operators(size), measured=True), f"{name} at {size}"


def test_a_target_that_cannot_be_profiled_is_not_told_to_be() -> None:
    with pytest.raises(TableError, match="cpu-litert at 640x480; make one: facenas profile --device cpu-litert"):
        find_table(resolve_target("cpu-litert"), Size(640, 480))
