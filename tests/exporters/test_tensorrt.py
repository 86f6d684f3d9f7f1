"""TensorRT-RTX builds engines without a GPU, so the real parser and builder are tested here."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from facenas.exporters import tensorrt
from facenas.exporters.artefact import Artefact, read_sidecar, sidecar_of
from facenas.exporters.calibration_photos import choose_calibration
from facenas.exporters.onnx import onnx_untrained
from facenas.exporters.onnx_half import half_model
from facenas.exporters.onnx_int8 import quantize_model
from facenas.exporters.tensorrt import (
    export_tensorrt,
    precision_of,
    read_engine,
    timing_cache_path,
    trtexec_line,
    why_elsewhere,
    why_not_tensorrt,
)
from onnx import TensorProto, helper

from facenas.architecture import parse_architecture
from facenas.errors import InputError, MissingPackageError
from facenas.on_device import tensorrt_engine
from facenas.on_device.cuda_driver import Gpu
from facenas.on_device.tensorrt_engine import Package, TensorRtError, find_package
from facenas.units import Size

PACKAGE = find_package("tensorrt_rtx")
pytestmark = pytest.mark.skipif(PACKAGE is None, reason="no TensorRT-RTX is installed")

SIZE = Size(128, 96)
ARCHITECTURE = (
    "SuperConvK3BNRELU(3,16,2,1)SuperResIDWE1K3(16,16,2,16,1)SuperResK1K3K1(16,32,2,16,1)"
    "SuperResK3K3(32,48,2,32,1)SuperResK3K3(48,64,2,32,1)PAFPN(16)HeadDW(32,1)"
)
CALIBRATION = choose_calibration(None, 8)
ORIN = Gpu("Orin", "8.7", "12.6", 16)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return onnx_untrained(parse_architecture(ARCHITECTURE), input_size=SIZE, dynamic=False)


def _package() -> Package:
    assert PACKAGE is not None
    return PACKAGE


def _export(model: onnx.ModelProto, out: Path) -> Artefact:
    return export_tensorrt(model, out, _package())


def _custom(operator: str, domain: str) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 3, 32, 32])
    node = helper.make_node(operator, ["image"], ["output"], name="odd/one", domain=domain)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my.own", 1)]
    return helper.make_model(helper.make_graph([node], "odd", [image], [output]), opset_imports=opsets, ir_version=8)


def test_an_fp32_engine_is_built_and_described(tmp_path: Path, model: onnx.ModelProto) -> None:
    artefact = _export(model, tmp_path / "model.engine")
    assert (artefact.format, artefact.precision, artefact.target) == ("trt", "fp32", "cuda-tensorrt-rtx")
    assert artefact.size_bytes > 10_000
    assert artefact.operators == {"Conv fp32": sum(node.op_type == "Conv" for node in model.graph.node)}
    description = read_sidecar(artefact.path)
    assert description.built_with["version"] == artefact.runtime_version
    assert len(description.built_with["onnx_sha256"]) == 64
    assert description.input_size == SIZE


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_engines_of_our_own_fp16_and_int8_graphs_are_built(
    tmp_path: Path, model: onnx.ModelProto, precision: str
) -> None:
    graph = half_model(model) if precision == "fp16" else quantize_model(model, CALIBRATION, dialect="tensorrt")
    assert precision_of(graph) == precision
    artefact = _export(graph, tmp_path / "model.engine")
    assert (artefact.precision, artefact.target) == (precision, f"cuda-tensorrt-rtx-{precision}")
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node)
    in_half = 4 if precision == "int8" else 0  # what reads the image and what writes the outputs
    expected = {f"Conv {precision}": convolutions - in_half} | ({"Conv fp16": in_half} if in_half else {})
    assert artefact.operators == expected
    description = read_sidecar(artefact.path)
    assert description.precision == precision
    assert bool(description.calibration) == (precision == "int8")


def test_the_dialect_of_another_runtime_is_refused_with_the_parsers_reason(
    tmp_path: Path, model: onnx.ModelProto
) -> None:
    graph = quantize_model(model, CALIBRATION, dialect="onnxruntime")
    with pytest.raises(InputError, match=r"cannot (take|build)"):
        _export(graph, tmp_path / "model.engine")


def test_a_model_of_open_size_is_refused(tmp_path: Path) -> None:
    dynamic = onnx_untrained(parse_architecture(ARCHITECTURE), input_size=SIZE, dynamic=True)
    with pytest.raises(InputError, match="--dynamic"):
        _export(dynamic, tmp_path / "model.engine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("operator", "domain", "reason"),
    [("FancyAttention", "my.own", "Plugin not found"), ("Unique", "", "no such operator")],
)
def test_an_operator_that_is_not_supported_is_named_with_the_parsers_reason(
    operator: str, domain: str, reason: str
) -> None:
    words = why_not_tensorrt(_custom(operator, domain), _package())
    assert words is not None
    assert f"operator {operator} 'odd/one'" in words
    assert reason in words
    assert "\n" not in words


def test_a_supported_model_has_no_reason_against_it(model: onnx.ModelProto) -> None:
    assert why_not_tensorrt(model, _package()) is None


def test_an_existing_engine_stays_when_the_export_fails(tmp_path: Path) -> None:
    out = tmp_path / "model.engine"
    out.write_bytes(b"an older engine")
    with pytest.raises(InputError, match="FancyAttention"):
        _export(_custom("FancyAttention", "my.own"), out)
    assert out.read_bytes() == b"an older engine"


def _stamped(path: Path, **changes: str) -> None:
    value = json.loads(sidecar_of(path).read_text())
    value["facenas"]["built_with"] |= changes
    sidecar_of(path).write_text(json.dumps(value))


def test_an_engine_of_another_machine_is_refused_with_words(tmp_path: Path, model: onnx.ModelProto) -> None:
    package = _package()
    path = _export(model, tmp_path / "model.engine").path
    description, plan = read_engine(path, package, ORIN)
    assert description.precision == "fp32"
    assert plan == path.read_bytes()
    _stamped(path, version="10.3.0")
    with pytest.raises(InputError, match=rf"version 10\.3\.0, here {package.version}.*export it here"):
        read_engine(path, package, ORIN)
    _stamped(path, version=package.version, gpu="NVIDIA H100", compute_capability="9.0")
    with pytest.raises(InputError, match=r"gpu NVIDIA H100, here Orin; compute capability 9\.0, here 8\.7"):
        read_engine(path, package, ORIN)


def test_a_cut_off_engine_is_refused(tmp_path: Path, model: onnx.ModelProto) -> None:
    package = _package()
    path = _export(model, tmp_path / "model.engine").path
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="cut off"):
        read_engine(path, package, ORIN)
    sidecar_of(path).unlink()
    with pytest.raises(InputError, match="no description"):
        read_engine(path, package, ORIN)


def test_driver_gpu_and_version_each_count() -> None:
    package = Package(None, "tensorrt", "10.3.0")
    same = {"flavour": "tensorrt", "version": "10.3.0", "gpu": "Orin", "compute_capability": "8.7", "driver": "12.6"}
    assert why_elsewhere(same, package, ORIN) is None
    for field in same:
        assert f"{field.replace('_', ' ')} other" in str(why_elsewhere(same | {field: "other"}, package, ORIN))
    assert "version unknown" in str(why_elsewhere({}, package, ORIN))


def test_a_tensorrt_rtx_never_stands_in_for_a_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)  # as if it were not installed
    with pytest.raises(MissingPackageError, match=r"facenas\[tensorrt\].*--device cuda-tensorrt-rtx"):
        tensorrt.require_package()
    for name in tensorrt_engine.FLAVOURS["tensorrt_rtx"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=r"facenas\[trt-rtx\]"):
        tensorrt.require_package("tensorrt_rtx")


@pytest.mark.parametrize("version", ["7.1.3", "8.4.1"])
def test_a_tensorrt_before_8_5_is_too_old(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__=version))
    with pytest.raises(TensorRtError, match="is too old"):
        find_package()
    with pytest.raises(InputError, match="too old"):
        tensorrt.require_package()


def test_a_tensorrt_that_cannot_be_imported_is_not_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tensorrt.py").write_text(
        "raise ImportError('libnvdla_compiler.so: cannot open shared object file: No such file or directory')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(InputError, match=r"libnvdla_compiler\.so.*apt install nvidia-l4t-dla-compiler"):
        tensorrt.require_package()


@pytest.mark.parametrize(
    ("precision", "version", "flags"),
    [
        ("fp32", "8.5.2", "--noTF32"),
        ("fp16", "8.6.2", "--fp16 --noTF32"),
        ("int8", "8.6.2", "--int8 --fp16 --noTF32"),
        ("fp16", "10.16.0", "--stronglyTyped --noTF32"),
        ("fp16", "11.1.0", "--noTF32"),
    ],
)
def test_trtexec_is_told_to_build_the_engine_that_was_profiled(precision: str, version: str, flags: str) -> None:
    line = trtexec_line("m.onnx", "m.engine", precision, version)
    assert line == f"/usr/src/tensorrt/bin/trtexec --onnx=m.onnx {flags} --saveEngine=m.engine"


def test_timings_are_kept_apart_by_gpu_and_version() -> None:
    packages = (Package(None, "tensorrt", "10.3.0"), Package(None, "tensorrt", "11.1.0"))
    gpus = (ORIN, Gpu("NVIDIA H100 PCIe", "9.0", "12.6", 114))
    assert len({timing_cache_path(package, gpu) for package in packages for gpu in gpus}) == 4


def test_the_precision_is_that_of_the_graph(model: onnx.ModelProto) -> None:
    assert precision_of(model) == "fp32"
    half = onnx.ModelProto()
    half.CopyFrom(model)
    half.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1, np.float16), "half"))
    assert precision_of(half) == "fp16"
