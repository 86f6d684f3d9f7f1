"""Verification: a good export passes every gate; each way to break one is caught by the gate that should catch it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from facenas.exporters.artefact import METADATA_KEY
from facenas.exporters.calibration_photos import choose_calibration
from facenas.exporters.onnx import export_checkpoint, export_onnx, load_onnx
from facenas.exporters.onnx_half import half_model
from facenas.exporters.onnx_int8 import quantize_model
from facenas.exporters.openvino import export_openvino
from helpers.random_networks import ALL_FAMILIES, TINY, confident_checkpoint
from onnx import numpy_helper

from facenas.checkpoint import save_checkpoint
from facenas.data.image import encode_jpeg, read_image
from facenas.data.synthetic import write_synthetic_set
from facenas.detector.face_detector import FaceDetector
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import EvaluationSet, GroundTruth, load_evaluation_set
from facenas.evaluation.gates import LatencyCheck, Tolerances, latency_gates
from facenas.evaluation.verification import Verification, verify
from facenas.units import Size

SIZE = Size(160, 128)
NO_LATENCY = LatencyCheck("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, its export, and photos."""
    place = tmp_path_factory.mktemp("verify")
    checkpoint = confident_checkpoint(TINY, SIZE)
    save_checkpoint(place / "checkpoint.safetensors", checkpoint)
    export_checkpoint(checkpoint, place / "good.onnx", dynamic=False)
    write_synthetic_set(place / "photos", 8, width_px=200, height_px=150)
    return place


@pytest.fixture(scope="module")
def photos(folder: Path) -> EvaluationSet:
    """Photos whose true faces are what the good detector finds, so that its average precision is high."""
    detector = FaceDetector(folder / "good.onnx")
    paths = load_evaluation_set(folder / "photos").photos
    truths = []
    for path in paths:
        image = read_image(path)
        boxes = detector(image, 0.3).boxes
        assert len(boxes) > 3
        truths.append(GroundTruth(path.name, 200, 150, boxes, {"all": np.ones(len(boxes), bool)}))
    return EvaluationSet("found", ("all",), paths, tuple(truths))


def verified(folder: Path, photos: EvaluationSet, name: str = "good.onnx", reference: str = "") -> Verification:
    path = folder / (reference or "checkpoint.safetensors")
    return verify(folder / name, path, photos, NO_LATENCY, Tolerances())


def failed(verification: Verification) -> set[str]:
    return {gate.name for gate in verification.gates if gate.passed is False}


def broken_copy(folder: Path, name: str, change: Callable[[onnx.ModelProto], None]) -> str:
    model = onnx.load(folder / "good.onnx")
    change(model)
    onnx.save(model, folder / name)
    return name


def redescribe(model: onnx.ModelProto, **values: object) -> None:
    """Change the description inside a model."""
    (entry,) = [entry for entry in model.metadata_props if entry.key == METADATA_KEY]
    entry.value = json.dumps(json.loads(entry.value) | values)


@pytest.mark.parametrize("reference", ["checkpoint.safetensors", "good.onnx"])
def test_a_good_export_passes(folder: Path, photos: EvaluationSet, reference: str) -> None:
    verification = verified(folder, photos, reference=reference)
    assert verification.passed
    assert not verification.all_measured  # the latency was not
    assert verification.boxes is not None
    assert verification.boxes.matched == 1.0
    assert verification.boxes.reference_faces > 20
    assert verification.ap.drop == 0.0
    assert verification.ap.artefact["all"] is not None
    assert verification.ap.artefact["all"] > 0.9
    assert set(verification.tensor) == {"output_8", "output_16", "output_32"}
    for parity in verification.tensor.values():
        assert parity.max_abs is not None
        assert parity.max_abs < 1e-4
    value = json.loads(json.dumps(verification.to_json(), allow_nan=False))
    assert value["passed"] is True
    assert [gate["name"] for gate in value["gates"]] == [
        "loads",
        "tensors",
        "boxes",
        "average precision",
        "fallbacks",
        "latency as predicted",
        "latency within budget",
    ]
    assert {"tensor", "boxes", "ap", "latency"} < set(value)
    assert {"predicted_ms", "measured_ms", "budget_ms", "within_percent"} <= set(value["latency"])


def test_one_changed_weight_is_caught_by_the_tensors(folder: Path, photos: EvaluationSet) -> None:
    def change(model: onnx.ModelProto) -> None:
        (entry,) = [entry for entry in model.graph.initializer if entry.name == "output_8.weight"]
        weight = numpy_helper.to_array(entry).copy()
        weight[0, 0, 1, 1] += 0.01
        entry.CopyFrom(numpy_helper.from_array(weight, entry.name))

    verification = verified(folder, photos, broken_copy(folder, "weight.onnx", change))
    assert "tensors" in failed(verification)
    assert not verification.passed
    assert "'output_8'" in str(verification.first_departure)
    assert "'output_8'" in str(verification.to_json()["first_departure"])
    unchanged = verification.tensor["output_16"].max_abs
    assert unchanged is not None
    assert unchanged < 1e-4


@pytest.mark.parametrize(
    "preprocessing", [{"mean": 120.0}, {"standard_deviation": 127.5}, {"colour_order": "BGR"}], ids=str
)
def test_another_preprocessing_is_caught_by_the_tensors(
    folder: Path, photos: EvaluationSet, preprocessing: dict[str, object]
) -> None:
    name = broken_copy(folder, "mean.onnx", lambda model: redescribe(model, preprocessing=preprocessing))
    verification = verified(folder, photos, name)
    assert "tensors" in failed(verification)
    assert "the network's input" in str(verification.first_departure)


def test_a_stricter_suppression_is_caught_by_the_boxes(folder: Path, photos: EvaluationSet) -> None:
    name = broken_copy(folder, "strict.onnx", lambda model: redescribe(model, nms_iou=0.05))
    verification = verified(folder, photos, name)
    assert "boxes" in failed(verification)
    assert "tensors" not in failed(verification)
    assert "no layer departs" in str(verification.first_departure)


def test_a_laxer_suppression_is_caught_by_the_average_precision(folder: Path, photos: EvaluationSet) -> None:
    name = broken_copy(folder, "lax.onnx", lambda model: redescribe(model, nms_iou=0.9))
    verification = verified(folder, photos, name)
    assert failed(verification) == {"average precision"}
    assert verification.ap.drop is not None
    assert verification.ap.drop > 0.05


def test_weights_that_are_not_finite_are_caught_by_the_tensors(folder: Path, photos: EvaluationSet) -> None:
    def change(model: onnx.ModelProto) -> None:
        (entry,) = [entry for entry in model.graph.initializer if entry.name == "output_16.bias"]
        bias = numpy_helper.to_array(entry).copy()
        bias[0] = np.nan
        entry.CopyFrom(numpy_helper.from_array(bias, entry.name))

    verification = verified(folder, photos, broken_copy(folder, "nan.onnx", change))
    assert "tensors" in failed(verification)
    assert "output_16" in next(gate.note for gate in verification.gates if gate.name == "tensors")
    json.dumps(verification.to_json(), allow_nan=False)


def test_an_open_file_is_verified_at_its_usual_size(folder: Path, photos: EvaluationSet) -> None:
    export_checkpoint(confident_checkpoint(TINY, SIZE), folder / "open.onnx", dynamic=True)
    assert verified(folder, photos, "open.onnx").passed


def test_the_reference_must_be_of_the_same_architecture(folder: Path, photos: EvaluationSet) -> None:
    other = confident_checkpoint(ALL_FAMILIES, SIZE)
    save_checkpoint(folder / "other.safetensors", other)
    export_checkpoint(other, folder / "other.onnx", dynamic=False)
    for reference in ("other.safetensors", "other.onnx"):
        with pytest.raises(InputError, match=r"the artefact is '.*', but .*; verify it against its own reference"):
            verified(folder, photos, reference=reference)


def test_photos_without_faces_leave_the_average_precision_unmeasured(folder: Path, photos: EvaluationSet) -> None:
    none = tuple(replace(t, boxes=t.boxes[:0], counted={"all": np.zeros(0, bool)}) for t in photos.ground_truth)
    verification = verified(folder, replace(photos, ground_truth=none))
    (gate,) = [gate for gate in verification.gates if gate.name == "average precision"]
    assert gate.passed is None
    assert verification.passed


@pytest.mark.parametrize(
    ("check", "as_predicted", "within_budget"),
    [
        (LatencyCheck("cpu"), None, None),
        (LatencyCheck("cpu", predicted_ms=5.0), None, None),
        (LatencyCheck("cpu", measured_ms=5.0), None, None),
        (LatencyCheck("cpu", predicted_ms=5.0, budget_ms=5.0), None, None),
        (LatencyCheck("cpu", measured_ms=5.0, budget_ms=5.0), None, True),
        (LatencyCheck("cpu", 5.0, 5.4, 6.0), True, True),
        (LatencyCheck("cpu", 5.0, 4.6, 6.0), True, True),
        (LatencyCheck("cpu", 5.0, 5.6, 6.0), False, True),
        (LatencyCheck("cpu", 5.0, 4.4, 6.0), True, True),  # faster is no fault of the file
        (LatencyCheck("cpu", 5.0, 4.4), True, None),
        (LatencyCheck("cpu", 5.0, 4.4, 4.0), False, False),
        (LatencyCheck("cpu", 5.0, 5.2, 6.0, median_ms=5.5, p90_ms=6.4, percentile=90), True, False),
        (LatencyCheck("cpu", 5.0, 5.2, 6.0, median_ms=5.5, p90_ms=6.4, percentile=50), True, True),
        (LatencyCheck("cpu", 5.0, 5.2, 5.0), True, True),  # the measuring tolerance of 5 percent
        (LatencyCheck("cpu", 5.0, 5.26, 5.0), True, False),
        (LatencyCheck("cpu", 5.0, 9.0, 5.0), False, False),
    ],
)
def test_latency_gates(check: LatencyCheck, as_predicted: bool | None, within_budget: bool | None) -> None:
    predicted, budget = latency_gates(check, Tolerances())
    assert (predicted.passed, budget.passed) == (as_predicted, within_budget)
    assert ("not measured" in predicted.note) == (as_predicted is None)
    assert ("not measured" in budget.note) == (within_budget is None)
    if within_budget is not None:
        assert budget.value == check.judged_ms
        assert budget.limit == pytest.approx((check.budget_ms or 0) * 1.05)


@pytest.mark.parametrize("name", ["good.xml", "half.onnx", "int8.onnx"])
def test_other_formats_and_precisions_have_limits_of_their_own(folder: Path, photos: EvaluationSet, name: str) -> None:
    model = load_onnx(folder / "good.onnx")
    match name:
        case "good.xml":
            export_openvino(model, folder / name, precision="fp32")
        case "half.onnx":
            export_onnx(half_model(model), folder / name)
        case _:
            export_onnx(quantize_model(model, choose_calibration(folder / "photos", 8, 0)), folder / name)
    verification = verified(folder, photos, name)
    gates = {gate.name: gate for gate in verification.gates}
    assert gates["tensors"].passed, gates["tensors"]
    int8 = name == "int8.onnx"
    assert gates["average precision"].limit == 0.005
    assert gates["tensors"].limit == {"good.xml": 1e-4, "half.onnx": 0.006, "int8.onnx": 0.15}[name]
    if not int8:  # random weights: their faces stand too close to one another for int8
        assert verification.passed
    # Rounded files are judged on more than these few photos.
    decided = gates["average precision"].passed is not None
    assert decided == (name == "good.xml")
    assert decided == ("of 8 photos: too few to tell" not in gates["average precision"].note)
    if not any(gate.passed is False for gate in verification.gates):  # int8: by the processor
        assert decided == ("average precision" not in verification.line())


@pytest.mark.parametrize("says", ["int8", "bf16", "fp16"])
def test_limits_follow_from_what_the_file_computes(folder: Path, photos: EvaluationSet, says: str) -> None:
    """All weights off by 3 %, which the limits of lower precisions would allow."""

    def change(model: onnx.ModelProto) -> None:
        for entry in model.graph.initializer:
            if entry.name.endswith(".weight"):
                entry.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(entry) * np.float32(1.03), entry.name))
        redescribe(model, precision=says)

    verification = verified(folder, photos, broken_copy(folder, f"says-{says}.onnx", change))
    gates = {gate.name: gate for gate in verification.gates}
    assert "tensors" in failed(verification)
    assert gates["tensors"].limit == 1e-4
    assert f"says {says}, computes and is judged as fp32" in gates["loads"].note


def test_a_stale_export_is_caught_by_the_tensors(folder: Path, photos: EvaluationSet) -> None:
    """Made from an earlier checkpoint of the same architecture."""
    export_checkpoint(confident_checkpoint(TINY, SIZE, seed=1), folder / "stale.onnx", dynamic=False)
    verification = verified(folder, photos, "stale.onnx")
    assert "tensors" in failed(verification)
    assert "layer 'backbone.stage1.0'" in str(verification.first_departure)


def test_a_drop_of_precision_may_be_set(folder: Path, photos: EvaluationSet) -> None:
    name = broken_copy(folder, "lax2.onnx", lambda model: redescribe(model, nms_iou=0.9))
    path = folder / "checkpoint.safetensors"
    assert verify(folder / name, path, photos, NO_LATENCY, Tolerances(ap_drop=0.9)).passed


def test_a_target_that_is_not_here_leaves_every_gate_unmeasured(
    folder: Path, photos: EvaluationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    bf16 = resolve_target("cpu-openvino-bf16")
    checkpoint = folder / "checkpoint.safetensors"
    verification = verify(folder / "good.onnx", checkpoint, photos, NO_LATENCY, Tolerances(), target=bf16)
    assert {gate.passed for gate in verification.gates} == {None}
    assert "bfloat16" in verification.gates[0].note
    assert not verification.all_measured
    value = json.loads(json.dumps(verification.to_json(), allow_nan=False))
    assert value["boxes"] is None


def test_a_gate_that_was_not_tried_is_neither_passed_nor_failed(folder: Path, photos: EvaluationSet) -> None:
    check = LatencyCheck("cpu", 5.0, 9.0, 5.0)
    slow = verify(folder / "good.onnx", folder / "good.onnx", photos, check, Tolerances())
    assert failed(slow) == {"latency as predicted", "latency within budget"}
    assert slow.all_measured
    assert not slow.passed
    assert slow.to_json()["latency"]["within_percent"] == 80.0


def test_gates_that_compared_nothing_are_not_measured(folder: Path, photos: EvaluationSet, tmp_path: Path) -> None:
    """On black photos the detector finds no face, and where no face counts no precision can drop."""
    path = tmp_path / "black.jpg"
    path.write_bytes(encode_jpeg(np.zeros((150, 200, 3), np.uint8), 90))
    shy = broken_copy(folder, "shy.onnx", lambda model: raise_thresholds(model))
    none = GroundTruth("black.jpg", 200, 150, np.zeros((0, 4), np.float32), {"all": np.zeros(0, bool)})
    empty = EvaluationSet("empty", ("all",), (path,), (none,))
    gates = {gate.name: gate for gate in verified(folder, empty, shy, reference=shy).gates}
    assert gates["tensors"].passed is True
    for name in ("boxes", "average precision"):
        assert gates[name].passed is None
        assert gates[name].value is None
        assert "not measured" in gates[name].note
    assert "average precision" in verified(folder, empty).line()
    # Faces that count, of which the reference finds none.
    gates = {gate.name: gate for gate in verified(folder, photos, shy, reference=shy).gates}
    assert (gates["boxes"].passed, gates["average precision"].passed) == (None, None)


def raise_thresholds(model: onnx.ModelProto) -> None:
    """No cell is called a face any more."""
    for entry in model.graph.initializer:
        if entry.name.startswith("output_") and entry.name.endswith(".bias"):
            bias = numpy_helper.to_array(entry).copy()
            bias[:2] = -1000
            entry.CopyFrom(numpy_helper.from_array(bias, entry.name))


def test_a_photo_that_cannot_be_read_is_left_out(folder: Path, photos: EvaluationSet, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photos.photos[0].read_bytes()[:2000])
    among = replace(photos, photos=(broken, *photos.photos[1:]))
    verification = verified(folder, among)
    assert verification.passed
    assert verification.photos == len(photos.photos) - 1
    assert verification.evaluation is not None
    assert "broken.jpg" in verification.evaluation.unread[0]
