"""TensorRT through those of its calls that 8.5, 8.6, 10 and 11 (and TensorRT-RTX) have in common: build, run, time.

With `cuda_driver` this file stands alone: Python 3.8 or later, numpy, the `tensorrt` package of the device. So the same
lines serve a workstation and a Jetson with nothing else on it. The precision is the graph's: a float16 graph, or
QuantizeLinear and DequantizeLinear for int8; where TensorRT has strongly typed networks it keeps to that, before (8.x)
it is told by flags that it may. float32 is true float32: TF32, which keeps 10 bits of a product's operands, is on by
default in all versions, and is switched off.
"""

from __future__ import annotations  # for Python 3.8

import importlib
import importlib.util
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from facenas.on_device.cuda_driver import Cuda, CudaError, Graph

# By flavour, the modules that may hold it. A TensorRT-RTX builds for other GPUs, so it never stands in for a TensorRT.
FLAVOURS = {"tensorrt": ("tensorrt",), "tensorrt_rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings")}
WORKSPACE_BYTES = 1 << 30
# Before strong types, what a graph of a precision may be computed in; in int8 what is not quantised is half precision.
_FLAGS = {"fp32": (), "fp16": ("FP16",), "int8": ("INT8", "FP16")}
_MIN_VERSION = (8, 5)
_CURES = (
    ("libnvdla_compiler", "on a Jetson: sudo apt install nvidia-l4t-dla-compiler; in a container: --runtime nvidia"),
    ("libnvinfer", "on a Jetson: sudo apt install nvidia-jetpack; in a container: --runtime nvidia"),
    ("libcu", "on a Jetson: sudo apt install nvidia-jetpack; in a container: --runtime nvidia"),
)


class TensorRtError(Exception):
    """TensorRT or CUDA cannot do what was asked; the message says why."""


class TensorRtMemoryError(TensorRtError, MemoryError):
    """There is not enough of the GPU's memory for what was asked."""


class Package(NamedTuple):
    """A TensorRT that can be imported: the module, its flavour (a key of FLAVOURS) and its version."""

    module: Any
    flavour: str
    version: str


class Built(NamedTuple):
    """What `build` gives: the serialised engine, and the timing cache for the next build (empty where there is none)."""

    plan: bytes
    timing_cache: bytes


def find_package(flavour: str = "tensorrt") -> Package | None:
    """The installed package of a flavour, None where there is none.

    Raises TensorRtError for one that cannot be imported, with the reason, or is older than 8.5.
    """
    for name in FLAVOURS[flavour]:
        if not _is_installed(name):
            continue
        try:
            module = importlib.import_module(name)
        except (ImportError, OSError) as error:
            cure = next((cure for word, cure in _CURES if word in str(error)), "install it again")
            raise TensorRtError(f"{name} is installed, but cannot be imported ({error}); {cure}") from None
        version = str(getattr(module, "__version__", ""))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if not numbers:  # a folder of that name
            continue
        if flavour == "tensorrt" and numbers < _MIN_VERSION:
            raise TensorRtError(
                f"TensorRT {version} is too old; 8.5 or later is needed (JetPack 5.1 has 8.5, 6 has 10)"
            )
        return Package(module, flavour, version)
    return None


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # it was made by hand
        return True


def _logger(package: Package, problems: list[str]) -> Any:
    """A logger that keeps errors and warnings instead of printing them."""
    trt = package.module
    kept = (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR)

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in kept:
                problems.append(message.strip())

    return Logger()


def _network(package: Package, builder: Any) -> tuple[Any, bool]:
    """An empty network, and whether it is strongly typed.

    Where there is no such flag, networks are either not yet so (8.6, which wants to hear that the batch is explicit),
    or always.
    """
    flags = package.module.NetworkDefinitionCreationFlag
    for name, typed in (("STRONGLY_TYPED", True), ("EXPLICIT_BATCH", False)):
        if hasattr(flags, name):
            return builder.create_network(1 << int(getattr(flags, name))), typed
    return builder.create_network(0), True


def unsupported(package: Package, model: bytes) -> list[tuple[int, str]]:
    """For each node of an ONNX model that TensorRT cannot take: its index (-1: none in particular) and the reason."""
    problems: list[str] = []
    logger = _logger(package, problems)
    network, _ = _network(package, package.module.Builder(logger))
    parser = package.module.OnnxParser(network, logger)
    ask = getattr(parser, "supports_model_v2", None)
    supported = ask(model) if ask is not None else parser.supports_model(model)[0]
    if supported:
        return []
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    found = {(int(error.node()), _reason(error)) for error in errors}
    return sorted(found) or [(-1, problems[-1] if problems else "the parser gives no reason")]


def _reason(error: Any) -> str:
    """A parser error in words: the parser tells a kind, and the condition that failed with a sentence in quotes."""
    kind = str(error.code()).rpartition(".")[2].lower().replace("_", " ")
    condition = str(error.desc()).strip()
    sentence = condition.split('"')[1] if condition.count('"') > 1 else condition
    return f"{kind}: TensorRT has no such operator" if sentence == "false" else f"{kind}: {sentence}"


def build(
    package: Package,
    model: bytes,
    precision: str = "fp32",
    *,
    timing_cache: bytes = b"",
    detailed: bool = False,
    watch: Callable[[Callable[[], bytes]], None] = lambda timings: None,
) -> Built:
    """The engine of an ONNX model whose graph is of that precision.

    `detailed`: the engine can tell of what nodes each kernel is made. `watch` gets a function, for another thread, that
    gives the timing cache as far as the build has filled it. Raises TensorRtError with the parser's or the builder's own
    words, TensorRtMemoryError where memory ended.
    """
    trt = package.module
    problems: list[str] = []
    logger = _logger(package, problems)
    builder = trt.Builder(logger)
    network, typed = _network(package, builder)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        reasons = [_reason(parser.get_error(index)) for index in range(parser.num_errors)]
        raise TensorRtError("; ".join(reasons or problems or ["the parser gives no reason"]))
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    if hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)
    if detailed:
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if not typed:
        for flag in _FLAGS[precision]:
            config.set_flag(getattr(trt.BuilderFlag, flag))
    caches = package.flavour == "tensorrt"  # TensorRT-RTX measures nothing while it builds
    cache = None
    if caches:
        cache = config.create_timing_cache(timing_cache)
        # One of another GPU or version is refused; then this build starts a new one.
        if not config.set_timing_cache(cache, False):
            cache = config.create_timing_cache(b"")
            config.set_timing_cache(cache, False)
        watch(lambda: bytes(cache.serialize()))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _failure(problems, "the builder gives no reason")
    return Built(bytes(plan), bytes(cache.serialize()) if cache is not None else b"")


def _failure(problems: list[str], otherwise: str) -> TensorRtError:
    """What TensorRT logged, as an error; it has no code for the end of memory, only words."""
    words = "; ".join(problems) or otherwise
    memory = any(end in words.lower() for end in ("out of memory", "outofmemory", "could not be allocated"))
    return (TensorRtMemoryError if memory else TensorRtError)(words)


class Engine:
    """A loaded engine with one input and its own memory; `run`, `time_ns`, `layers_ns` take arrays of `input_shape`.

    Any thread may use it, one at a time. Raises TensorRtError for a plan of another machine, TensorRtMemoryError where
    memory ends, CudaError where no GPU answers.
    """

    def __init__(self, package: Package, plan: bytes, cuda: Cuda | None = None) -> None:
        trt = package.module
        self.cuda = cuda or Cuda()
        self.cuda.use()
        self._package = package
        self._problems: list[str] = []
        self._host: dict[str, Any] = {}
        self._addresses: dict[str, int] = {}
        self._graph: Graph | None = None
        self._stream = 0
        self._capturable = True
        self._logger = _logger(package, self._problems)
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise _failure(self._problems, "TensorRT cannot load the engine")
        self._context = self._new_context()
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        inputs = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        if len(inputs) != 1:
            raise TensorRtError(f"the engine has the inputs {', '.join(inputs) or 'none'}; a detector has one")
        self._input = inputs[0]
        self.input_shape = tuple(self._engine.get_tensor_shape(self._input))
        self._stream = self.cuda.stream()
        self._events = (self.cuda.event(), self.cuda.event())
        try:
            for name in names:
                kind = np.dtype(trt.nptype(self._engine.get_tensor_dtype(name)))
                self._host[name] = np.zeros(tuple(self._engine.get_tensor_shape(name)), kind)
                self._addresses[name] = self.cuda.allocate(max(1, self._host[name].nbytes))
                self._context.set_tensor_address(name, self._addresses[name])
        except CudaError:
            self.close()
            raise

    def _new_context(self) -> Any:
        context = self._engine.create_execution_context()
        if context is None:  # TensorRT's way to say that memory has ended
            words = "; ".join(self._problems) or "no memory for an execution context"
            raise TensorRtMemoryError(words)
        with suppress(
            AttributeError
        ):  # 8.5 has no such switch. An engine that was built in detail is else launched slower
            context.nvtx_verbosity = self._package.module.ProfilingVerbosity.NONE
        return context

    def run(self, image: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        """The outputs by name, float32."""
        self._put(image)
        self._enqueue(self._context)
        outputs = {}
        for name, values in self._host.items():
            if name != self._input:
                self.cuda.from_gpu(values, self._addresses[name], self._stream)
                outputs[name] = values.astype(np.float32)
        return outputs

    def time_ns(self, image: np.ndarray[Any, Any], runs: int, warm_up: int) -> list[int]:
        """Nanoseconds on the GPU of each run, between two CUDA events, without copying the image and the outputs.

        All kernels are launched as one CUDA graph where they can be captured: `as_graph` then says so.
        """
        self._put(image)
        for _ in range(max(1, warm_up)):
            self._enqueue(self._context)
        self.cuda.synchronize(self._stream)
        if self._graph is None and self._capturable:
            self._graph = self._captured()
            self._capturable = self._graph is not None
        times = []
        for index in range(1 + runs):  # the first launch of a graph puts it on the GPU
            self.cuda.record(self._events[0], self._stream)
            if self._graph is None:
                self._enqueue(self._context)
            else:
                self.cuda.launch(self._graph, self._stream)
            self.cuda.record(self._events[1], self._stream)
            self.cuda.synchronize(self._stream)
            if index:
                times.append(self.cuda.elapsed_ns(*self._events))
        return times

    @property
    def as_graph(self) -> bool:
        """Whether `time_ns` timed a CUDA graph."""
        return self._graph is not None

    def _captured(self) -> Graph | None:
        """A run as a CUDA graph, or None where the engine does what cannot be captured."""
        self.cuda.begin_capture(self._stream)
        try:
            self._enqueue(self._context)
        except TensorRtError:
            with suppress(CudaError):  # the stream is out of its capture, and says that it failed
                self.cuda.forget_graph(self.cuda.end_capture(self._stream))
            return None
        try:
            return self.cuda.end_capture(self._stream)
        except CudaError:
            return None

    def layers_ns(self, image: np.ndarray[Any, Any], runs: int, warm_up: int) -> list[dict[str, int]]:
        """For each run, nanoseconds by TensorRT's own layer names (see `facenas.runtimes.tensorrt_layers`)."""
        rows: list[dict[str, int]] = []
        self.cuda.use()
        context = self._new_context()
        context.profiler = profiler = _profiler(self._package, lambda name, ns: _add(rows[-1], name, ns))
        for name, address in self._addresses.items():
            context.set_tensor_address(name, address)
        self._put(image)
        for _ in range(warm_up + runs):
            rows.append({})
            self._enqueue(context)
            self.cuda.synchronize(self._stream)
        del context, profiler  # the context speaks to the profiler until it is gone
        return rows[warm_up:]

    def nodes_of_layers(self) -> dict[str, str]:
        """What TensorRT tells of each of its layers, by name: `[ONNX Layer: a]`, several joined by a control character.

        Empty for engines that were not built in detail, and before 8.6.
        """
        inspector = self._engine.create_engine_inspector()
        form = self._package.module.LayerInformationFormat.JSON
        layers = json.loads(inspector.get_engine_information(form)).get("Layers", [])
        told = (layer for layer in layers if isinstance(layer, dict) and layer.get("Metadata"))
        return {str(layer.get("Name")): str(layer["Metadata"]) for layer in told}

    def close(self) -> None:
        """Give the GPU's memory back."""
        addresses, self._addresses = self._addresses, {}
        graph, self._graph = self._graph, None
        stream, self._stream = self._stream, 0
        self.cuda.use()  # TensorRT frees its own when it is let go of
        if graph is not None:
            self.cuda.forget_graph(graph)
        for address in addresses.values():
            self.cuda.free(address)
        if stream:
            self.cuda.forget(stream, self._events)

    def __del__(self) -> None:
        with suppress(CudaError, AttributeError):  # a context that is gone has given everything back
            self.close()

    def _put(self, image: np.ndarray[Any, Any]) -> None:
        if tuple(image.shape) != self.input_shape:
            raise TensorRtError(f"the engine takes {list(self.input_shape)}, not {list(image.shape)}")
        values = np.ascontiguousarray(image, self._host[self._input].dtype)
        self.cuda.to_gpu(self._addresses[self._input], values, self._stream)

    def _enqueue(self, context: Any) -> None:
        if not context.execute_async_v3(self._stream):
            raise TensorRtError("; ".join(self._problems) or "the engine did not run")


def _add(row: dict[str, int], name: str, ns: int) -> None:
    row[name] = row.get(name, 0) + ns


def _profiler(package: Package, report: Callable[[str, int], None]) -> Any:
    """An IProfiler that tells every layer's nanoseconds; with it each run ends before the next call returns."""
    trt = package.module

    class Profiler(trt.IProfiler):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            report(layer_name, round(ms * 1e6))

    return Profiler()
