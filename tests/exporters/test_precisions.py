"""Every precision of ONNX and OpenVINO: valid, described, really computed in that precision, close to float32."""

import json
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from facenas.exporters.calibration_photos import CalibrationPhotos, choose_calibration
from facenas.exporters.formats import description_of
from facenas.exporters.onnx import export_onnx, onnx_of_checkpoint, why_not_onnx
from facenas.exporters.onnx_half import half_model
from facenas.exporters.onnx_int8 import DIALECTS, quantize_model
from facenas.exporters.openvino import export_openvino, why_not_openvino
from helpers.random_networks import ALL_FAMILIES, confident_checkpoint
from onnx import TensorProto, numpy_helper

from facenas.detector.face_detector import FaceDetector
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.evaluation.gates import Tolerances
from facenas.evaluation.parity import relative_difference, with_logits_from
from facenas.graph import build_graph
from facenas.pipeline.postprocess import MIN_LOGIT
from facenas.runtimes.runtime import why_unavailable
from facenas.steps.export import ExportSettings, export
from facenas.steps.verify import VerifySettings, verify
from facenas.units import Size

SIZE = Size(160, 128)
PHOTO = np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)
BF16_MISSING = why_unavailable(resolve_target("cpu-openvino-bf16"))


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return onnx_of_checkpoint(confident_checkpoint(ALL_FAMILIES, SIZE), dynamic=False)


@pytest.fixture(scope="module")
def calibration() -> CalibrationPhotos:
    return choose_calibration(None, 8, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model: onnx.ModelProto, calibration: CalibrationPhotos) -> Path:
    """One file a format and precision."""
    place = tmp_path_factory.mktemp("precisions")
    export_onnx(model, place / "fp32.onnx")
    export_onnx(half_model(model), place / "fp16.onnx")
    for dialect in DIALECTS:
        export_onnx(quantize_model(model, calibration, dialect=dialect), place / f"int8-{dialect}.onnx")
    export_openvino(model, place / "fp32.xml", precision="fp32")
    if BF16_MISSING is None:
        export_openvino(model, place / "bf16.xml", precision="bf16")
    return place


@pytest.mark.parametrize(
    ("name", "precision", "target", "most"),
    [
        ("fp32.onnx", "fp32", "cpu", 1e-6),
        ("fp16.onnx", "fp16", "cpu", 0.01),
        ("int8-onnxruntime.onnx", "int8", "cpu-int8", 0.3),
        ("int8-tensorrt.onnx", "int8", "cpu-int8", 0.3),
        ("int8-tensorrt-8.onnx", "int8", "cpu-int8", 0.3),
        ("fp32.xml", "fp32", "cpu-openvino", 1e-4),
        ("bf16.xml", "bf16", "cpu-openvino-bf16", 0.05),
    ],
)
def test_each_file_runs_by_what_it_says_of_itself(
    folder: Path, name: str, precision: str, target: str, most: float
) -> None:
    if name.startswith("bf16") and BF16_MISSING:
        pytest.skip(BF16_MISSING)
    description = description_of(folder / name)
    assert (description.precision, description.target, description.input_size) == (precision, target, SIZE)
    assert bool(description.calibration) == (precision == "int8")
    detector = FaceDetector(folder / name)
    reference = FaceDetector(folder / "fp32.onnx")
    photo = np.ascontiguousarray(PHOTO[:128, :160].repeat(2, 0)[:128])
    (expected,), (found,) = (
        with_logits_from([each.model.run(each.description.preprocessing.normalise(photo))], MIN_LOGIT)
        for each in (reference, detector)
    )
    assert set(found) == {"output_8", "output_16", "output_32"}
    for output, values in expected.items():
        assert relative_difference(values, found[output]) < most, output
    several = detector([PHOTO, PHOTO[:50], PHOTO[:, :31]], 0.1)
    assert [len(faces) for faces in several] == [
        len(detector(photo, 0.1)) for photo in (PHOTO, PHOTO[:50], PHOTO[:, :31])
    ]


def test_the_size_of_an_openvino_file_counts_its_weights(tmp_path: Path, model: onnx.ModelProto) -> None:
    artefact = export_openvino(model, tmp_path / "fp32.xml", precision="fp32")
    both = [(tmp_path / name).stat().st_size for name in ("fp32.xml", "fp32.bin")]
    assert min(both) > 0
    assert artefact.size_bytes == sum(both)


def test_every_onnx_file_passes_the_checker_and_opens_in_openvino(folder: Path) -> None:
    for path in folder.glob("*.onnx"):
        content = onnx.load(path)
        onnx.checker.check_model(content, full_check=True)
        assert [value.name for value in content.graph.input] == ["image"]
        network = openvino.Core().read_model(path)
        assert {output.any_name for output in network.outputs} == {"output_8", "output_16", "output_32"}


def test_int8_is_int8(tmp_path: Path, model: onnx.ModelProto, calibration: CalibrationPhotos) -> None:
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node)
    quantised = quantize_model(model, calibration)
    assert export_onnx(quantised, tmp_path / "a.onnx").operators["Conv int8"] == convolutions
    again = quantize_model(model, calibration)
    assert again.SerializeToString() == quantised.SerializeToString()
    dequantised = {node.output[0] for node in quantised.graph.node if node.op_type == "DequantizeLinear"}
    for node in quantised.graph.node:
        if node.op_type == "Conv":
            assert set(node.input) <= dequantised


@pytest.mark.parametrize(("dialect", "around"), [("tensorrt", "float16"), ("tensorrt-8", "float32")])
def test_tensorrts_dialects_fuse_and_keep_ranges_symmetric(folder: Path, dialect: str, around: str) -> None:
    graph = onnx.load(folder / f"int8-{dialect}.onnx").graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    pairs = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert pairs
    assert {values[node.input[2]].dtype.name for node in pairs} == {"int8"}
    assert {values[node.input[1]].dtype.name for node in pairs} == {around}
    assert not any(values[node.input[2]].any() for node in pairs)
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert {values[node.input[2]].dtype.name for node in convolutions} == {around}  # biases
    quantised = {name for node in pairs for name in node.output}
    in_floating_point = [node for node in convolutions if not set(node.input[:2]) <= quantised]
    assert len(in_floating_point) == 4  # what reads the image and what writes the outputs
    made_by = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type == "Add":
            kinds = sorted(made_by[name].op_type for name in node.input)
            assert kinds == ["Conv", "DequantizeLinear"]  # a pair on the skip branch only


def test_an_unknown_dialect_is_refused(model: onnx.ModelProto, calibration: CalibrationPhotos) -> None:
    with pytest.raises(InputError, match="no int8 dialect 'tensorrt-9'; there are onnxruntime, tensorrt, tensorrt-8"):
        quantize_model(model, calibration, dialect="tensorrt-9")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("dialect", ["tensorrt", "tensorrt-8"])
def test_the_shipped_detector_finds_faces_in_int8(tmp_path: Path, shared_dir: Path, dialect: str) -> None:
    """Every gate but latency on 100 real photos, through ONNX Runtime; it computes half precision in float32."""
    photos = shared_dir / "data" / "wider_dev100"
    if not photos.is_dir():
        pytest.skip(f"no photos at {photos}")
    settings = ExportSettings(dialect=dialect)
    artefact = export("facenas-12ms", "onnx", "int8", settings=settings, out=tmp_path / "model.onnx")
    verification = verify(artefact.path, "facenas-12ms", photos, settings=VerifySettings(Tolerances(ap_drop=0.005)))
    gates = {gate.name: gate for gate in verification.gates if "latency" not in gate.name}
    assert all(gate.passed for gate in gates.values()), gates


def test_openvinos_int8_is_int8(tmp_path: Path, model: onnx.ModelProto, calibration: CalibrationPhotos) -> None:
    path = tmp_path / "int8.xml"
    artefact = export_openvino(model, path, precision="int8", calibration=calibration)
    assert artefact.operators["Convolution int8"] > artefact.operators.get("Convolution fp32", 0)
    assert description_of(path).calibration["source"] == "synthetic"
    assert len(FaceDetector(path)(PHOTO, 0.05)) > 0


def test_half_precision_keeps_its_ends_in_float32_and_refuses_what_it_cannot_hold(model: onnx.ModelProto) -> None:
    half = half_model(model)
    kinds = {value.type.tensor_type.elem_type for value in (*half.graph.input, *half.graph.output)}
    assert kinds == {TensorProto.FLOAT}
    large = onnx.ModelProto()
    large.CopyFrom(model)
    tensor = next(each for each in large.graph.initializer if each.name.endswith(".weight"))
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1e9), tensor.name))
    with pytest.raises(InputError, match=r"half precision ends at 65,504; use fp32 or bf16"):
        half_model(large)


def test_an_unknown_operator_is_refused_with_its_reason(tmp_path: Path, model: onnx.ModelProto) -> None:
    odd = onnx.ModelProto()
    odd.CopyFrom(model)
    odd.graph.node[3].op_type = "Levitate"
    assert "Levitate" in str(why_not_onnx(odd))
    assert "No conversion rule found for operations: Levitate" in str(why_not_openvino(odd))
    with pytest.raises(InputError, match="Levitate"):
        export_openvino(odd, tmp_path / "odd.xml", precision="fp32")
    (tmp_path / "odd.onnx").write_bytes(odd.SerializeToString())
    with pytest.raises(InputError, match=r"odd\.onnx cannot be loaded by ONNX Runtime: .*Levitate"):
        FaceDetector(tmp_path / "odd.onnx")
    assert why_not_onnx(model) is None
    assert why_not_openvino(model) is None


def test_files_cut_off_or_parted_from_their_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    graph, weights = (folder / "fp32.xml").read_bytes(), (folder / "fp32.bin").read_bytes()
    path = tmp_path / "model.xml"
    path.write_bytes(graph)
    with pytest.raises(InputError, match=r"has no weights model\.bin beside it"):
        FaceDetector(path)
    path.with_suffix(".bin").write_bytes(weights[:-4])
    with pytest.raises(InputError, match=r"does not hold the weights of model\.xml"):
        FaceDetector(path)
    path.write_bytes(graph[: len(graph) // 2])
    with pytest.raises(InputError, match="no whole OpenVINO file"):
        FaceDetector(path)
    content = (folder / "fp32.onnx").read_bytes()
    for end in (0, 10, len(content) // 2, len(content) - 3):
        (tmp_path / "cut.onnx").write_bytes(content[:end])
        with pytest.raises(InputError, match=r"cut\.onnx"):
            FaceDetector(tmp_path / "cut.onnx")


def test_a_precision_that_the_cpu_lacks_is_refused(
    folder: Path, tmp_path: Path, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")  # where it has bfloat16
    with pytest.raises(InputError, match="bfloat16"):
        export_openvino(model, tmp_path / "model.xml", precision="bf16")
    if (folder / "bf16.xml").exists():
        with pytest.raises(InputError, match="bfloat16"):
            FaceDetector(folder / "bf16.xml")


@pytest.mark.parametrize(("precision", "name"), [("fp16", "model.xml"), ("fp32", "model.onnx")])
def test_openvino_refuses_other_precisions_and_suffixes(
    tmp_path: Path, model: onnx.ModelProto, precision: str, name: str
) -> None:
    with pytest.raises(InputError, match=r"no precision 'fp16'|ends in \.xml"):
        export_openvino(model, tmp_path / name, precision=precision)


def test_an_output_of_another_shape_than_described_is_refused(folder: Path, tmp_path: Path) -> None:
    content = onnx.load(folder / "fp32.onnx")
    (entry,) = content.metadata_props
    entry.value = json.dumps(json.loads(entry.value) | {"landmarks": True})
    onnx.save(content, tmp_path / "odd.onnx")
    with pytest.raises(InputError, match=r"gives 'output_8' as \[1, 10, .*its description says \[1, 30"):
        FaceDetector(tmp_path / "odd.onnx")


def test_layer_names_survive_every_export(folder: Path) -> None:
    layers = {layer.name for layer in build_graph(ALL_FAMILIES, SIZE).layers}
    for path in folder.glob("*.onnx"):
        names = {name for node in onnx.load(path).graph.node for name in node.output}
        assert layers <= names, path.name
