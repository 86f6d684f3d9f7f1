"""Every unusable word or file: one line that names the value and the cure, the right exit code, nothing half-written."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.command_line import Outcome
from onnx import TensorProto, helper

from facenas.data.image import encode_jpeg
from facenas.units import Size

Run = Callable[..., Outcome]


def assert_one_line(outcome: Outcome, code: int, *words: str) -> None:
    """One line on stderr (beside progress lines) that begins with facenas: and holds all `words`."""
    lines = [line for line in outcome.err.splitlines() if line.startswith("facenas: ")]
    assert len(lines) == 1, outcome.err
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in lines[0]
    assert outcome.code == code


EDGE = ("--space", "facenas-edge")  # whose operators are in the table that ships


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("search", "--latency", "5min"), 2, ("'5min'", "5ms")),
        (("search", "--latency", "5 parsecs"), 2, ("5 parsecs", "5ms")),
        (("search", "--latency", "-5ms"), 2, ("-5ms",)),
        (("search", "--latency", "5ms", "--device", "toaster"), 2, ("toaster", "cpu")),
        (("search", "--latency", "gpu=5ms"), 2, ("gpu", "--device")),
        (("search", "--latency", "cpu=5ms", "--latency", "cpu=6ms"), 2, ("cpu", "two")),
        (("search", *EDGE, "--latency", "0.1ms"), 1, ("0.1", "least possible")),
        (("search", *EDGE, "--flops", "1k"), 1, ("flops", "least possible")),
        (("search", "--flops", "500"), 2, ("500", "500M")),
        (("search", "--space", "nowhere"), 2, ("nowhere", "facenas-edge")),
        (("search", "--latency", "9ms", "--input", "640x481"), 2, ("640x481", "multiples of 32")),
        (("search", "--latency", "9ms", "--top", "0"), 2, ("--top 0",)),
        (("search", "--latency", "9ms", "--out", __file__), 2, ("--out", "is a file", "give a folder")),
        (("profile", "--device", "cpu", "--out", str(Path(__file__).parent)), 2, ("is a folder", "cpu", ".json")),
        (("score", "SuperConvK3BNRELU(3,32,2,1)SuperRes"), 2, ("SuperRes", "character")),
        (("score", "no-such-net"), 2, ("no-such-net", "damofd-0.5g")),
        (("score", "damofd-0.5g", "--alpha", "-1"), 2, ("alpha",)),
        (("predict", "damofd-0.5g", "--device", "toaster"), 2, ("toaster",)),
        (("export", "--out", "x.onnx"), 2, ("--checkpoint", "--arch")),
        (("export", "--arch", "damofd-0.5g", "--format", "coreml"), 2, ("coreml", "onnx")),
        (("detect", "missing.jpg"), 2, ("missing.jpg",)),
        (("run", "--latency", "5min"), 2, ("'5min'", "5ms")),
        (("run", "--latency", "5ms", "--device", "toaster"), 2, ("toaster", "cpu")),
        (("train", "--arch", "damofd-0.5g", "--data", "missing-folder"), 2, ("missing-folder",)),
        (("train", "--data", "."), 2, ("--arch", "--space", "--init")),
        (("train", "--arch", "damofd-0.5g", "--space", "facenas-elastic", "--data", "."), 2, ("--arch", "--space")),
        (("train", "--space", "facenas-edge", "--data", "."), 2, ("'facenas-edge'", "facenas-elastic")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_unusable_words(
    facenas: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    words: tuple[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_line(facenas(*arguments), code, *words)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def model(facenas: Run, tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    assert facenas("export", "--arch", "damofd-0.5g", "--input", "128x96", "--out", path).code == 0
    return path


def test_truncated_photo(facenas: Run, model: Path, tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    path = tmp_path / "cut.jpg"
    path.write_bytes(encode_jpeg(photo, 90)[:3000])
    assert_one_line(facenas("detect", path, "--model", model), 2, "cut.jpg", "truncated")


def test_text_file_as_photo(facenas: Run, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "letter.jpg"
    path.write_text("Dear photo,")
    assert_one_line(facenas("detect", path, "--model", model), 2, "letter.jpg", "JPEG")


def test_empty_folders(facenas: Run, model: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_one_line(facenas("detect", empty, "--model", model), 2, "empty", "no photo")
    assert_one_line(facenas("evaluate", "--data", empty, "--model", model), 2, "empty", "labelv2.txt")
    assert_one_line(facenas("train", "--arch", "damofd-0.5g", "--data", empty, "--out", tmp_path / "o"), 2, "empty")
    assert not (tmp_path / "o").exists()


def test_labels_outside_the_photo_are_listed_or_refused(facenas: Run, tmp_path: Path) -> None:
    images = tmp_path / "set" / "images"
    images.mkdir(parents=True)
    (images / "a.jpg").write_bytes(encode_jpeg(np.zeros((64, 64, 3), np.uint8), 90))
    (tmp_path / "set" / "labelv2.txt").write_text("# a.jpg 64 64\n100 100 120 120\n")
    arguments = ("train", "--arch", "damofd-0.5g", "--data", tmp_path / "set", "--val", tmp_path / "set", "--strict")
    assert_one_line(facenas(*arguments, "--out", tmp_path / "out"), 2, "outside", "100 100 120 120")
    assert not (tmp_path / "out").exists()


def test_onnx_that_is_no_detector(facenas: Run, tmp_path: Path) -> None:
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", info[:1], info[1:])
    path = tmp_path / "relu.onnx"
    onnx.save(helper.make_model(graph, ir_version=8), path)
    assert_one_line(facenas("detect", tmp_path, "--model", path), 2, "no photo")
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(np.zeros((64, 64, 3), np.uint8), 90))
    assert_one_line(facenas("detect", tmp_path / "a.jpg", "--model", path), 2, "relu.onnx", "facenas export")


def test_truncated_model(facenas: Run, model: Path, tmp_path: Path) -> None:
    model.write_bytes(model.read_bytes()[:5000])
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(np.zeros((64, 64, 3), np.uint8), 90))
    assert_one_line(facenas("detect", tmp_path / "a.jpg", "--model", model), 2, "model.onnx", "ONNX")


def test_truncated_checkpoint(facenas: Run, tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    outcome = facenas("export", "--checkpoint", path, "--out", tmp_path / "model.onnx")
    assert_one_line(outcome, 2, "cut.safetensors")
    assert not (tmp_path / "model.onnx").exists()


def test_table_of_another_schema(facenas: Run, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"schema": 99}))
    assert_one_line(facenas("search", "--latency", "9ms", "--table", path), 2, "schema 99", "profile")
    path.write_text('{"schema": 1, "operat')
    assert_one_line(facenas("search", "--latency", "9ms", "--table", path), 2, "table.json")


def test_unwritable_output(facenas: Run, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    outcome = facenas("export", "--arch", "damofd-0.5g", "--input", "128x96", "--out", blocker / "model.onnx")
    assert_one_line(outcome, 2, "model.onnx", "another place")
    assert blocker.read_text() == "in the way"


def test_model_made_for_another_size_keeps_its_size(model: Path) -> None:
    from facenas.exporters.formats import description_of

    assert description_of(model).input_size == Size(128, 96)
