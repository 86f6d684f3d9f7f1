from pathlib import Path

import numpy as np
import pytest
import torch
from facenas.exporters.onnx_graph import build_onnx, random_weights
from helpers.board import gpu_here
from onnx import TensorProto, helper

from facenas.architecture import parse_architecture
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.graph import build_graph
from facenas.runtimes.compiled_model import example_image
from facenas.runtimes.runtime import load_model, why_unavailable
from facenas.runtimes.torch_cuda import TorchCudaModel, TorchNetwork
from facenas.units import Size

SIZE = Size(128, 96)
GRAPH = build_graph(
    parse_architecture(
        "SuperConvK3BNRELU(3,8,2,1)SuperResIDWE1K3(8,16,2,8,1)SuperResK1K3K1(16,24,2,8,1)"
        "SuperResK3K3(24,40,2,16,1)SuperResK3K3(40,48,2,24,1)PAFPN(16)HeadDW(24,1)"
    ),
    SIZE,
)
MODEL = build_onnx(GRAPH, random_weights(GRAPH))
WHY_NO_GPU = why_unavailable(resolve_target("cuda"))
needs_gpu = pytest.mark.skipif(WHY_NO_GPU is not None, reason=str(WHY_NO_GPU))


@pytest.mark.skipif(torch.version.cuda is not None, reason="this PyTorch is built with CUDA")
def test_a_pytorch_for_the_cpu_alone_is_no_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_here(tmp_path, monkeypatch)
    for name in ("cuda", "cuda-fp16"):
        reason = why_unavailable(resolve_target(name))
        assert reason is not None
        assert "built for the CPU alone; install one with CUDA: pip install torch --index-url https://" in reason


def test_the_operators_compute_what_onnx_runtime_computes() -> None:
    network = TorchNetwork(MODEL, torch.device("cpu"), torch.float32)
    image = example_image(SIZE)
    expected = load_model(MODEL.SerializeToString(), resolve_target("cpu")).run(image)
    with torch.inference_mode():
        outputs = network.run(network.image(image))
    for name, output in zip(network.outputs, outputs, strict=True):
        np.testing.assert_allclose(output.numpy(), expected[name], atol=1e-4)


def test_every_layer_is_told_once_and_in_order() -> None:
    network = TorchNetwork(MODEL, torch.device("cpu"), torch.float32)
    told: list[str] = []
    with torch.inference_mode():
        network.run(network.image(example_image(SIZE)), told.append)
    assert told == [layer.name for layer in GRAPH.layers]
    assert network.layers == tuple(told)


def test_an_operator_that_facenas_does_not_export_is_named() -> None:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
    node = helper.make_node("Softmax", ["image"], ["y"], name="odd")
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])
    model = helper.make_model(helper.make_graph([node], "odd", [image], [output]))
    with pytest.raises(InputError, match="Softmax 'odd'"):
        TorchNetwork(model, torch.device("cpu"), torch.float32)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this PyTorch has CUDA and a GPU")
def test_without_cuda_the_error_says_so() -> None:
    with pytest.raises(InputError, match="needs a PyTorch with CUDA"):
        TorchCudaModel(MODEL.SerializeToString(), resolve_target("cuda"))


@needs_gpu
@pytest.mark.parametrize(("name", "tolerance"), [("cuda", 1e-4), ("cuda-fp16", 3e-2)])
def test_on_a_gpu_outputs_times_and_layers_are_right(name: str, tolerance: float) -> None:
    model = load_model(MODEL.SerializeToString(), resolve_target(name))
    image = np.random.default_rng(1).uniform(-1, 1, (1, 3, 96, 128)).astype(np.float32)
    expected = load_model(MODEL.SerializeToString(), resolve_target("cpu")).run(image)
    for output, values in model.run(image).items():
        np.testing.assert_allclose(values, expected[output], atol=tolerance)
    times = model.time(20, warm_up=5)
    assert times.shape == (20,)
    assert (times > 0).all()
    layers = model.layer_times(5)
    assert set(layers.names) == {layer.name for layer in GRAPH.layers}
    assert layers.times_ns.shape == (5, len(GRAPH.layers))
    # Events between layers cost something, and nothing is lost between them.
    assert 0.5 < layers.times_ns.sum(axis=1).min() / np.median(times) < 10
