"""The engine against a TensorRT made of the calls that 8.6, 10 and 11 have in common, and a GPU made of numpy.

Anything that the code calls beyond them fails here with an AttributeError.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from facenas.exporters.onnx_graph import build_onnx, random_weights
from facenas.exporters.tensorrt import build_plan, timing_cache_path

from facenas.architecture import parse_architecture
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.graph import build_graph
from facenas.on_device.cuda_driver import Cuda, CudaError, Gpu
from facenas.on_device.tensorrt_engine import Engine, Package, TensorRtError, build, find_package
from facenas.runtimes.compiled_model import example_image
from facenas.runtimes.runtime import load_model, why_unavailable
from facenas.runtimes.tensorrt_gpu import TensorRtModel, layer_times_of
from facenas.units import Size

SIZE = Size(128, 96)
GRAPH = build_graph(
    parse_architecture(
        "SuperConvK3BNRELU(3,16,2,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,48,2,32,1)"
        "SuperResK3K3(48,64,2,32,1)SuperResK3K3(64,80,2,32,1)PAFPN(16)HeadDW(32,1)"
    ),
    SIZE,
)
MODEL = build_onnx(GRAPH, random_weights(GRAPH)).SerializeToString()
SHAPES = {"image": (1, 3, 96, 128), "output_8": (1, 10, 12, 16)}
WHY_NO_GPU = why_unavailable(resolve_target("cuda-tensorrt"))
needs_gpu = pytest.mark.skipif(WHY_NO_GPU is not None, reason=str(WHY_NO_GPU))


class NumpyGpu:
    """Memory by address, streams and events as the driver has them; every event is 1 microsecond after the last."""

    def __init__(self) -> None:
        self.memory: dict[int, Any] = {}
        self.times_ns: dict[int, int] = {}
        self._next = 0
        self._clock_ns = 0
        self.forgotten = False

    def gpu(self) -> Gpu:
        return Gpu("Orin", "8.7", "12.6", 16)

    def _handle(self) -> int:
        self._next += 1
        return self._next

    def allocate(self, size_bytes: int) -> int:
        address = self._handle()
        self.memory[address] = np.zeros(size_bytes, np.uint8)
        return address

    def free(self, address: int) -> None:
        del self.memory[address]

    def to_gpu(self, address: int, values: Any) -> None:
        self.memory[address][:] = np.frombuffer(values.tobytes(), np.uint8)

    def from_gpu(self, values: Any, address: int) -> None:
        values[...] = self.memory[address].view(values.dtype).reshape(values.shape)

    def stream(self) -> int:
        return self._handle()

    def synchronize(self, stream: int) -> None:
        assert stream

    def event(self) -> int:
        return self._handle()

    def record(self, event: int, stream: int) -> None:
        self._clock_ns += 1000
        self.times_ns[event] = self._clock_ns

    def elapsed_ns(self, start: int, end: int) -> int:
        return self.times_ns[end] - self.times_ns[start]

    def forget(self, stream: int, events: tuple[int, ...]) -> None:
        self.forgotten = True


class _Context:
    def __init__(self, gpu: NumpyGpu) -> None:
        self._gpu, self._addresses = gpu, dict[str, int]()
        self.profiler: Any = None

    def set_tensor_address(self, name: str, address: int) -> None:
        self._addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        assert self._addresses.keys() == SHAPES.keys()
        image = self._gpu.memory[self._addresses["image"]].view(np.float32)
        self._gpu.memory[self._addresses["output_8"]].view(np.float16)[:] = image.mean()
        if self.profiler is not None:
            self.profiler.report_layer_time("Reformatting CopyNode for Input Tensor 0 to backbone.stage1.0/conv", 0.001)
            self.profiler.report_layer_time("backbone.stage1.0/conv + backbone.stage1.0/relu", 0.0125)
            self.profiler.report_layer_time("output_8/conv", 0.004)
        return True


def _common_tensorrt(gpu: NumpyGpu) -> Any:
    """Only what FINDINGS about the three versions lists, and what the runtime classes need to be subclassed."""
    engine = SimpleNamespace(
        num_io_tensors=2,
        get_tensor_name=lambda index: list(SHAPES)[index],
        get_tensor_mode=lambda name: "input" if name == "image" else "output",
        get_tensor_shape=lambda name: SHAPES[name],
        get_tensor_dtype=lambda name: "float" if name == "image" else "half",
        create_execution_context=lambda: _Context(gpu),
    )
    return SimpleNamespace(
        ILogger=type("ILogger", (), {"INTERNAL_ERROR": 0, "ERROR": 1}),
        IProfiler=type("IProfiler", (), {}),
        TensorIOMode=SimpleNamespace(INPUT="input"),
        nptype=lambda kind: {"float": np.float32, "half": np.float16}[kind],
        Runtime=lambda logger: SimpleNamespace(
            deserialize_cuda_engine=lambda plan: engine if plan == b"plan" else None
        ),
    )


@pytest.fixture
def gpu() -> NumpyGpu:
    return NumpyGpu()


@pytest.fixture
def package(gpu: NumpyGpu) -> Package:
    return Package(_common_tensorrt(gpu), "tensorrt", "10.3.0")


def _engine(package: Package, gpu: NumpyGpu, plan: bytes = b"plan") -> Engine:
    return Engine(package, plan, gpu)  # type: ignore[arg-type]


@pytest.mark.skipif(find_package() is None, reason="no TensorRT and no TensorRT-RTX is installed")
def test_the_installed_tensorrt_has_every_call_that_running_takes() -> None:
    package = find_package()
    assert package is not None
    trt = package.module
    engine = ["num_io_tensors", "get_tensor_name", "get_tensor_mode", "get_tensor_shape", "get_tensor_dtype"]
    for owner, names in (
        (trt.ICudaEngine, [*engine, "create_execution_context"]),
        (trt.IExecutionContext, ["set_tensor_address", "execute_async_v3", "profiler"]),
        (trt.IProfiler, ["report_layer_time"]),
        (trt.Runtime, ["deserialize_cuda_engine"]),
        (trt, ["nptype", "TensorIOMode"]),
    ):
        assert [name for name in names if not hasattr(owner, name)] == []


def test_an_engine_runs_is_timed_and_tells_its_layers(package: Package, gpu: NumpyGpu) -> None:
    engine = _engine(package, gpu)
    image = np.full(SHAPES["image"], 0.5, np.float32)
    outputs = engine.run(image)
    assert list(outputs) == ["output_8"]
    assert outputs["output_8"].dtype == np.float32
    assert outputs["output_8"].shape == SHAPES["output_8"]
    assert (outputs["output_8"] == 0.5).all()
    assert engine.time_ns(image, runs=3, warm_up=2) == [1000, 1000, 1000]
    rows = engine.layers_ns(image, runs=2, warm_up=1)
    assert len(rows) == 2
    assert sum(rows[0].values()) == 17_500


def test_an_engine_gives_its_memory_back(package: Package, gpu: NumpyGpu) -> None:
    engine = _engine(package, gpu)
    assert len(gpu.memory) == 2
    engine.close()
    engine.close()
    assert gpu.memory == {}
    assert gpu.forgotten


def test_a_plan_that_tensorrt_refuses_and_an_image_of_another_shape(package: Package, gpu: NumpyGpu) -> None:
    with pytest.raises(TensorRtError, match="cannot load"):
        _engine(package, gpu, b"of another version")
    with pytest.raises(TensorRtError, match=r"takes \[1, 3, 96, 128\], not \[1, 3, 8, 8\]"):
        _engine(package, gpu).run(np.zeros((1, 3, 8, 8), np.float32))


class _Parser:
    num_errors = 0

    def __init__(self, network: Any, logger: Any) -> None:
        pass

    def parse(self, model: bytes) -> bool:
        return True


def _tensorrt_8_6(seen: list[Any]) -> Any:
    """Before strong types: the batch is made explicit, precisions are permitted by flags."""

    def create_network(flags: int) -> str:
        seen.append(("network", flags))
        return "network"

    config = SimpleNamespace(
        set_memory_pool_limit=lambda pool, size: seen.append(("workspace", size)),
        set_flag=lambda flag: seen.append(("flag", flag)),
        create_timing_cache=lambda content: SimpleNamespace(content=content, serialize=lambda: b"cache of this GPU"),
        set_timing_cache=lambda cache, ignore_mismatch: cache.content != b"of another GPU",
    )
    return SimpleNamespace(
        ILogger=type("ILogger", (), {"INTERNAL_ERROR": 0, "ERROR": 1}),
        NetworkDefinitionCreationFlag=SimpleNamespace(EXPLICIT_BATCH=0),
        MemoryPoolType=SimpleNamespace(WORKSPACE="workspace"),
        BuilderFlag=SimpleNamespace(FP16="fp16", INT8="int8"),
        OnnxParser=_Parser,
        Builder=lambda logger: SimpleNamespace(
            create_network=create_network,
            create_builder_config=lambda: config,
            build_serialized_network=lambda network, config: b"plan",
        ),
    )


@pytest.mark.parametrize("cache", [b"", b"of this GPU", b"of another GPU"])
def test_8_6_is_told_by_flags_and_a_timing_cache_of_another_gpu_is_replaced(cache: bytes) -> None:
    seen: list[Any] = []
    built = build(Package(_tensorrt_8_6(seen), "tensorrt", "8.6.1"), b"onnx", ("int8", "fp16"), timing_cache=cache)
    assert built == (b"plan", b"cache of this GPU")
    assert ("network", 1) in seen
    assert [flag for kind, flag in seen if kind == "flag"] == ["int8", "fp16"]


def test_the_timings_of_a_build_are_kept_for_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    package = Package(_tensorrt_8_6([]), "tensorrt", "8.6.1")
    assert build_plan(package, b"onnx", "fp16") == b"plan"
    assert timing_cache_path(package).read_bytes() == b"cache of this GPU"
    assert build_plan(package, b"onnx", "fp16") == b"plan"
    assert [path.name for path in timing_cache_path(package).parent.iterdir()] == ["tensorrt-8.6.1.timing-cache"]


def test_times_of_a_network_compiled_as_a_whole_are_refused() -> None:
    layers = ("backbone.stage1.0", "output_8")
    times = layer_times_of([{"output_8/conv": 5, "__mye1": 3}], layers)
    assert times.times_ns.tolist() == [[0, 5]]
    assert times.overhead_ns.tolist() == [3]
    with pytest.raises(InputError, match="as a whole"):
        layer_times_of([{"{ForeignNode[backbone.stage1.0/conv...output_8/conv]}": 9}], layers)


@pytest.fixture
def plans() -> list[bytes]:
    """What `on_numpy` built."""
    return []


@pytest.fixture
def on_numpy(gpu: NumpyGpu, plans: list[bytes]) -> Callable[..., TensorRtModel]:
    """`TensorRtModel` where TensorRT-RTX builds, and the numpy GPU takes what was built; the plans are kept."""

    def engine(package: Package, plan: bytes, cuda: Cuda) -> Engine:
        plans.append(plan)
        return _engine(Package(_common_tensorrt(gpu), package.flavour, package.version), gpu)

    return partial(TensorRtModel, open_gpu=cast(Callable[[], Cuda], lambda: gpu), load_engine=engine)


@pytest.mark.skipif(find_package() is None, reason="no TensorRT and no TensorRT-RTX is installed")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_profile_builds_float_models_in_the_targets_precision(
    on_numpy: Callable[..., TensorRtModel], plans: list[bytes], precision: str
) -> None:
    target = resolve_target("cuda-tensorrt" if precision == "fp32" else f"cuda-tensorrt-{precision}")
    model = on_numpy(MODEL, target, timing_only=True)
    assert model.input_size == SIZE
    assert len(plans[0]) > 10_000
    assert model.time(4).tolist() == [1000] * 4
    times = model.layer_times(2)
    assert times.names == tuple(layer.name for layer in GRAPH.layers)
    assert times.times_ns.sum(axis=1).tolist() == [17_500, 17_500]


@pytest.mark.skipif(find_package() is None, reason="no TensorRT and no TensorRT-RTX is installed")
def test_a_model_of_another_precision_is_refused_with_the_cure(
    on_numpy: Callable[..., TensorRtModel], plans: list[bytes]
) -> None:
    with pytest.raises(InputError, match=r"is fp32, device cuda-tensorrt-fp16 computes fp16.*--precision fp16"):
        on_numpy(MODEL, resolve_target("cuda-tensorrt-fp16"))
    assert plans == []


def test_without_a_driver_the_reason_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr("ctypes.CDLL", absent)
    with pytest.raises(CudaError, match="no CUDA driver on this machine"):
        Cuda()


@needs_gpu
@pytest.mark.parametrize("name", ["cuda-tensorrt", "cuda-tensorrt-fp16", "cuda-tensorrt-int8"])
def test_on_a_gpu_an_engine_runs_and_is_timed(name: str) -> None:
    model = load_model(MODEL, resolve_target(name), timing_only=True)
    image = example_image(SIZE)
    expected = load_model(MODEL, resolve_target("cpu")).run(image)
    if name != "cuda-tensorrt-int8":  # whose ranges are made up
        for output, values in model.run(image).items():
            np.testing.assert_allclose(values, expected[output], atol=1e-2 if name == "cuda-tensorrt" else 5e-2)
    assert (model.time(20, warm_up=5) > 0).all()
