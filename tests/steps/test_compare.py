"""facenas compare: every file of the named targets in one table and page, with the advice which to take."""

import json
from pathlib import Path

import pytest
from facenas.exporters.formats import description_of
from helpers.random_networks import TINY, confident_checkpoint
from typer.testing import CliRunner

import facenas
from facenas.checkpoint import save_checkpoint
from facenas.cli.main import app
from facenas.data.synthetic import write_synthetic_set
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.evaluation.format_comparison import FormatComparison, FormatResult
from facenas.evaluation.gates import Gate
from facenas.latency.this_machine import Calibrate
from facenas.runtimes.runtime import why_unavailable
from facenas.steps.compare import CompareSettings
from facenas.steps.export import ExportSettings
from facenas.units import Size

SETTINGS = CompareSettings(ExportSettings(calibration_count=8), calibrate=Calibrate.NEVER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("compare")
    save_checkpoint(place / "c.safetensors", confident_checkpoint(TINY, Size(96, 64)))
    write_synthetic_set(place / "photos", 3, 0, 120, 80)
    return place


def test_files_of_each_target_stand_in_one_table_and_page(folder: Path) -> None:
    devices = ["cpu", "cpu-openvino", "cpu-openvino-bf16"]
    out = folder / "out"
    found = facenas.compare(folder / "c.safetensors", folder / "photos", devices=devices, settings=SETTINGS, out=out)
    assert [each.target for each in found.results] == devices
    for each in found.results:
        if reason := why_unavailable(resolve_target(each.target)):
            assert reason in each.problem
            continue
        assert each.problem == ""
        assert description_of(out / each.file).precision == each.precision
        assert each.latency_ms is not None
        assert {gate.name for gate in each.gates} >= {"loads", "tensors", "boxes", "average precision"}
    kept = json.loads((out / "compare.json").read_text())
    assert [row["target"] for row in kept["formats"]] == devices
    page = (out / "compare.html").read_text()
    assert "onnx fp32" in page
    assert "openvino fp32" in page


def test_the_command_prints_the_advice_and_its_json(folder: Path) -> None:
    words = [
        "compare",
        "--checkpoint",
        str(folder / "c.safetensors"),
        "--data",
        str(folder / "photos"),
        "--device",
        "cpu",
    ]
    ended = CliRunner().invoke(app, [*words, "--no-calibrate", "--out", str(folder / "cli"), "--json"])
    assert ended.exit_code == 0, ended.output
    printed = json.loads(ended.stdout)
    assert printed["take"] == {"target": "cpu", "name": "onnx fp32", "file": "cpu.onnx"}


def result(target: str, ms: float | None, *verdicts: bool | None, problem: str = "") -> FormatResult:
    gates = tuple(Gate(f"gate {index}", passed, None, None) for index, passed in enumerate(verdicts))
    return FormatResult(target, "onnx", "fp32", f"{target}.onnx", latency_ms=ms, gates=gates, problem=problem)


def test_the_fastest_whose_gates_pass_is_advised() -> None:
    slow, fast = result("cpu", 4.0, True, None), result("cpu-openvino", 2.0, True, True)
    wrong, untried = result("cpu-int8", 1.0, True, False), result("cpu-litert", 1.0, None, None)
    missing = result("cuda", None, problem="no GPU")
    found = FormatComparison("", "", "c", "d", (slow, wrong, fast, untried, missing))
    assert found.best is fast
    assert "take onnx fp32 on cpu-openvino: 2.00 ms, 2.0 times as fast as the slowest" in found.line()
    assert FormatComparison("", "", "c", "d", (wrong, missing)).best is None
    assert "take none" in FormatComparison("", "", "c", "d", (wrong, missing)).line()
    assert [row[4] for row in found.shown()[0].rows][1] == "FAILED: gate 1"


def test_words_that_name_no_file_are_refused(folder: Path) -> None:
    for devices, precisions, told in (
        ((), ("int4",), "no precision 'int4'"),
        (("cuda",), (), "no file is made for device 'cuda'"),
        (("cpu",), ("int8",), "none of the devices computes int8"),
    ):
        with pytest.raises(InputError, match=told):
            facenas.compare(
                *(folder / "c.safetensors", folder / "photos"),
                devices=devices,
                precisions=precisions,
                out=folder / "no",
            )
    assert not (folder / "no").exists()
