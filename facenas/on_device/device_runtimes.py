"""The runtimes that a device may have, for the agent: compile, time, and the runtime's own rows about its layers.

The rows go to the host unedited; it knows the network's layers. This file is also run on devices: Python 3.8 or later,
numpy, and one of the runtimes.
"""

from __future__ import annotations  # for Python 3.8

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from facenas.on_device.frames import Message

TIME_WARM_UP = 1
LAYERS_WARM_UP = 2


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of this program
    """What was asked cannot be done. `kind` is for the host's program, the message for its user."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def _example_image(shape: list[int]) -> Any:
    import numpy as np

    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


class OnnxRuntime:
    """ONNX Runtime on the CPU."""

    graph_wanted = True

    def __init__(self, precision: str, threads: int) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or it asks its maker's host from the device
        import onnxruntime

        if precision != "fp32":
            raise Refusal("request", f"onnxruntime runs fp32 through the agent, not {precision}")
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
        return model, session, {entry.name: _example_image(entry.shape)}

    def time(self, compiled: Any, runs: int) -> list[int]:
        _, session, feed = compiled
        return _timed(lambda: session.run(None, feed), runs)

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


class OpenVino:
    """OpenVINO on the CPU."""

    graph_wanted = False
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
        return bytes(exported), network.create_infer_request(), {0: _example_image(list(network.inputs[0].shape))}

    def time(self, compiled: Any, runs: int) -> list[int]:
        _, request, feed = compiled
        return _timed(lambda: request.infer(feed, share_inputs=True), runs)

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
    """TensorRT 8.6 and later on the GPU."""

    graph_wanted = False

    def __init__(self, precision: str, threads: int) -> None:
        from facenas.on_device import tensorrt_engine
        from facenas.on_device.cuda_driver import Cuda, CudaError

        self.engines, self.precision = tensorrt_engine, precision
        self.errors = (tensorrt_engine.TensorRtError, CudaError)
        self.timing_cache = b""
        try:
            found = tensorrt_engine.find_package()
            if found is None:
                raise ImportError("no module named tensorrt")
            self.package, self.version = found, found.version
            self.cuda = Cuda()
        except self.errors as error:
            raise Refusal("missing", str(error)) from None

    def compile(self, model: bytes) -> Any:
        kinds = () if self.precision == "fp32" else (self.precision,)
        built = self.engines.build(self.package, model, kinds, timing_cache=self.timing_cache)
        self.timing_cache = built.timing_cache
        engine = self.engines.Engine(self.package, built.plan, self.cuda)
        return engine, _example_image(list(engine.input_shape))

    def time(self, compiled: Any, runs: int) -> list[int]:
        engine, image = compiled
        return engine.time_ns(image, runs, TIME_WARM_UP)  # type: ignore[no-any-return]

    def layers(self, compiled: Any, runs: int, want_graph: bool) -> Message:
        engine, image = compiled
        return {"rows": engine.layers_ns(image, runs, LAYERS_WARM_UP)}, b""

    def facts(self) -> dict[str, Any]:
        """The GPU and the version of CUDA that its driver has."""
        gpu = self.cuda.gpu()
        return {"gpu": f"{gpu.name} (compute capability {gpu.compute_capability})", "cuda_driver": gpu.driver}


def _timed(run: Any, runs: int) -> list[int]:
    for _ in range(TIME_WARM_UP):
        run()
    times = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        run()
        times.append(time.perf_counter_ns() - start)
    return times


# By name, the class, and how its package is installed on a device. `facenas.devices.own_devices` has their precisions.
RUNTIMES = {
    "onnxruntime": (OnnxRuntime, "python3 -m pip install onnxruntime"),
    "openvino": (OpenVino, "python3 -m pip install openvino"),
    "tensorrt": (TensorRt, "sudo apt install nvidia-jetpack (or, off a Jetson, python3 -m pip install tensorrt)"),
}
