"""ncnn and MNN: what is made of a network for them computes what its ONNX graph does, in fp32 and fp16."""

from pathlib import Path

import pytest
from facenas.exporters.formats import FORMATS, description_of
from facenas.exporters.onnx_graph import build_onnx, random_weights
from helpers.exported import PHOTO, SIZE, exported
from helpers.random_architectures import small_detectors
from hypothesis import given, settings

from facenas.architecture import Architecture
from facenas.detector.face_detector import FaceDetector
from facenas.devices.targets import resolve_target
from facenas.evaluation.gates import BOXES_MATCHED, RELATIVE
from facenas.evaluation.parity import compare_faces, relative_difference
from facenas.graph import build_graph
from facenas.runtimes.compiled_model import example_image
from facenas.runtimes.runtime import load_model

PHONE_FORMATS = ("ncnn", "mnn")
PACKAGES = {"ncnn": "ncnn", "mnn": "MNN"}
HALF = {"ncnn": 0.6, "mnn": 0.7}  # of the file with the weights: MNN's holds the graph, too


@pytest.fixture(params=PHONE_FORMATS)
def phone_format(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    pytest.importorskip(PACKAGES[name], reason=f"the extra {name} is not installed")
    return name


@pytest.mark.parametrize("name", PHONE_FORMATS)
@settings(max_examples=25)
@given(small_detectors())
def test_it_answers_like_onnx(name: str, detector: Architecture) -> None:
    pytest.importorskip(PACKAGES[name], reason=f"the extra {name} is not installed")
    graph = build_graph(detector, SIZE)
    model = build_onnx(graph, random_weights(graph)).SerializeToString()
    image = example_image(SIZE)
    expected = load_model(model, resolve_target("cpu")).run(image)
    for target, limit in ((f"cpu-{name}", 1e-4), (f"cpu-{name}-fp16", RELATIVE["fp16"])):
        network = load_model(model, resolve_target(target))
        for found in (network.run(image), network.run(image)):  # again: MNN overwrites what it is given
            assert set(found) == set(expected)
            assert all(relative_difference(expected[each], found[each]) <= limit for each in expected), target


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_file_finds_the_faces_that_onnx_finds(tmp_path: Path, phone_format: str, precision: str) -> None:
    path = exported(phone_format, tmp_path, precision)
    described = description_of(path)
    suffix = "" if precision == "fp32" else f"-{precision}"
    assert (described.precision, described.target) == (precision, f"cpu-{phone_format}{suffix}")
    expected, found = FaceDetector(exported("onnx", tmp_path))(PHOTO, 0.3), FaceDetector(path)(PHOTO, 0.3)
    assert len(expected) > 3
    parity = compare_faces([expected], [found])
    assert parity.matched >= BOXES_MATCHED[precision]
    assert parity.max_score_difference < 0.01


def test_half_precision_halves_the_weights(tmp_path: Path, phone_format: str) -> None:
    sizes = []
    for precision in ("fp32", "fp16"):
        (tmp_path / precision).mkdir()
        path = exported(phone_format, tmp_path / precision, precision)
        sizes.append((FORMATS[phone_format].weights_of(path) or path).stat().st_size)
    assert sizes[1] < HALF[phone_format] * sizes[0]
