"""MNN: its file computes what the ONNX graph does, describes itself, and is refused where it is not whole."""

import os
from pathlib import Path

import pytest
from facenas.exporters.formats import description_of
from helpers.exported import SIZE, exported

from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.runtimes.compiled_model import example_image
from facenas.runtimes.runtime import load_model

pytest.importorskip("MNN", reason="the extra mnn is not installed")


def test_the_input_size_stands_in_the_file(tmp_path: Path) -> None:
    assert load_model(exported("mnn", tmp_path), resolve_target("cpu-mnn")).input_size == SIZE


def test_what_mnn_prints_is_not_among_the_results(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert load_model(exported("mnn", tmp_path), resolve_target("cpu-mnn")).run(example_image(SIZE))
    os.write(1, b"a result\n")
    assert capfd.readouterr().out == "a result\n"


def test_a_file_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    path = exported("mnn", tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="describes another file"):
        description_of(path)
    with pytest.raises(InputError, match="no file that MNN can load"):
        load_model(path, resolve_target("cpu-mnn"))
    path.write_bytes(content)
    (tmp_path / "model.mnn.json").unlink()
    with pytest.raises(InputError, match="no description"):
        description_of(path)


def test_what_it_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are fp32, fp16"):
        exported("mnn", tmp_path, "int8")
    with pytest.raises(InputError, match="without --dynamic"):
        exported("mnn", tmp_path, dynamic=True)
    for device in ("cpu-mnn", "cpu-mnn-fp16"):
        with pytest.raises(InputError, match="does not convert"):
            load_model(b"garbage", resolve_target(device))
    assert not list(tmp_path.iterdir())
