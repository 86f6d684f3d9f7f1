"""MNN: its file computes what the ONNX graph does, describes itself, and is refused where it is not whole."""

import os
from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.formats import ExportOptions, description_of, export_model
from facenas.exporters.onnx import onnx_of_checkpoint
from facenas.exporters.onnx_graph import build_onnx, random_weights
from helpers.random_architectures import small_detectors
from helpers.random_networks import TINY, confident_checkpoint
from hypothesis import given, settings

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

pytest.importorskip("MNN", reason="the extra mnn is not installed")

SIZE = Size(96, 64)
PHOTO = np.random.default_rng(0).integers(0, 256, (SIZE.height_px, SIZE.width_px, 3), dtype=np.uint8)


@settings(max_examples=25)
@given(small_detectors())
def test_mnn_answers_like_onnx(detector: Architecture) -> None:
    graph = build_graph(detector, SIZE)
    model = build_onnx(graph, random_weights(graph)).SerializeToString()
    image = example_image(SIZE)
    expected = load_model(model, resolve_target("cpu")).run(image)
    for name, limit in (("cpu-mnn", 1e-4), ("cpu-mnn-fp16", RELATIVE["fp16"])):
        network = load_model(model, resolve_target(name))
        assert network.input_size == SIZE
        for found in (network.run(image), network.run(image)):  # again: it overwrites what it is given
            assert set(found) == set(expected)
            assert all(relative_difference(expected[each], found[each]) <= limit for each in expected), name


def exported(folder: Path, precision: str = "fp32", *, dynamic: bool = False) -> Path:
    model = onnx_of_checkpoint(confident_checkpoint(TINY, SIZE), dynamic=dynamic)
    return export_model(model, "mnn", folder / "model.mnn", ExportOptions(precision)).path


@pytest.mark.parametrize(("precision", "target"), [("fp32", "cpu-mnn"), ("fp16", "cpu-mnn-fp16")])
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
        sizes.append(exported(tmp_path / precision, precision).stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]


def test_what_mnn_prints_is_not_among_the_results(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert load_model(exported(tmp_path), resolve_target("cpu-mnn")).run(example_image(SIZE))
    os.write(1, b"a result\n")
    assert capfd.readouterr().out == "a result\n"


def test_a_file_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    path = exported(tmp_path)
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
        exported(tmp_path, "int8")
    with pytest.raises(InputError, match="without --dynamic"):
        exported(tmp_path, dynamic=True)
    for device in ("cpu-mnn", "cpu-mnn-fp16"):
        with pytest.raises(InputError, match="does not convert"):
            load_model(b"garbage", resolve_target(device))
    assert not list(tmp_path.iterdir())
