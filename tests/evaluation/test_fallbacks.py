"""Layers that a runtime computes in another precision than their weights have in the file: told, and a gate."""

from pathlib import Path

import onnx
import pytest
from facenas.exporters.calibration_photos import choose_calibration
from facenas.exporters.onnx import export_checkpoint, export_onnx, load_onnx
from facenas.exporters.onnx_half import half_model
from facenas.exporters.onnx_int8 import quantize_model
from facenas.exporters.openvino import export_openvino
from helpers.far_devices import remote
from helpers.random_networks import ALL_FAMILIES, TINY, confident_checkpoint

from facenas.data.synthetic import write_synthetic_set
from facenas.detector.face_detector import FaceDetector
from facenas.devices.targets import resolve_target
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.evaluation.fallbacks import FALLBACKS, fallback_gates
from facenas.evaluation.gates import Gate, LatencyCheck, Tolerances
from facenas.evaluation.verification import verify
from facenas.remote.remote_model import RemoteModel
from facenas.units import Size

SIZE = Size(160, 128)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("fallbacks")
    export_checkpoint(confident_checkpoint(ALL_FAMILIES, SIZE), place / "good.onnx", dynamic=False)
    write_synthetic_set(place / "photos", 8, width_px=200, height_px=150)
    model = load_onnx(place / "good.onnx")
    export_onnx(half_model(model), place / "half.onnx")
    export_onnx(quantize_model(model, choose_calibration(place / "photos", 8, 0)), place / "int8.onnx")
    export_onnx(
        quantize_model(model, choose_calibration(place / "photos", 8, 0), kept=["backbone.stage1.0"]),
        place / "kept.onnx",
    )
    export_openvino(model, place / "good.xml", precision="fp32")
    return place


def gates(path: Path, target: str = "") -> tuple[Gate, ...]:
    detector = FaceDetector(path, resolve_target(target) if target else None)
    name = target or detector.description.target
    return fallback_gates(path, detector.description, detector.model, resolve_target(name))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("good.onnx", " fp32"),
        ("good.xml", " fp32"),
        ("int8.onnx", " int8"),
        ("kept.onnx", ", 1 fp32"),  # what was left in float32 on purpose has not fallen
        ("half.onnx", "of them as onnxruntime computes their kind"),
    ],
)
def test_a_file_that_is_computed_as_it_says_passes(folder: Path, name: str, told: str) -> None:
    (gate,) = gates(folder / name)
    assert (gate.passed, gate.value, gate.limit) == (True, 0.0, 0.0)
    assert told in gate.note


def test_openvino_int8_tells_its_depthwise_layers(folder: Path) -> None:
    pytest.importorskip("nncf", reason="the extra int8 is not installed")
    path = folder / "int8.xml"
    calibration = choose_calibration(folder / "photos", 8, 0)
    export_openvino(load_onnx(folder / "good.onnx"), path, precision="int8", calibration=calibration)
    (gate,) = gates(path)
    assert gate.passed
    assert "of them as openvino computes their kind" in gate.note


def test_layers_that_fall_back_fail_and_are_named(folder: Path) -> None:
    """Of two convolutions the results are not quantised, so ONNX Runtime computes them, and one after them, in float32."""
    model = load_onnx(folder / "int8.onnx")
    fallen = ["backbone.stage1.0", "neck.lateral.8"]
    for layer in fallen:
        unquantise_result(model, layer)
    onnx.save(model, folder / "fallen.onnx")
    (gate,) = gates(folder / "fallen.onnx")
    assert (gate.passed, gate.value) == (False, 3.0)
    assert all(f"{layer} in fp32" in gate.note for layer in fallen)
    photos = load_evaluation_set(folder / "photos")
    good = folder / "good.onnx"
    verification = verify(folder / "fallen.onnx", good, photos, LatencyCheck("cpu-int8"), Tolerances(ap_drop=1.0))
    assert FALLBACKS in verification.line()
    assert not verification.passed


def unquantise_result(model: onnx.ModelProto, layer: str) -> None:
    """Take out the pair that stands behind a layer's convolution, and after its ReLU."""
    (convolution,) = [node for node in model.graph.node if node.op_type == "Conv" and node.name.startswith(layer)]
    value = convolution.output[0]
    while (after := [node for node in model.graph.node if value in node.input]) and after[0].op_type == "Relu":
        value = after[0].output[0]
    (quantise,) = [node for node in after if node.op_type == "QuantizeLinear"]
    (dequantise,) = [node for node in model.graph.node if quantise.output[0] in node.input]
    for node in model.graph.node:
        node.input[:] = [value if name == dequantise.output[0] else name for name in node.input]
    model.graph.node.remove(quantise)
    model.graph.node.remove(dequantise)


def test_a_runtime_that_does_not_tell_has_no_such_gate(tmp_path: Path) -> None:
    pytest.importorskip("ncnn", reason="the extra ncnn is not installed")
    from facenas.exporters.ncnn import export_ncnn
    from facenas.exporters.onnx import onnx_of_checkpoint

    path = tmp_path / "model.ncnn.param"
    export_ncnn(onnx_of_checkpoint(confident_checkpoint(TINY, SIZE), dynamic=False), path, "fp32")
    assert gates(path) == ()


def test_a_device_elsewhere_tells_what_it_computes(folder: Path) -> None:
    with remote(target=resolve_target("cpu-int8")) as agent:
        there = RemoteModel(agent, folder / "int8.onnx").computed_in()
    here = FaceDetector(folder / "int8.onnx").model.computed_in()
    assert there == here
    assert here is not None
    assert set(here.values()) == {"int8"}
