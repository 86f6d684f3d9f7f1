"""ncnn: its graph computes what the ONNX graph does, describes itself, and is refused where it is not whole."""

from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.formats import ExportOptions, description_of, export_model
from facenas.exporters.ncnn import build_ncnn, weights_of, why_not_ncnn
from facenas.exporters.onnx import onnx_of_checkpoint
from facenas.exporters.onnx_graph import build_onnx, random_weights
from helpers.random_architectures import small_detectors
from helpers.random_networks import TINY, confident_checkpoint
from hypothesis import given, settings
from onnx import helper

from facenas.architecture import Architecture
from facenas.detector.face_detector import FaceDetector
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.evaluation.gates import BOXES_MATCHED, RELATIVE
from facenas.evaluation.parity import compare_faces, relative_difference
from facenas.graph import build_graph
from facenas.runtimes.compiled_model import example_image
from facenas.runtimes.runtime import load_model
from facenas.units import Size

pytest.importorskip("ncnn", reason="the extra ncnn is not installed")

SIZE = Size(96, 64)
PHOTO = np.random.default_rng(0).integers(0, 256, (SIZE.height_px, SIZE.width_px, 3), dtype=np.uint8)


@settings(max_examples=25)
@given(small_detectors())
def test_ncnn_answers_like_onnx(detector: Architecture) -> None:
    graph = build_graph(detector, SIZE)
    model = build_onnx(graph, random_weights(graph)).SerializeToString()
    image = example_image(SIZE)
    expected = load_model(model, resolve_target("cpu")).run(image)
    for name, limit in (("cpu-ncnn", 1e-4), ("cpu-ncnn-fp16", RELATIVE["fp16"])):
        found = load_model(model, resolve_target(name)).run(image)
        assert set(found) == set(expected)
        assert all(relative_difference(expected[each], found[each]) <= limit for each in expected), name


def exported(folder: Path, precision: str = "fp32", *, dynamic: bool = False) -> Path:
    model = onnx_of_checkpoint(confident_checkpoint(TINY, SIZE), dynamic=dynamic)
    return export_model(model, "ncnn", folder / "model.ncnn.param", ExportOptions(precision)).path


@pytest.mark.parametrize(("precision", "target"), [("fp32", "cpu-ncnn"), ("fp16", "cpu-ncnn-fp16")])
def test_a_file_finds_the_faces_that_onnx_finds(tmp_path: Path, precision: str, target: str) -> None:
    path = exported(tmp_path, precision)
    assert (description_of(path).precision, description_of(path).target) == (precision, target)
    other = export_model(
        onnx_of_checkpoint(confident_checkpoint(TINY, SIZE), dynamic=False), "onnx", tmp_path / "m.onnx"
    )
    expected, found = FaceDetector(other.path)(PHOTO, 0.3), FaceDetector(path)(PHOTO, 0.3)
    assert len(expected) > 3
    parity = compare_faces([expected], [found])
    assert parity.matched >= BOXES_MATCHED[precision]
    assert parity.max_score_difference < 0.01


def test_half_precision_halves_the_weights(tmp_path: Path) -> None:
    sizes = []
    for precision in ("fp32", "fp16"):
        (tmp_path / precision).mkdir()
        sizes.append(weights_of(exported(tmp_path / precision, precision)).stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]


@pytest.mark.parametrize("dynamic", [False, True])
def test_any_input_size_is_taken_on_wish(tmp_path: Path, dynamic: bool) -> None:
    detector = FaceDetector(exported(tmp_path, dynamic=dynamic), long_side_px=160)
    assert detector.model.input_size is None
    assert len(detector(PHOTO, 0.3)) > 3


def test_a_file_without_its_own_weights_or_description_is_refused(tmp_path: Path) -> None:
    path = exported(tmp_path)
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
    path = exported(tmp_path)
    path.write_text("7767517\n1 1\nNonsense here 0 1 image\n")
    with pytest.raises(InputError, match="no graph that ncnn can load"):
        load_model(path, resolve_target("cpu-ncnn"))
    with pytest.raises(InputError, match="no ncnn or ONNX model"):
        load_model(b"garbage", resolve_target("cpu-ncnn"))
    with pytest.raises(InputError, match="there are fp32, fp16"):
        exported(tmp_path, "int8")


def test_an_operator_that_is_not_written_is_named() -> None:
    graph = build_graph(TINY, SIZE)
    model = build_onnx(graph, random_weights(graph))
    model.graph.node.append(helper.make_node("Sigmoid", ["output_8"], ["scores"], name="scores"))
    assert why_not_ncnn(model) == "node 'scores' is a Sigmoid, which is not written for ncnn"


def test_equal_models_give_equal_files() -> None:
    graph = build_graph(TINY, SIZE)
    model = build_onnx(graph, random_weights(graph))
    assert build_ncnn(model, "fp16") == build_ncnn(model, "fp16")
