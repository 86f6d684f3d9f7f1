"""The ONNX model answers as the torch network does, in every runtime, and there is nothing left to simplify."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx
import pytest
import torch
from facenas.exporters.onnx import open_sides, simplify
from facenas.exporters.onnx_graph import build_onnx, fold, random_weights
from helpers.random_architectures import small_detectors
from helpers.random_networks import ALL_FAMILIES, TINY, checkpoint_of, random_image, random_network, with_landmarks
from hypothesis import given, settings
from hypothesis import strategies as st

from facenas.architecture import Architecture, published_detector
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.graph import BOX_CHANNELS, STRIDES, build_graph, output_channels
from facenas.networks.network import DetectorNetwork
from facenas.runtimes.runtime import load_model
from facenas.units import Size

SIZE = Size(96, 64)


def exported(network: DetectorNetwork, size: Size = SIZE, *, dynamic: bool = False) -> onnx.ModelProto:
    graph = build_graph(network.detector, size)
    return build_onnx(graph, fold(graph, checkpoint_of(network, size).tensors), dynamic=dynamic)


def torch_outputs(network: DetectorNetwork, image: np.ndarray) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        outputs = network(torch.from_numpy(image))
    return {f"output_{stride}": output.numpy() for stride, output in zip(STRIDES, outputs, strict=True)}


def assert_close(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].shape == values.shape
        assert np.abs(values).max() > 1e-3
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4 * np.abs(values).max())


def run(model: onnx.ModelProto, image: np.ndarray, device: str = "cpu") -> dict[str, np.ndarray]:
    return load_model(model.SerializeToString(), resolve_target(device)).run(image)


@settings(max_examples=25)
@given(small_detectors(), st.integers(0, 1000))
def test_any_detector_answers_as_in_torch(detector: Architecture, seed: int) -> None:
    network = random_network(detector, seed)
    image = random_image(SIZE, seed)
    assert_close(run(exported(network), image), torch_outputs(network, image))


@pytest.mark.parametrize("device", ["cpu", "cpu-openvino"])
@pytest.mark.parametrize("detector", [ALL_FAMILIES, with_landmarks(ALL_FAMILIES)], ids=["boxes", "landmarks"])
def test_all_families_answer_as_in_torch_in_every_runtime(detector: Architecture, device: str) -> None:
    network = random_network(detector)
    image = random_image(SIZE)
    assert_close(run(exported(network), image, device), torch_outputs(network, image))


@pytest.mark.parametrize("name", ["damofd-0.5g", "damofd-2.5g"])
def test_published_detectors_answer_as_in_torch(name: str) -> None:
    network = random_network(published_detector(name))
    image = random_image(SIZE)
    assert_close(run(exported(network), image), torch_outputs(network, image))


@pytest.mark.parametrize("device", ["cpu", "cpu-openvino"])
def test_a_dynamic_model_takes_other_sizes(device: str) -> None:
    network = random_network(ALL_FAMILIES)
    model = load_model(exported(network, dynamic=True).SerializeToString(), resolve_target(device))
    assert model.input_size is None
    for size, batch in ((SIZE, 1), (Size(64, 128), 1), (Size(160, 96), 3)):
        image = random_image(size, batch=batch)
        assert_close(model.run(image), torch_outputs(network, image))


def test_a_static_model_can_be_opened_to_other_sizes_and_refuses_them_before() -> None:
    network = random_network(with_landmarks(ALL_FAMILIES))
    model = exported(network)
    image = random_image(Size(64, 128))
    assert_close(run(open_sides(model), image), torch_outputs(network, image))
    with pytest.raises(InputError, match=r"does not take an image of shape \[1, 3, 128, 64\]"):
        run(model, image)


def test_a_levels_scale_is_its_own_and_touches_its_boxes_alone() -> None:
    network = random_network(with_landmarks(TINY))
    image = random_image(SIZE)
    before = run(exported(network), image)
    factors = dict(zip(STRIDES, (0.5, 2.0, 3.0), strict=True))
    with torch.no_grad():
        for stride, factor in factors.items():
            network.get_parameter(f"head.scale.{stride}").mul_(factor)
    after = run(exported(network), image)
    assert_close(after, torch_outputs(network, image))
    for stride, factor in factors.items():
        expected = before[f"output_{stride}"].copy()
        expected[:, BOX_CHANNELS] *= factor
        np.testing.assert_allclose(after[f"output_{stride}"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("detector", [ALL_FAMILIES, with_landmarks(TINY), published_detector("damofd-10g")])
def test_the_checker_passes_and_the_simplifier_finds_nothing(detector: Architecture, dynamic: bool) -> None:
    graph = build_graph(detector, SIZE)
    model = build_onnx(graph, random_weights(graph), dynamic=dynamic, metadata={"key": "value"})
    onnx.checker.check_model(model, full_check=True)
    simplified = simplify(model)
    onnx.checker.check_model(simplified, full_check=True)
    assert Counter(node.op_type for node in simplified.graph.node) == Counter(node.op_type for node in model.graph.node)
    assert {node.op_type for node in model.graph.node} == {"Conv", "Add", "Relu", "Resize"}
    assert [(entry.key, entry.value) for entry in simplified.metadata_props] == [("key", "value")]


@pytest.mark.parametrize("detector", [TINY, with_landmarks(TINY)], ids=["boxes", "landmarks"])
def test_the_names_and_shapes_of_the_outputs(detector: Architecture) -> None:
    graph = build_graph(detector, SIZE)
    channels = output_channels(landmarks=detector.landmarks)
    assert channels == (30 if detector.landmarks else 10)
    for dynamic in (False, True):
        model = build_onnx(graph, random_weights(graph), dynamic=dynamic)
        outputs = run(model, random_image(SIZE))
        assert {name: values.shape for name, values in outputs.items()} == {
            "output_8": (1, channels, 8, 12),
            "output_16": (1, channels, 4, 6),
            "output_32": (1, channels, 2, 3),
        }


def test_random_weights_keep_activations_in_a_plain_range() -> None:
    graph = build_graph(published_detector("damofd-0.5g"), Size(160, 128))
    outputs = run(build_onnx(graph, random_weights(graph)), random_image(Size(160, 128)))
    for values in outputs.values():
        assert 1e-3 < np.abs(values).mean() < 1e3


@pytest.mark.parametrize(
    "name", ["backbone.stage1.0.conv.weight", "backbone.stage3.0.a.expand.norm.running_var", "head.scale.16"]
)
def test_a_missing_or_misshapen_tensor_is_named(name: str) -> None:
    network = random_network(ALL_FAMILIES)
    graph = build_graph(network.detector, SIZE)
    tensors = dict(checkpoint_of(network, SIZE).tensors)
    odd = np.zeros((3, 3), np.float32)
    with pytest.raises(InputError, match=r"has shape \[3, 3\], needs \[.*another architecture") as misshapen:
        fold(graph, tensors | {name: odd})
    assert f"'{name}'" in str(misshapen.value)
    del tensors[name]
    with pytest.raises(InputError, match="is missing, needs") as missing:
        fold(graph, tensors)
    assert f"'{name}'" in str(missing.value)
