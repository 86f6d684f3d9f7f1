"""The runtimes that a device may have, for the agent: compile or load, run, time, and the runtime's own rows about its
layers.

The rows go to the host unedited; it knows the network's layers. This file is also run on devices: Python 3.8 or later,
numpy, and one of the runtimes.
"""

from __future__ import annotations  # for Python 3.8

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from facenas.on_device.device_runtime import TIME_WARM_UP, OnCpu, Refusal, example_image, timed
from facenas.on_device.frames import Message
from facenas.on_device.uncounted_runtimes import LiteRt, Ncnn

_MIN_FREE_GPU_BYTES = 1 << 30
LAYERS_WARM_UP = 2


def pin(threads: int) -> set[int]:
    """Keep this thread, and those that it starts, on as many cores; those that it was allowed before."""
    if not hasattr(os, "sched_setaffinity"):
        return set()
    allowed = os.sched_getaffinity(0)
    # The last cores, because systems serve interrupts on the first.
    os.sched_setaffinity(0, sorted(allowed)[-threads:])
    return allowed


class OnnxRuntime(OnCpu):
    """ONNX Runtime on the CPU."""

    graph_wanted = True
    forms = ("onnx",)

    def __init__(self, precision: str, threads: int) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or it asks its maker's host from the device
        import onnxruntime

        if precision not in ("fp32", "int8"):  # which is in the graph
            raise Refusal("request", f"onnxruntime runs fp32 and int8 through the agent, not {precision}")
        self.module, self.version, self.threads = onnxruntime, onnxruntime.__version__, threads
        errors = onnxruntime.capi.onnxruntime_pybind11_state
        names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
        self.errors = tuple(getattr(errors, name) for name in names if hasattr(errors, name))

    def session(self, model: bytes, options: Any) -> Any:
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = self.module.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = self.module.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        return self.module.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def compile(self, model: bytes) -> Any:
        session = self.session(model, self.module.SessionOptions())
        entry = session.get_inputs()[0]
        return model, session, {entry.name: example_image(entry.shape)}

    def load(self, model: bytes, form: str, weights_at: int, shape: list[int]) -> Any:
        session = self.session(model, self.module.SessionOptions())
        return model, session, {session.get_inputs()[0].name: example_image(shape)}

    def run(self, compiled: Any, image: Any) -> dict[str, Any]:
        _, session, feed = compiled
        names = [entry.name for entry in session.get_outputs()]
        return dict(zip(names, session.run(names, dict.fromkeys(feed, image))))  # noqa: B905 - Python 3.8

    def time(self, compiled: Any, runs: int) -> dict[str, Any]:
        _, session, feed = compiled
        return {"times_ns": timed(lambda: session.run(None, feed), runs)}

    def layers(self, compiled: Any, runs: int, want_graph: bool) -> Message:
        model, _, feed = compiled
        folder = tempfile.mkdtemp(dir=str(Path(sys.argv[0]).resolve().parent))
        try:
            options = self.module.SessionOptions()
            options.enable_profiling = True
            options.profile_file_prefix = folder + "/profile"
            if want_graph:
                options.optimized_model_filepath = folder + "/optimized.onnx"
                # The host reads nodes only; the weights stay here where the runtime can write them apart.
                options.add_session_config_entry(
                    "session.optimized_model_external_initializers_file_name", "weights.bin"
                )
            session = self.session(model, options)
            for _ in range(LAYERS_WARM_UP + runs):
                session.run(None, feed)
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
            graph = b""
            if want_graph:
                graph = Path(options.optimized_model_filepath).read_bytes()
        except self.errors:
            # A runtime that cannot write says so in many words; the disk itself says it in one.
            Path(folder, "probe").write_bytes(bytes(1 << 20))
            raise
        except ValueError:
            raise OSError(28, "the runtime's profile is not whole; is the disk full?") from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        kept = ("name", "cat", "ts", "dur")
        rows = [{key: event[key] for key in kept} for event in events if event.get("cat") in ("Node", "Session")]
        return {"events": rows, "warm_up": LAYERS_WARM_UP}, graph


class OpenVino(OnCpu):
    """OpenVINO on the CPU."""

    graph_wanted = False
    forms = ("onnx", "openvino")
    errors = (RuntimeError,)

    def __init__(self, precision: str, threads: int) -> None:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # absent, which OpenVINO takes for a no
        import openvino

        hints = {"fp32": "f32", "bf16": "bf16"}
        if precision not in hints:
            raise Refusal("request", f"openvino runs fp32 and bf16 through the agent, not {precision}")
        self.core, self.version = openvino.Core(), openvino.__version__.partition("-")[0]
        self.options = {
            "INFERENCE_PRECISION_HINT": hints[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }

    def compile(self, model: bytes) -> Any:
        network = self.core.compile_model(self.core.read_model(model), "CPU", dict(self.options, PERF_COUNT=False))
        exported = network.export_model()
        exported = exported.getvalue() if hasattr(exported, "getvalue") else exported
        return bytes(exported), network.create_infer_request(), {0: example_image(list(network.inputs[0].shape))}

    def load(self, model: bytes, form: str, weights_at: int, shape: list[int]) -> Any:
        parts = (model,) if form == "onnx" else (model[:weights_at], model[weights_at:])
        network = self.core.compile_model(self.core.read_model(*parts), "CPU", dict(self.options, PERF_COUNT=False))
        return b"", network.create_infer_request(), {0: example_image(shape)}

    def run(self, compiled: Any, image: Any) -> dict[str, Any]:
        _, request, _ = compiled
        results = request.infer({0: image}, share_inputs=True)
        return {output.any_name: values for output, values in results.items()}

    def time(self, compiled: Any, runs: int) -> dict[str, Any]:
        _, request, feed = compiled
        return {"times_ns": timed(lambda: request.infer(feed, share_inputs=True), runs)}

    def layers(self, compiled: Any, runs: int, want_graph: bool) -> Message:
        exported, _, feed = compiled
        counting = self.core.import_model(exported, "CPU", dict(self.options, PERF_COUNT=True))
        request = counting.create_infer_request()
        readings = []
        for count in (LAYERS_WARM_UP, runs):
            for _ in range(count):
                request.infer(feed, share_inputs=True)
            rows = request.get_profiling_info()
            readings.append([[row.node_name, round(row.real_time.total_seconds() * 1e6) * 1000] for row in rows])
        return {"before": readings[0], "after": readings[1], "warm_up": LAYERS_WARM_UP}, b""


class TensorRt:
    """TensorRT 8.5 and later on the GPU.

    Engines are built in detail, so that they tell of what nodes a kernel is made. Their plans lie in the agent's folder
    until it is removed: where memory is short, an engine that had to be forgotten is loaded again, not built again.
    """

    graph_wanted, pins, forms = (
        True,
        False,
        ("onnx", "trt"),
    )  # a build takes minutes and all cores; what is timed is pinned

    def __init__(self, precision: str, threads: int) -> None:
        from facenas.on_device import tensorrt_engine
        from facenas.on_device.cuda_driver import Cuda, CudaError

        self.engines, self.precision, self.threads = tensorrt_engine, precision, threads
        self.errors = (tensorrt_engine.TensorRtError, CudaError)
        self.timing_cache = b""
        self.folder = Path(sys.argv[0]).resolve().parent
        self._timings: Callable[[], bytes] = bytes
        try:
            found = tensorrt_engine.find_package()
            if found is None:
                raise ImportError("no module named tensorrt")
            self.package, self.version = found, found.version
            self.cuda = Cuda()
        except self.errors as error:
            raise Refusal("missing", str(error)) from None

    def compile(self, model: bytes) -> Any:
        kept = self.folder / f"{hashlib.sha256(model).hexdigest()}.plan"
        plan = kept.read_bytes() if kept.is_file() else self._build(model, kept)
        engine = self.engines.Engine(self.package, plan, self.cuda)
        return engine, example_image(list(engine.input_shape))

    def load(self, model: bytes, form: str, weights_at: int, shape: list[int]) -> Any:
        plan = model if form == "trt" else self.engine_of(model)
        engine = self.engines.Engine(self.package, plan, self.cuda)
        return engine, example_image(list(engine.input_shape))

    def run(self, compiled: Any, image: Any) -> dict[str, Any]:
        outputs: dict[str, Any] = compiled[0].run(image)
        return outputs

    def _build(self, model: bytes, kept: Path) -> bytes:
        plan = self.engine_of(model, detailed=True)
        try:
            kept.write_bytes(plan)
        except OSError:  # a full disk: it will be built again
            with suppress(OSError):
                kept.unlink()
        return plan

    def engine_of(self, model: bytes, detailed: bool = False) -> bytes:
        """The engine of an ONNX model; `detailed`: it can tell of what nodes each kernel is made."""

        def watch(timings: Callable[[], bytes]) -> None:
            self._timings = timings

        cache = self.timing_cache
        built = self.engines.build(
            self.package, model, self.precision, timing_cache=cache, detailed=detailed, watch=watch
        )
        self.timing_cache = built.timing_cache
        return bytes(built.plan)

    def timings_so_far(self) -> bytes:
        """The timing cache as far as the build that is under way has filled it."""
        return self._timings()

    def time(self, compiled: Any, runs: int) -> dict[str, Any]:
        engine, image = compiled
        with _pinned(self.threads):
            return {"times_ns": engine.time_ns(image, runs, TIME_WARM_UP), "as_graph": engine.as_graph}

    def layers(self, compiled: Any, runs: int, want_graph: bool) -> Message:
        engine, image = compiled
        with _pinned(self.threads):
            rows = engine.layers_ns(image, runs, LAYERS_WARM_UP)
        return {"rows": rows}, json.dumps(engine.nodes_of_layers()).encode() if want_graph else b""

    def memory_is_short(self) -> bool:
        """Whether less than 1 GiB of the GPU's memory, or an eighth of it, is free."""
        free, total = self.cuda.memory_bytes()
        return free < min(_MIN_FREE_GPU_BYTES, total // 8)

    def facts(self) -> dict[str, Any]:
        """The GPU and the version of CUDA that its driver has."""
        gpu = self.cuda.gpu()
        told = {"gpu": f"{gpu.name} (compute capability {gpu.compute_capability})", "cuda_driver": gpu.driver}
        return dict(told, gpu_name=gpu.name, compute_capability=gpu.compute_capability)


@contextmanager
def _pinned(threads: int) -> Iterator[None]:
    allowed = pin(threads)
    try:
        yield
    finally:
        if allowed:
            os.sched_setaffinity(0, allowed)


# By name, the class, and how its package is installed on a device. `facenas.devices.own_devices` has their precisions.
RUNTIMES: dict[str, tuple[Any, str]] = {
    "onnxruntime": (OnnxRuntime, "python3 -m pip install onnxruntime"),
    "openvino": (OpenVino, "python3 -m pip install openvino"),
    "ai-edge-litert": (LiteRt, "python3 -m pip install ai-edge-litert"),
    "ncnn": (Ncnn, "python3 -m pip install ncnn"),
    "tensorrt": (TensorRt, "sudo apt install nvidia-jetpack (or, off a Jetson, python3 -m pip install tensorrt)"),
}
