"""ncnn: its graph computes what the ONNX graph does, describes itself, and is refused where it is not whole."""

from pathlib import Path

import pytest
from facenas.exporters.formats import description_of
from facenas.exporters.ncnn import build_ncnn, weights_of, why_not_ncnn
from facenas.exporters.onnx_graph import build_onnx, random_weights
from helpers.exported import PHOTO, SIZE, exported
from helpers.random_networks import TINY
from onnx import helper

from facenas.detector.face_detector import FaceDetector
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.graph import build_graph
from facenas.runtimes.runtime import load_model

pytest.importorskip("ncnn", reason="the extra ncnn is not installed")


@pytest.mark.parametrize("dynamic", [False, True])
def test_any_input_size_is_taken_on_wish(tmp_path: Path, dynamic: bool) -> None:
    detector = FaceDetector(exported("ncnn", tmp_path, dynamic=dynamic), long_side_px=160)
    assert detector.model.input_size is None
    assert len(detector(PHOTO, 0.3)) > 3


def test_a_file_without_its_own_weights_or_description_is_refused(tmp_path: Path) -> None:
    path = exported("ncnn", tmp_path)
    weights = weights_of(path).read_bytes()
    weights_of(path).write_bytes(weights[:-8])
    with pytest.raises(InputError, match="cut off or replaced"):
        description_of(path)
    weights_of(path).unlink()
    with pytest.raises(InputError, match="has no weights"):
        description_of(path)
    weights_of(path).write_bytes(weights)
    path.write_text(path.read_text() + "Input more 0 1 more\n")
    with pytest.raises(InputError, match="describes another file"):
        description_of(path)
    (tmp_path / "model.ncnn.param.json").unlink()
    with pytest.raises(InputError, match="no description"):
        description_of(path)


def test_what_ncnn_cannot_load_is_an_error(tmp_path: Path) -> None:
    path = exported("ncnn", tmp_path)
    path.write_text("7767517\n1 1\nNonsense here 0 1 image\n")
    with pytest.raises(InputError, match="no graph that ncnn can load"):
        load_model(path, resolve_target("cpu-ncnn"))
    with pytest.raises(InputError, match="no ncnn or ONNX model"):
        load_model(b"garbage", resolve_target("cpu-ncnn"))
    with pytest.raises(InputError, match="there are fp32, fp16"):
        exported("ncnn", tmp_path, "int8")


def test_an_operator_that_is_not_written_is_named() -> None:
    graph = build_graph(TINY, SIZE)
    model = build_onnx(graph, random_weights(graph))
    model.graph.node.append(helper.make_node("Sigmoid", ["output_8"], ["scores"], name="scores"))
    assert why_not_ncnn(model) == "node 'scores' is a Sigmoid, which is not written for ncnn"


def test_equal_models_give_equal_files() -> None:
    graph = build_graph(TINY, SIZE)
    model = build_onnx(graph, random_weights(graph))
    assert build_ncnn(model, "fp16") == build_ncnn(model, "fp16")
