"""A stand-in for NVIDIA's `tensorrt`: parses, builds, runs through ONNX Runtime, and tells made-up times.

TENSORRT_STANDIN (7.1.3, 8.5.2, 8.6.2, 10.3.0, 10.16.0, 11.1.0) says which version's calls there are: EXPLICIT_BATCH and
the flags FP16, INT8 before 11, STRONGLY_TYPED from 10 (there those flags fail the build), `supports_model` before 11,
`supports_model_v2` from 10, the inspector's `Metadata` and `nvtx_verbosity` from 8.6. TF32 is allowed unless forbidden
(its rounding is played on the weights), an execution context takes TENSORRT_STANDIN_CONTEXT_BYTES and is None where there
are none left, timing an unknown kernel takes TENSORRT_STANDIN_BUILD_S seconds and fills the timing cache at once, an
engine of another version or GPU is refused. A launch takes 2 microseconds, 1 more with DETAILED verbosity unless
`nvtx_verbosity` is lowered; a CUDA graph needs one for all. With TENSORRT_STANDIN_CAPTURE=no a run cannot be captured.

A file TENSORRT_STANDIN_BUILDS gets a line a build,
with the flags that were set.

TENSORRT_STANDIN_NAMES: `parallel` (convolutions of one input are one kernel, `a || b`), `compiled` (the whole network
goes through the compiler), `neck` (its neck does) or `nameless` (it does, and no metadata tells of what): at the usual
verbosity one `{ForeignNode[a...b]}`, with DETAILED a row a kernel, `<node>_myl0_<n>` for one node,
`__myl_CorrAddRelu_myl0_<n>` for several, whose nodes only the engine inspector's `Metadata` tells: `[ONNX Layer: a]`
joined by \\x1f.
This file also runs on a board that is played: Python 3.8 or later, numpy, onnx, onnxruntime.
"""

from __future__ import annotations

import enum
import json
import os
import time
from typing import Any, Dict  # noqa: UP035 - for Python 3.8

import numpy as np
import onnx

from helpers import cuda_standin

__version__ = os.environ.get("TENSORRT_STANDIN", "10.3.0")
_VERSION = tuple(int(part) for part in __version__.split(".")[:2])
_NAMES = set(os.environ.get("TENSORRT_STANDIN_NAMES", "").split(","))
_MAGIC, _CACHE = b"TENSORRT STAND-IN ", b"TIMING CACHE "
_PAIR = ("QuantizeLinear", "DequantizeLinear")
_LAUNCH_NS, _NVTX_NS = 2000, 1000

Kernel = Dict[str, Any]  # noqa: UP006


class _Subclassed:
    """A class of the library of which the caller makes a subclass; that must call this."""

    def __init__(self) -> None:
        self.constructed = True


class ILogger(_Subclassed):
    Severity = enum.IntEnum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"])
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = Severity

    def log(self, severity: Any, message: str) -> None:
        raise NotImplementedError


class IProfiler(_Subclassed):
    def report_layer_time(self, layer_name: str, ms: float) -> None:
        raise NotImplementedError


DataType = enum.Enum("DataType", {"FLOAT": 1, "INT8": 3, "HALF": 10})
TensorIOMode = enum.Enum("TensorIOMode", ["INPUT", "OUTPUT"])
MemoryPoolType = enum.Enum("MemoryPoolType", ["WORKSPACE"])
ProfilingVerbosity = enum.Enum("ProfilingVerbosity", ["LAYER_NAMES_ONLY", "NONE", "DETAILED"])
LayerInformationFormat = enum.Enum("LayerInformationFormat", ["ONELINE", "JSON"])
_OLD, _METADATA = _VERSION < (11, 0), _VERSION >= (8, 6)
_TYPED = {"STRONGLY_TYPED": 1} if _VERSION >= (10, 0) else {}
_FLAGS = {"TF32": 7, **({"FP16": 0, "INT8": 1} if _OLD else {})}
NetworkDefinitionCreationFlag = enum.IntEnum("Creation", {**({"EXPLICIT_BATCH": 0} if _OLD else {}), **_TYPED})  # type: ignore[misc]
BuilderFlag = enum.IntEnum("BuilderFlag", _FLAGS)  # type: ignore[misc]


def nptype(kind: Any) -> Any:
    return {DataType.FLOAT: np.float32, DataType.HALF: np.float16, DataType.INT8: np.int8}[kind]


class _ParserError:
    def __init__(self, code: str, node: int, words: str) -> None:
        self._told = code, node, words

    def code(self) -> str:
        return f"ErrorCode.{self._told[0]}"

    def node(self) -> int:
        return self._told[1]

    def desc(self) -> str:
        return self._told[2]


class OnnxParser:
    def __init__(self, network: Any, logger: Any) -> None:
        self._network = network
        self._errors: list[_ParserError] = []
        if _TYPED:
            self.supports_model_v2 = self._supports
        if _OLD:
            self.supports_model = self._supports_and_parts

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> _ParserError:
        return self._errors[index]

    def _supports(self, model: Any) -> bool:
        loaded, known = onnx.load_from_string(bytes(model)), ("Conv", "Relu", "Add", "Resize", "Cast", *_PAIR)
        unknown = [index for index, node in enumerate(loaded.graph.node) if node.op_type not in known]
        self._errors = [_ParserError("UNSUPPORTED_NODE", index, "false") for index in unknown]
        unsigned = [node for node in loaded.graph.node if node.op_type in _PAIR and _is_unsigned(loaded, node)]
        if unsigned:
            self._errors.append(_ParserError("UNSUPPORTED_NODE", 0, 'x && "UINT8 is no type of a quantised tensor"'))
        if self._network.typed and not unknown:
            try:
                onnx.shape_inference.infer_shapes(loaded, check_type=True, strict_mode=True)
            except onnx.shape_inference.InferenceError as error:
                self._errors.append(_ParserError("INVALID_NODE", 0, f'typed && "{str(error)[:200]}"'))
        return not self._errors

    def _supports_and_parts(self, model: Any) -> Any:
        return self._supports(model), []

    def parse(self, model: Any) -> bool:
        self._network.model = bytes(model)
        return self._supports(model)


def _is_unsigned(model: Any, node: Any) -> bool:
    zero_points = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return len(node.input) > 2 and zero_points.get(node.input[2]) == 2


class _Network:
    def __init__(self, typed: bool) -> None:
        self.typed, self.model = typed, b""


class ITimingCache:
    def __init__(self, entries: Any = (), made_for: Any = None) -> None:
        self.entries: set[str] = set(entries)
        self.made_for = made_for or [__version__, cuda_standin.GPU.name]

    def serialize(self) -> memoryview:
        return memoryview(_CACHE + json.dumps([self.made_for, sorted(self.entries)]).encode())


class _Config:
    def __init__(self) -> None:
        self.flags, self.cache = {BuilderFlag.TF32}, None  # type: ignore[attr-defined]
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self.set_flag, self.clear_flag, self.builder_optimization_level = self.flags.add, self.flags.discard, 3

    def set_memory_pool_limit(self, pool: Any, size_bytes: int) -> None: ...

    def create_timing_cache(self, content: Any) -> ITimingCache:
        told = json.loads(bytes(content)[len(_CACHE) :]) if bytes(content).startswith(_CACHE) else (None, ())
        return ITimingCache(told[1], told[0])  # an empty one for a damaged one, with a warning

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if not isinstance(cache, ITimingCache):
            raise TypeError("set_timing_cache(): incompatible function arguments")
        if cache.made_for != ITimingCache().made_for and not ignore_mismatch:
            return False
        self.cache = cache  # type: ignore[assignment]
        return True


class Builder:
    def __init__(self, logger: Any) -> None:
        logger.constructed  # noqa: B018 - an AttributeError for a logger that was not made in full
        self._logger, self.create_builder_config = logger, _Config

    def create_network(self, flags: int = 0) -> _Network:
        typed = bool(_TYPED and flags & 1 << _TYPED["STRONGLY_TYPED"])
        return _Network(typed or not _OLD)

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        if network.typed and {"FP16", "INT8"} & {flag.name for flag in config.flags}:
            self._logger.log(ILogger.ERROR, "a strongly typed network takes no flags of precision")
            return None
        if "TENSORRT_STANDIN_BUILDS" in os.environ:
            with open(os.environ["TENSORRT_STANDIN_BUILDS"], "a") as file:  # noqa: PTH123 - this is a library's
                file.write(" ".join(sorted(flag.name for flag in config.flags)) + "\n")
        model, cache = onnx.load_from_string(network.model), config.cache or ITimingCache()
        if not network.typed and (missing := _missing_flag(model, {flag.name for flag in config.flags})):
            self._logger.log(ILogger.ERROR, f"{missing} is set for a layer, but not configured in the builder")
            return None
        kernels = _kernels(model)
        for unknown in {json.dumps([kernel["kind"], kernel["work"]]) for kernel in kernels} - cache.entries:
            time.sleep(float(os.environ.get("TENSORRT_STANDIN_BUILD_S", "0")))
            cache.entries.add(unknown)
        if BuilderFlag.TF32 in config.flags:  # type: ignore[attr-defined]
            _round_weights(model)
        detailed = config.profiling_verbosity is ProfilingVerbosity.DETAILED
        named = _named(kernels, [value.name for value in model.graph.output], detailed)
        head = json.dumps([ITimingCache().made_for, named, detailed]).encode()
        return memoryview(_MAGIC + len(head).to_bytes(4, "big") + head + model.SerializeToString())


def _missing_flag(model: Any, flags: Any) -> str | None:
    """Before strong types, a type that the graph holds and the builder was not permitted."""
    half = any(tensor.data_type == DataType.HALF.value for tensor in model.graph.initializer)
    quantised = any(node.op_type in _PAIR for node in model.graph.node)
    return "FP16" if half and "FP16" not in flags else "INT8" if quantised and "INT8" not in flags else None


def _round_weights(model: Any) -> None:
    """Float32 weights of convolutions to 10 bits of mantissa, as TF32 does to all operands."""
    from onnx import numpy_helper

    used = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    for tensor in model.graph.initializer:
        if tensor.name in used and tensor.data_type == DataType.FLOAT.value:
            bits = numpy_helper.to_array(tensor).copy().view(np.uint32)
            rounded = ((bits + 0x1000) & np.uint32(0xFFFFE000)).view(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))


def _kernels(model: Any) -> list[Kernel]:
    """A kernel for each layer of the names `<layer>/<step>`: its nodes, name, kind, work, input and nanoseconds."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    layers: dict[str, list[Any]] = {}
    kernels: list[Kernel] = []
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output)}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}

    def source(name: str) -> str:
        """Through pairs of quantisation and changes of type, which cost nothing here, to what was computed."""
        while name in makers and makers[name].op_type in (*_PAIR, "Cast"):
            name = makers[name].input[0]
        return name

    for node in graph.node:
        if node.op_type not in _PAIR:
            layers.setdefault(node.name.partition("/")[0], []).append(node)
    for nodes in layers.values():
        first, names, width, macs = nodes[0], [node.name for node in nodes], 4, 0
        work, name = int(np.prod(shapes.get(nodes[-1].output[0], [1]))), " + ".join(names)
        if first.op_type == "Conv":
            weight, quantised = weights[source(first.input[1])], first.input[1] in makers
            macs = work // weight.dims[0] * int(np.prod(weight.dims))
            width = 1 if quantised else 2 if weight.data_type == DataType.HALF.value else 4
            name = f"{weight.name} + {weight.name}_QuantizeLinear + {name}" if quantised else name
        ns = round(4000 + max(macs * width / 2000, width * work / 40))
        kernel = {"nodes": names, "name": name, "kind": [first.op_type, width], "work": [macs, work], "ns": ns}
        kernels.append({**kernel, "input": source(first.input[0]) if macs else None})
    return kernels


def _named(kernels: list[Kernel], outputs: list[str], detailed: bool) -> list[Kernel]:
    """With reformats, kernels side by side and what a compiler made, as the environment asks for them."""
    joined: list[Kernel] = []
    for kernel in kernels:
        alike = (k for k in joined if k["input"] and (k["input"], k["kind"]) == (kernel["input"], kernel["kind"]))
        twin = next(alike, None)
        if "parallel" in _NAMES and twin:
            twin.update(name=f"{twin['name']} || {kernel['name']}", nodes=twin["nodes"] + kernel["nodes"])
            twin["ns"] += kernel["ns"] // 2
        else:
            joined.append(kernel)
    whole = _NAMES & {"compiled", "nameless"}
    part = [k for k in joined if whole or ("neck" in _NAMES and k["nodes"][0].startswith("neck"))]
    if part and detailed:
        for index, kernel in enumerate(part):
            alone = len(kernel["nodes"]) == 1 and "nameless" not in _NAMES
            kernel["name"] = f"{kernel['name'] if alone else '__myl_CorrAddRelu'}_myl0_{index}"
            kernel["told"] = "nameless" not in _NAMES
    elif part:
        ends, nodes = f"{part[0]['nodes'][0]}...{part[-1]['nodes'][-1]}", [n for k in part for n in k["nodes"]]
        foreign = {"name": f"{{ForeignNode[{ends}]}}", "nodes": nodes, "ns": sum(k["ns"] for k in part)}
        joined = [*(k for k in joined if k not in part), foreign]
    copies = [
        (f"Input Tensor 0 to {joined[0]['name']}", 30000),
        *((f"Output Tensor 0 to {n}/conv", 4000) for n in outputs),
    ]
    reformats = [{"name": f"Reformatting CopyNode for {what}", "nodes": [], "ns": ns} for what, ns in copies]
    return joined if len(joined) == 1 else [*reformats[:1], *joined, *reformats[1:]]


class Runtime:
    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, plan: Any) -> Any:
        content, start = bytes(plan), len(_MAGIC) + 4
        made_for = None
        if content.startswith(_MAGIC):
            size = int.from_bytes(content[len(_MAGIC) : start], "big")
            made_for, kernels, detailed = json.loads(content[start : start + size])
        if made_for != ITimingCache().made_for:
            self._logger.log(ILogger.ERROR, "Serialization assertion failed: the plan is damaged or of another version")
            return None
        return _Engine(self._logger, kernels, content[start + size :], detailed)


class _Engine:
    def __init__(self, logger: Any, kernels: list[Kernel], model: bytes, detailed: bool) -> None:
        graph = onnx.load_from_string(model).graph
        self._logger, self.kernels, self.model, self.detailed = logger, kernels, model, detailed
        self.tensors: dict[str, tuple[Any, tuple[int, ...], int]] = {}
        for mode, values in ((TensorIOMode.INPUT, graph.input), (TensorIOMode.OUTPUT, graph.output)):
            for name, kind in ((value.name, value.type.tensor_type) for value in values):
                self.tensors[name] = mode, tuple(d.dim_value for d in kind.shape.dim), kind.elem_type

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self.tensors[name][0]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name][1]

    def get_tensor_dtype(self, name: str) -> Any:
        return DataType(self.tensors[name][2])

    def create_engine_inspector(self) -> _Engine:
        return self

    def get_engine_information(self, form: Any) -> str:
        """Of the inspector; whole only where the engine was built with DETAILED."""
        assert form is LayerInformationFormat.JSON
        if not self.detailed:
            return json.dumps({"Layers": [kernel["name"] for kernel in self.kernels]})
        layers: list[dict[str, Any]] = []
        for kernel in self.kernels:
            nodes = kernel["nodes"] if kernel.get("told", True) else []
            metadata = {"Metadata": "\x1f".join(f"[ONNX Layer: {node}]" for node in nodes)} if _METADATA else {}
            layers.append({"Name": kernel["name"], "LayerType": "kernel", **metadata})
        return json.dumps({"Layers": layers})

    def create_execution_context(self) -> Any:
        size_bytes = int(os.environ.get("TENSORRT_STANDIN_CONTEXT_BYTES", str(20 << 20)))
        if cuda_standin.GPU.take(size_bytes):
            return (_Context if _METADATA else _OldContext)(self, size_bytes)
        self._logger.log(ILogger.ERROR, f"Requested amount of GPU memory ({size_bytes} bytes) could not be allocated")
        return None


class _OldContext:
    """Of 8.5. It has no other attributes than these."""

    __slots__ = ("_addresses", "_engine", "_random", "_session", "_size_bytes", "profiler")

    def __init__(self, engine: _Engine, size_bytes: int) -> None:
        self._engine, self._size_bytes = engine, size_bytes
        self._session: Any = None
        self.profiler: Any = None
        self._addresses: dict[str, int] = {}
        self._random = np.random.default_rng(len(engine.model))

    def __del__(self) -> None:
        cuda_standin.GPU.free_bytes += self._size_bytes

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return address in cuda_standin.GPU.memory

    def _compute(self) -> None:
        """Take the image that is there now; what follows of it is computed when somebody reads it."""
        gpu = cuda_standin.GPU
        (name, (_, shape, kind)), *outputs = self._engine.tensors.items()
        image = gpu.read(self._addresses[name]).view(nptype(DataType(kind))).reshape(shape).copy()

        def outcome() -> None:
            import onnxruntime

            names = [each for each, _ in outputs]
            if self._session is None:
                self._session = onnxruntime.InferenceSession(self._engine.model, providers=["CPUExecutionProvider"])
            for each, values in zip(names, self._session.run(names, {name: image})):  # noqa: B905
                gpu.unread.pop(self._addresses[each], None)
                gpu.memory[self._addresses[each]][:] = np.frombuffer(values.tobytes(), np.uint8)

        gpu.unread.update((self._addresses[each], outcome) for each, _ in outputs)

    def _times_ns(self) -> list[float]:
        noise = 1 + 0.01 * np.abs(self._random.standard_normal(len(self._engine.kernels)))
        return [float(kernel["ns"] * factor) for kernel, factor in zip(self._engine.kernels, noise)]  # noqa: B905

    def _launch_ns(self) -> float:
        return _LAUNCH_NS + (_NVTX_NS if self._engine.detailed else 0)

    def execute_async_v3(self, stream_handle: int) -> bool:
        gpu, kernels = cuda_standin.GPU, self._engine.kernels
        if getattr(gpu.current, "context", None) is None:
            return False
        if set(self._addresses) != set(self._engine.tensors) or stream_handle not in gpu.streams:
            return False
        stream = gpu.streams[stream_handle]
        if stream.captured is not None and (self.profiler or os.environ.get("TENSORRT_STANDIN_CAPTURE") == "no"):
            stream.spoilt = True
            return False
        times_ns = self._times_ns()
        launches_ns = self._launch_ns() * len(kernels)
        gpu.launch(stream, lambda: sum(times_ns), launches_ns, self._compute)
        if self.profiler is not None:
            for kernel, ns in zip(kernels, times_ns):  # noqa: B905
                self.profiler.report_layer_time(kernel["name"], ns / 1e6)
        return True


class _Context(_OldContext):
    """From 8.6."""

    __slots__ = ("nvtx_verbosity",)

    def __init__(self, engine: _Engine, size_bytes: int) -> None:
        super().__init__(engine, size_bytes)
        self.nvtx_verbosity = ProfilingVerbosity.DETAILED if engine.detailed else ProfilingVerbosity.LAYER_NAMES_ONLY

    def _launch_ns(self) -> float:
        return _LAUNCH_NS + (_NVTX_NS if self.nvtx_verbosity is ProfilingVerbosity.DETAILED else 0)
