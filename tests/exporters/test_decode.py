"""Files that decode themselves find what our own decoder finds in the same maps: in any runtime, precision, and in odd maps."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from facenas.exporters.calibration_photos import choose_calibration
from facenas.exporters.decode import with_decoder, without_decoder
from facenas.exporters.formats import ExportOptions, description_of, export_model
from facenas.exporters.onnx import (
    IN_MEMORY,
    load_onnx,
    onnx_of_checkpoint,
    onnx_untrained,
    read_description,
    why_not_onnx,
)
from helpers.random_networks import TINY, confident_checkpoint, random_image, with_landmarks
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import facenas
from facenas.architecture import Architecture
from facenas.checkpoint import save_checkpoint
from facenas.data.synthetic import write_synthetic_set
from facenas.detector.face_detector import FaceDetector
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.evaluation.decoder_check import compare_decoders, decoder_gate, open_raw
from facenas.graph import STRIDES, output_channels
from facenas.latency.this_machine import Calibrate
from facenas.pipeline.decoded import Decoding
from facenas.pipeline.faces import Faces
from facenas.pipeline.postprocess import NMS_IOU, decode, find_faces, suppress
from facenas.runtimes.runtime import load_model, why_unavailable
from facenas.steps.export import ExportSettings
from facenas.steps.verify import VerifySettings
from facenas.units import Size

SIZE = Size(96, 64)
LEAST = 0.02
DETECTORS = [TINY, with_landmarks(TINY)]
PHOTO = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)


def maps_only(detector: Architecture, decoding: Decoding) -> onnx.ModelProto:
    """A model that passes its maps on to the decoder: they are inputs, in the place of a network."""
    model = onnx_untrained(detector, input_size=SIZE, dynamic=False)
    channels = output_channels(landmarks=detector.landmarks)
    shapes = {stride: [1, channels, SIZE.height_px // stride, SIZE.width_px // stride] for stride in STRIDES}
    inputs = [helper.make_tensor_value_info(f"map_{s}", TensorProto.FLOAT, shape) for s, shape in shapes.items()]
    nodes = [helper.make_node("Identity", [f"map_{s}"], [f"output_{s}"], name=f"output_{s}") for s in STRIDES]
    graph = helper.make_graph(nodes, "maps", inputs, list(model.graph.output))
    bare = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    bare.metadata_props.extend(model.metadata_props)
    return with_decoder(bare, decoding)


def run_maps(model: onnx.ModelProto, maps: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    fed = {name.replace("output", "map"): values for name, values in maps.items()}
    return dict(zip(names, session.run(names, fed), strict=True))


def random_maps(detector: Architecture, seed: int, steps: float, shift: float) -> dict[str, np.ndarray]:
    """Maps in multiples of `steps`, so that logits are equal, boxes turned inside out and many overlap."""
    generator = np.random.default_rng(seed)
    channels = output_channels(landmarks=detector.landmarks)
    maps = {}
    for stride in STRIDES:
        values = generator.normal(1, 2, (1, channels, SIZE.height_px // stride, SIZE.width_px // stride))
        values[:, :2] += shift
        maps[f"output_{stride}"] = (np.round(values / steps) * steps).astype(np.float32)
    return maps


@settings(max_examples=20)
@given(
    detector=st.sampled_from(DETECTORS),
    seed=st.integers(0, 1000),
    steps=st.sampled_from([1.0, 0.25, 1e-4]),
    shift=st.sampled_from([0.0, -4.0, 3.0, -100.0]),
    most=st.sampled_from([5000, 7, 1]),
)
def test_any_maps_give_the_faces_of_our_own_decoder(
    detector: Architecture, seed: int, steps: float, shift: float, most: int
) -> None:
    maps = random_maps(detector, seed, steps, shift)
    model = maps_only(detector, Decoding(LEAST, most))
    found = Decoding(LEAST)(run_maps(model, maps), LEAST)
    candidates = decode(maps, LEAST, max_candidates=most)
    has_area = (candidates.boxes[:, :2] < candidates.boxes[:, 2:]).all(axis=1)
    expected = suppress(candidates.take(np.flatnonzero(has_area)), NMS_IOU)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-4)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    assert (found.landmarks is None) == (expected.landmarks is None)
    if found.landmarks is not None and expected.landmarks is not None:
        np.testing.assert_allclose(found.landmarks, expected.landmarks, atol=1e-4)


@pytest.mark.parametrize("detector", DETECTORS, ids=["boxes", "landmarks"])
@pytest.mark.parametrize(
    ("file_format", "precision", "name"),
    [
        ("onnx", "fp32", "m.onnx"),
        ("onnx", "fp16", "m.onnx"),
        ("onnx", "int8", "m.onnx"),
        ("openvino", "fp32", "m.xml"),
        ("openvino", "bf16", "m.xml"),
        ("openvino", "int8", "m.xml"),
    ],
)
def test_files_of_each_precision_decode_their_own_maps(
    tmp_path: Path, detector: Architecture, file_format: str, precision: str, name: str
) -> None:
    if precision == "bf16" and (reason := why_unavailable(resolve_target("cpu-openvino-bf16"))):
        pytest.skip(reason)
    model = onnx_of_checkpoint(confident_checkpoint(detector, SIZE), dynamic=False)
    calibration = choose_calibration(None, 8) if precision == "int8" else None
    options = ExportOptions(precision, calibration, decoding=Decoding(LEAST))
    artefact = export_model(model, file_format, tmp_path / name, options)
    description = description_of(artefact.path)
    assert description.decoding == Decoding(LEAST)
    target = resolve_target(description.target)
    network, raw_description = open_raw(artefact.path, target)
    assert raw_description.decoding is None
    image = random_image(SIZE)
    maps = network.run(image)
    assert set(maps) == {"output_8", "output_16", "output_32"}
    expected = find_faces(maps, LEAST)
    found = Decoding(LEAST)(load_model(artefact.path, target).run(image), LEAST)
    assert len(expected) > 5
    assert compare_decoders([expected], [found]).equal > 0.9  # of some dozens; two runs may round a map differently
    faces = FaceDetector(artefact.path)(PHOTO, 0.05)
    assert len(faces)
    assert (faces.landmarks is not None) == detector.landmarks


def test_the_decoder_can_be_taken_out_again(tmp_path: Path) -> None:
    model = onnx_of_checkpoint(confident_checkpoint(TINY, SIZE), dynamic=False)
    decoded = with_decoder(model, Decoding(LEAST))
    assert why_not_onnx(decoded) is None
    bare = without_decoder(decoded)
    assert bare.graph == model.graph
    assert read_description(bare, IN_MEMORY) == read_description(model, IN_MEMORY)


def test_verify_evaluate_and_detect_take_such_a_file(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.safetensors", confident_checkpoint(TINY, SIZE))
    write_synthetic_set(tmp_path / "photos", 4, 0, 120, 80)
    path = tmp_path / "m.onnx"
    facenas.export(tmp_path / "c.safetensors", settings=ExportSettings(decode=True), out=path)
    settings = VerifySettings(calibrate=Calibrate.NEVER)
    proof = facenas.verify(path, tmp_path / "c.safetensors", tmp_path / "photos", settings=settings)
    verdicts = {gate.name: gate.passed for gate in proof.gates}
    assert verdicts["tensors"]
    assert verdicts["boxes"]
    assert verdicts["decoder"]
    assert proof.latency.decode_ms is not None
    facenas.export(tmp_path / "c.safetensors", out=tmp_path / "raw.onnx")
    figures = [facenas.evaluate(each, tmp_path / "photos").average_precisions for each in (path, tmp_path / "raw.onnx")]
    assert figures[0] == pytest.approx(figures[1], abs=1e-6)


def test_a_decoder_that_errs_fails_its_gate(tmp_path: Path) -> None:
    """Boxes that are off by a stride, as a wrong centre would leave them."""
    faces = Faces(np.array([[10, 10, 30, 40]], np.float32), np.array([0.9], np.float32), None)
    moved = Faces(faces.boxes + 4, faces.scores, None)
    assert decoder_gate(compare_decoders([faces], [faces])).passed
    assert decoder_gate(compare_decoders([faces], [moved])).passed is False
    lower = Faces(faces.boxes, faces.scores - np.float32(1e-3), None)
    assert decoder_gate(compare_decoders([faces], [lower])).passed is False
    nothing = faces.take(np.zeros(0, int))
    assert decoder_gate(compare_decoders([faces], [nothing])).passed is False
    assert decoder_gate(compare_decoders([nothing], [nothing])).passed is None


def test_what_such_a_file_cannot_do_is_refused_in_words(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    save_checkpoint(checkpoint, confident_checkpoint(TINY, SIZE))
    decoded = ExportSettings(decode=True)
    with pytest.raises(InputError, match="a file of format tflite cannot suppress boxes itself; onnx and openvino can"):
        facenas.export(checkpoint, "tflite", "int8", settings=decoded, out=tmp_path / "m.tflite")
    with pytest.raises(InputError, match="has one input size; export without --dynamic"):
        facenas.export(checkpoint, settings=ExportSettings(decode=True, dynamic=True), out=tmp_path / "m.onnx")
    path = tmp_path / "m.onnx"
    facenas.export(checkpoint, settings=decoded, out=path)
    with pytest.raises(InputError, match="decodes for one input size"):
        FaceDetector(path, long_side_px=128)
    with pytest.raises(InputError, match=r"keeps faces with scores from 0\.02, not from 0\.01"):
        FaceDetector(path)(PHOTO, 0.01)
    model = load_onnx(path)
    del model.graph.output[0]
    onnx.save(model, path)
    with pytest.raises(InputError, match="decodes, but has no output 'boxes'"):
        FaceDetector(path)
