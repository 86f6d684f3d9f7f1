"""The engine on stand-ins of TensorRT and of the CUDA driver (helpers.board), strict where the real ones are.

Anything that the code calls beyond what the version at hand has fails here with an AttributeError.
"""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facenas.exporters.onnx_graph import build_onnx, random_weights
from facenas.exporters.onnx_half import halved
from facenas.exporters.tensorrt import build_plan, timing_cache_path
from helpers.board import VERSIONS, gpu_here

from facenas.architecture import parse_architecture
from facenas.arrays import FloatArray
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.graph import build_graph
from facenas.on_device.cuda_driver import Cuda, CudaError, CudaMemoryError
from facenas.on_device.tensorrt_engine import (
    Engine,
    Package,
    TensorRtError,
    TensorRtMemoryError,
    build,
    find_package,
)
from facenas.runtimes.compiled_model import example_image
from facenas.runtimes.runtime import load_model, why_unavailable
from facenas.runtimes.tensorrt_gpu import layer_times_of
from facenas.runtimes.tensorrt_layers import work_of
from facenas.units import Size

SIZE = Size(128, 96)
GRAPH = build_graph(
    parse_architecture(
        "SuperConvK3BNRELU(3,16,2,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,48,2,32,1)"
        "SuperResK3K3(48,64,2,32,1)SuperResK3K3(64,80,2,32,1)PAFPN(16)HeadDW(32,1)"
    ),
    SIZE,
)
MODEL = build_onnx(GRAPH, random_weights(GRAPH))
IMAGES = [np.random.default_rng(seed).uniform(-1, 1, (1, 3, 96, 128)).astype(np.float32) for seed in (1, 2)]
WHY_NO_GPU = why_unavailable(resolve_target("cuda-tensorrt"))
needs_gpu = pytest.mark.skipif(WHY_NO_GPU is not None, reason=str(WHY_NO_GPU))


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """This machine has TensorRT 10.3 and an Orin's GPU."""
    return gpu_here(tmp_path, monkeypatch)


def _package() -> Package:
    package = find_package()
    assert package is not None
    return package


def _engine(precision: str = "fp32", *, detailed: bool = False, cuda: Cuda | None = None) -> Engine:
    model = MODEL if precision == "fp32" else halved(MODEL)
    built = build(_package(), model.SerializeToString(), precision, detailed=detailed)
    return Engine(_package(), built.plan, cuda)


def _expected(image: FloatArray) -> dict[str, FloatArray]:
    return load_model(MODEL.SerializeToString(), resolve_target("cpu")).run(image)


def _assert_close(found: dict[str, FloatArray], image: FloatArray, tolerance: float) -> None:
    for name, values in _expected(image).items():
        np.testing.assert_allclose(found[name], values, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_engine_answers_for_the_picture_that_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """Copies from pageable memory arrive late, and the stream of the engine waits for no other."""
    gpu_here(tmp_path, monkeypatch, TENSORRT_STANDIN=version)
    engine = _engine("fp16")
    for image in (*IMAGES, IMAGES[0]):
        _assert_close(engine.run(image), image, 2e-2)


@pytest.mark.parametrize("version", VERSIONS)
def test_fp32_is_computed_without_tf32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    gpu_here(tmp_path, monkeypatch, TENSORRT_STANDIN=version)
    _assert_close(_engine().run(IMAGES[0]), IMAGES[0], 1e-5)


def test_any_thread_may_use_and_drop_an_engine(gpu: Any) -> None:
    engines = [_engine()]
    found: list[dict[str, FloatArray]] = []

    def use() -> None:
        found.append(engines[0].run(IMAGES[1]))
        engines[0].time_ns(IMAGES[1], 1, 1)
        engines.clear()

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    _assert_close(found[0], IMAGES[1], 1e-5)
    assert gpu.memory == {}


def test_an_engine_gives_its_memory_back_and_the_last_user_the_context(gpu: Any) -> None:
    cuda = Cuda()
    engine = _engine(cuda=cuda)
    engine.time_ns(IMAGES[0], 2, 1)
    assert gpu.memory
    engine.close()
    engine.close()
    assert (gpu.memory, gpu.streams, gpu.events, gpu.graphs) == ({}, {}, {}, {})
    del engine, cuda
    assert gpu.retained == 0


def test_runs_are_timed_as_one_cuda_graph(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = _engine()
    as_graph = engine.time_ns(IMAGES[0], 5, 1)
    assert engine.as_graph
    monkeypatch.setenv("TENSORRT_STANDIN_CAPTURE", "no")
    launched = _engine()
    by_launches = launched.time_ns(IMAGES[0], 5, 1)
    assert not launched.as_graph
    # A launch takes 2 microseconds there.
    assert min(by_launches) - max(as_graph) > 1000 * len(GRAPH.layers)
    _assert_close(launched.run(IMAGES[1]), IMAGES[1], 1e-5)


def test_an_engine_in_detail_is_launched_no_slower(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORRT_STANDIN_CAPTURE", "no")
    plain, detailed = (np.median(_engine(detailed=each).time_ns(IMAGES[0], 9, 1)) for each in (False, True))
    assert detailed < 1.02 * plain


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("names", ["", "parallel", "neck", "compiled"])
def test_all_time_belongs_to_layers_whatever_the_compiler_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, names: str
) -> None:
    gpu_here(tmp_path, monkeypatch, TENSORRT_STANDIN=version, TENSORRT_STANDIN_NAMES=names)
    model = load_model(MODEL.SerializeToString(), resolve_target("cuda-tensorrt-fp16"), timing_only=True)
    if (version, names) == ("8.5.2", "compiled"):  # whose inspector tells nothing
        with pytest.raises(InputError, match=r"does not tell of which layers \d\d% of the time are"):
            model.layer_times(2)
        return
    times = model.layer_times(2)
    if (version, names) == ("8.5.2", "neck"):  # of a part of the neck it tells
        assert 0 < times.overhead_ns.sum() < 0.1 * times.times_ns.sum()
        return
    assert times.overhead_ns.sum() == 0
    by_layer = dict(zip(times.names, times.times_ns.sum(axis=0), strict=True))
    assert not [name for name, ns in by_layer.items() if ns == 0]


def test_a_kernel_of_two_layers_is_shared_out_by_their_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_here(tmp_path, monkeypatch, TENSORRT_STANDIN_NAMES="parallel")
    times = load_model(MODEL.SerializeToString(), resolve_target("cuda-tensorrt"), timing_only=True).layer_times(1)
    by_layer = dict(zip(times.names, times.times_ns[0].tolist(), strict=True))
    works = {layer.name: work_of(layer.operator) for layer in GRAPH.layers}
    side_by_side = [f"backbone.stage3.0.{name}" for name in ("shortcut", "conv1")]
    shares = [values[side_by_side[0]] / values[side_by_side[1]] for values in (by_layer, works)]
    assert shares[0] == pytest.approx(shares[1], rel=0.01)
    assert shares[1] < 1


def test_what_nobody_tells_of_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_here(tmp_path, monkeypatch, TENSORRT_STANDIN_NAMES="nameless")
    model = load_model(MODEL.SerializeToString(), resolve_target("cuda-tensorrt"), timing_only=True)
    with pytest.raises(InputError, match="does not tell of which layers"):
        model.layer_times(2)


def test_memory_that_ends_is_no_fault_of_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = gpu_here(tmp_path, monkeypatch, CUDA_STANDIN_BYTES=str(30 << 20))
    cuda = Cuda()
    first = _engine(cuda=cuda)
    with pytest.raises(TensorRtMemoryError, match="could not be allocated"):
        _engine(cuda=cuda)
    first.close()
    del first
    with pytest.raises(CudaMemoryError, match="out of memory"):
        cuda.allocate(1 << 30)
    assert cuda.memory_bytes() == (gpu.total_bytes, gpu.total_bytes)


def test_a_plan_that_tensorrt_refuses_and_an_image_of_another_shape(gpu: Any) -> None:
    with pytest.raises(TensorRtError, match="damaged or of another version"):
        Engine(_package(), b"of another version")
    with pytest.raises(TensorRtError, match=r"takes \[1, 3, 96, 128\], not \[1, 3, 8, 8\]"):
        _engine().run(np.zeros((1, 3, 8, 8), np.float32))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_version_builds_every_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, version: str
) -> None:
    gpu_here(tmp_path, monkeypatch, TENSORRT_STANDIN=version)
    target = resolve_target("cuda-tensorrt" if precision == "fp32" else f"cuda-tensorrt-{precision}")
    model = load_model(MODEL.SerializeToString(), target, timing_only=True)
    assert model.input_size == SIZE
    assert (model.time(3) > 0).all()
    assert model.layer_times(2).names == tuple(layer.name for layer in GRAPH.layers)


@pytest.mark.parametrize(("precision", "flags"), [("fp32", ""), ("fp16", "FP16"), ("int8", "FP16 INT8")])
def test_before_strong_types_flags_permit_precisions_and_tf32_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, flags: str
) -> None:
    builds = tmp_path / "builds"
    gpu_here(tmp_path, monkeypatch, TENSORRT_STANDIN="8.6.2", TENSORRT_STANDIN_BUILDS=str(builds))
    target = resolve_target("cuda-tensorrt" if precision == "fp32" else f"cuda-tensorrt-{precision}")
    load_model(MODEL.SerializeToString(), target, timing_only=True)
    assert builds.read_text() == f"{flags}\n"


def test_a_build_can_be_asked_for_its_timings_while_it_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_here(tmp_path, monkeypatch, TENSORRT_STANDIN_BUILD_S="0.01")
    asked: list[bytes] = []

    def watch(timings: Any) -> None:
        def look() -> None:
            while not asked or len(asked[-1]) <= 20:
                asked.append(timings())
                time.sleep(0.001)

        threading.Thread(target=look).start()

    whole = build(_package(), MODEL.SerializeToString(), watch=watch).timing_cache
    assert 20 < len(asked[-1]) < len(whole)
    start = time.monotonic()
    assert build(_package(), MODEL.SerializeToString(), timing_cache=whole).timing_cache == whole
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("cache", [b"", b"damaged", b'TIMING CACHE [["8.6.2", "another GPU"], ["x"]]'])
def test_a_timing_cache_of_another_gpu_is_replaced(gpu: Any, cache: bytes) -> None:
    assert b"another GPU" not in build(_package(), MODEL.SerializeToString(), timing_cache=cache).timing_cache


def test_the_timings_of_a_build_are_kept_for_the_next(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    orin = Cuda().gpu()
    for _ in range(2):
        build_plan(_package(), MODEL.SerializeToString(), "fp32", orin)
        assert timing_cache_path(_package(), orin).is_file()
    assert len(list((tmp_path / "cache/facenas").iterdir())) == 1


def test_times_of_a_network_compiled_as_a_whole_are_refused() -> None:
    works = {"backbone.stage1.0": 1, "output_8": 1}
    times = layer_times_of([{"output_8/conv": 50, "__mye1": 3}], works, {})
    assert times.times_ns.tolist() == [[0, 50]]
    assert times.overhead_ns.tolist() == [3]
    with pytest.raises(InputError, match="100% of the time"):
        layer_times_of([{"{ForeignNode[backbone.stage1.0/conv...output_8/conv]}": 9}], works, {})


def test_a_model_of_another_precision_is_refused_with_the_cure(gpu: Any) -> None:
    with pytest.raises(InputError, match=r"is fp32, device cuda-tensorrt-fp16 computes fp16.*--precision fp16"):
        load_model(MODEL.SerializeToString(), resolve_target("cuda-tensorrt-fp16"))


def test_without_a_driver_the_reason_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr("ctypes.CDLL", absent)
    with pytest.raises(CudaError, match="no CUDA driver on this machine"):
        Cuda()


@needs_gpu
@pytest.mark.parametrize("name", ["cuda-tensorrt", "cuda-tensorrt-fp16", "cuda-tensorrt-int8"])
def test_on_a_gpu_an_engine_runs_and_is_timed(name: str) -> None:
    model = load_model(MODEL.SerializeToString(), resolve_target(name), timing_only=True)
    image = example_image(SIZE)
    expected = load_model(MODEL.SerializeToString(), resolve_target("cpu")).run(image)
    if name != "cuda-tensorrt-int8":  # whose ranges are made up
        for output, values in model.run(image).items():
            np.testing.assert_allclose(values, expected[output], atol=1e-2 if name == "cuda-tensorrt" else 5e-2)
    assert (model.time(20, warm_up=5) > 0).all()
