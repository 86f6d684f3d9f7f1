"""int8 TensorFlow Lite: the graph computes what the ONNX graph does, describes itself, and refuses what it cannot hold."""

from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra npu is not installed")

from facenas.exporters.artefact import METADATA_KEY
from facenas.exporters.calibration_photos import choose_calibration
from facenas.exporters.int8_ranges import Range, observe, quantized_tensors
from facenas.exporters.onnx import onnx_of_checkpoint, onnx_untrained
from facenas.exporters.onnx_graph import build_onnx, random_weights
from facenas.exporters.tflite import export_tflite, read_description, why_not_tflite
from facenas.exporters.tflite_file import read_tflite
from facenas.exporters.tflite_graph import build_tflite, fold_image, quantization_of
from helpers.random_networks import ALL_FAMILIES, TINY, confident_checkpoint
from hypothesis import given
from hypothesis import strategies as st

from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.graph import build_graph
from facenas.runtimes.runtime import load_model
from facenas.units import Size

SIZE = Size(160, 128)


@given(st.floats(-100, 100), st.floats(-100, 100))
def test_a_range_keeps_zero_exact_and_its_ends_within_a_step(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    scale, zero_point = quantization_of(Range(low, high))
    assert -128 <= zero_point <= 127
    for value in (low, high):
        step = np.clip(round(value / scale) + zero_point, -128, 127)
        assert abs((step - zero_point) * scale - value) <= scale + 1e-6


def test_the_folded_image_holds_each_pixel_of_the_photo_exactly() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (1, 3, 6, 8))
    folded = fold_image(((photo - 127.5) / 128).astype(np.float32))
    assert folded.shape == (1, 3, 4, 16)
    assert not folded[..., 12:].any()
    for row, column, colour in ((0, 0, 0), (3, 5, 1), (5, 7, 2)):
        channel = 6 * (row % 2) + 3 * (column % 2) + colour
        assert folded[0, row // 2, column // 2, channel] == photo[0, colour, row, column] - 128


@pytest.mark.parametrize("detector", [TINY, ALL_FAMILIES], ids=["tiny", "all families"])
def test_litert_answers_like_onnx(detector: object) -> None:
    graph = build_graph(detector, SIZE)  # type: ignore[arg-type]
    model = build_onnx(graph, random_weights(graph))
    generator = np.random.default_rng(1)
    images = [
        ((generator.integers(0, 256, (1, 3, SIZE.height_px, SIZE.width_px)) - 127.5) / 128).astype(np.float32)
        for _ in range(2)
    ]
    ranges = dict(observe(model, images).ranges)
    outputs = {output.name for output in model.graph.output}
    # Outputs as they are: random networks have logits far below those that are left out.
    ranges |= {name: Range(-8.0, 8.0) for name in outputs}
    int8 = load_model(build_tflite(model, SIZE, ranges), resolve_target("cpu-litert"))
    expected = load_model(model.SerializeToString(), resolve_target("cpu")).run(images[0])
    found = int8.run(images[0])
    assert set(found) == outputs
    for name, values in expected.items():
        a, b = values.ravel(), found[name].ravel()
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.98


def test_the_file_describes_itself_and_is_all_int8(tmp_path: Path) -> None:
    model = onnx_of_checkpoint(confident_checkpoint(TINY, SIZE), dynamic=False)
    artefact = export_tflite(model, tmp_path / "m.tflite", choose_calibration(None, 8))
    assert artefact.operators
    assert all(name.endswith(" int8") for name in artefact.operators)
    description = read_description(tmp_path / "m.tflite")
    assert (description.detector, description.input_size) == (TINY, SIZE)
    assert (description.precision, description.target) == ("int8", "cpu-litert")
    assert description.calibration["count"] == 8


def test_an_unknown_operator_is_named(tmp_path: Path) -> None:
    model = onnx_untrained(TINY, input_size=SIZE, dynamic=False)
    node = next(node for node in model.graph.node if node.op_type == "Relu")
    node.op_type = "Sigmoid"
    assert "Sigmoid" in (why_not_tflite(model) or "")
    with pytest.raises(InputError, match="Sigmoid"):
        export_tflite(model, tmp_path / "m.tflite", choose_calibration(None, 8))
    assert not list(tmp_path.iterdir())


def test_damaged_files_are_refused_in_words(tmp_path: Path) -> None:
    graph = build_graph(TINY, SIZE)
    model = build_onnx(graph, random_weights(graph))
    ranges = dict.fromkeys(quantized_tensors(model), Range(-4.0, 4.0))
    content = build_tflite(model, SIZE, ranges, {METADATA_KEY: "{}"})
    path = tmp_path / "m.tflite"
    for length in (0, 7, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="no whole TensorFlow Lite file"):
            read_tflite(path)
    path.write_bytes(onnx.ModelProto().SerializeToString())
    with pytest.raises(InputError, match="no whole TensorFlow Lite file"):
        read_description(path)
    with pytest.raises(InputError, match="check the path"):
        read_description(tmp_path / "none.tflite")


def test_litert_runs_no_onnx() -> None:
    with pytest.raises(InputError, match="LiteRT runs"):
        load_model(
            onnx_untrained(TINY, input_size=SIZE, dynamic=False).SerializeToString(), resolve_target("cpu-litert")
        )
