import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from facenas.exporters.onnx_graph import build_onnx, random_weights
from onnx import TensorProto, helper

from facenas.architecture import parse_architecture, published_detector
from facenas.devices.own_devices import PRECISIONS
from facenas.devices.target import TARGET_NAMES
from facenas.devices.targets import resolve_target
from facenas.errors import InputError, MissingPackageError
from facenas.graph import Graph, build_graph
from facenas.on_device.device_runtimes import RUNTIMES as RUNTIMES_THERE
from facenas.runtimes.compiled_model import CompiledModel, example_image
from facenas.runtimes.runtime import RUNTIMES, load_model, require_available, runtime_of, why_unavailable
from facenas.units import Size

SIZE = Size(128, 96)
# Widths that are no multiple of 16 make ONNX Runtime put reorders between layers.
NARROW = (
    "SuperConvK3BNRELU(3,8,2,1)SuperResIDWE1K3(8,16,2,8,1)SuperResK1K3K1(16,24,2,8,2)"
    "SuperResK3K3(24,40,2,16,1)SuperResIDWE1K5(40,40,2,24,1)PAFPN(16)HeadDW(24,1)"
)
TARGETS = [name for name in TARGET_NAMES if not why_unavailable(resolve_target(name))]
COUNTING = [name for name in TARGETS if runtime_of(resolve_target(name)).tells_layers]


def _graph(text: str = NARROW) -> Graph:
    return build_graph(parse_architecture(text), SIZE)


def _load(graph: Graph, target_name: str = "cpu", *, dynamic: bool = False) -> CompiledModel:
    model = build_onnx(graph, random_weights(graph), dynamic=dynamic)
    return load_model(model.SerializeToString(), resolve_target(target_name), timing_only=True)


@pytest.mark.parametrize("target_name", COUNTING)
@pytest.mark.parametrize("text", [NARROW, str(published_detector("damofd-0.5g"))])
def test_every_layer_is_timed_by_its_name_and_nothing_is_left_over(target_name: str, text: str) -> None:
    graph = _graph(text)
    times = _load(graph, target_name).layer_times(3)
    assert set(times.names) == {layer.name for layer in graph.layers}
    # OpenVINO tells averages only.
    rows = 1 if resolve_target(target_name).runtime == "openvino" else 3
    assert times.times_ns.shape == (rows, len(graph.layers))
    assert times.times_ns.dtype == np.int64
    assert times.times_ns.sum() > 0
    assert times.overhead_ns.tolist() == [0] * rows


def test_runtimes_agree_on_the_outputs() -> None:
    graph = _graph()
    image = example_image(SIZE)
    expected = _load(graph).run(image)
    assert {name: value.shape for name, value in expected.items()} == {
        "output_8": (1, 10, 12, 16),
        "output_16": (1, 10, 6, 8),
        "output_32": (1, 10, 3, 4),
    }
    for name, value in _load(graph, "cpu-openvino").run(image).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-4)


@pytest.mark.parametrize("target_name", ["cpu-int8", "cpu-openvino-int8"])
def test_an_int8_target_refuses_a_float_model_but_for_timing(target_name: str) -> None:
    graph = _graph()
    model = build_onnx(graph, random_weights(graph)).SerializeToString()
    with pytest.raises(InputError, match="export it with --precision int8"):
        load_model(model, resolve_target(target_name))
    assert _load(graph, target_name).time(2).shape == (2,)


@pytest.mark.parametrize("target_name", ["cpu", "cpu-openvino"])
def test_another_image_size_is_refused_in_words(target_name: str) -> None:
    with pytest.raises(InputError, match=r"\[1, 3, 64, 64\]"):
        _load(_graph(), target_name).run(example_image(Size(64, 64)))


@pytest.mark.parametrize("target_name", ["cpu", "cpu-openvino"])
def test_an_open_size_must_be_given_to_be_timed(target_name: str) -> None:
    model = _load(_graph(), target_name, dynamic=True)
    assert model.input_size is None
    with pytest.raises(InputError, match="--input"):
        model.time(1)
    assert model.time(2, input_size=SIZE).shape == (2,)


@pytest.mark.parametrize("target_name", ["cpu", "cpu-openvino"])
def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path, target_name: str) -> None:
    target = resolve_target(target_name)
    with pytest.raises(InputError, match="no model at"):
        load_model(tmp_path / "none.onnx", target)
    path = tmp_path / "garbage.onnx"
    path.write_bytes(b"not a model at all")
    with pytest.raises(InputError, match=r"garbage\.onnx") as caught:
        load_model(path, target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("target_name", ["cpu", "cpu-openvino"])
def test_a_model_that_takes_no_image_is_refused(target_name: str) -> None:
    vector = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "vector", [vector], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    with pytest.raises(InputError, match="a detector has one of shape"):
        load_model(model.SerializeToString(), resolve_target(target_name))


def test_why_a_target_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_unavailable(resolve_target("cpu")) is None
    assert "more than" in str(why_unavailable(resolve_target("cpu-999threads")))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert "bfloat16" in str(why_unavailable(resolve_target("cpu-openvino-bf16")))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install onnxruntime"):
        require_available(resolve_target("cpu"))


def test_every_device_with_a_name_has_a_runtime_and_a_drift() -> None:
    targets = [resolve_target(name) for name in TARGET_NAMES]
    assert {target.runtime for target in targets} == set(RUNTIMES)
    for target in targets:
        assert target.precision in runtime_of(target).session_drift
    own = {name for name, runtime in RUNTIMES.items() if runtime.elsewhere is not None}
    assert own == set(PRECISIONS) == set(RUNTIMES_THERE)
    for name, precisions in PRECISIONS.items():
        assert set(precisions) <= set(RUNTIMES[name].session_drift)


def test_int8_sessions_drift_more_and_estimates_not_at_all() -> None:
    assert RUNTIMES["onnxruntime"].session_drift["fp32"] < RUNTIMES["openvino"].session_drift["int8"]
    assert runtime_of(resolve_target("npu")).session_drift["int8"] == 0
