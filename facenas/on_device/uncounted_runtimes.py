"""Runtimes of a device that tell no times of layers: networks are timed end to end.

This file is also run on devices: Python 3.8 or later, numpy, and one of the runtimes.
"""

from __future__ import annotations  # for Python 3.8

import sys
import tempfile
from pathlib import Path
from typing import Any

from facenas.on_device.device_runtime import OnCpu, Refusal, example_image, timed
from facenas.on_device.frames import Message


class WithoutCounters(OnCpu):
    """One that is timed by whole networks only."""

    graph_wanted, forms = False, ()  # networks are timed, files are not run
    errors = (RuntimeError, ValueError)

    def layers(self, compiled: Any, runs: int, want_graph: bool) -> Message:
        raise Refusal("request", f"{type(self).__name__} tells no times of layers")


class LiteRt(WithoutCounters):
    """LiteRT, or TensorFlow Lite's runtime as it was called before."""

    def __init__(self, precision: str, threads: int) -> None:
        try:
            from ai_edge_litert import interpreter
        except ImportError:
            from tflite_runtime import interpreter
        if precision != "int8":
            raise Refusal("request", f"LiteRT runs int8 through the agent, not {precision}")
        self.interpreter, self.threads = interpreter.Interpreter, threads
        package = sys.modules[interpreter.__name__.partition(".")[0]]
        self.version = str(getattr(package, "__version__", "unknown"))

    def compile(self, model: bytes) -> Any:
        interpreter = self.interpreter(model_content=model, num_threads=self.threads)
        interpreter.allocate_tensors()
        return interpreter

    def time(self, compiled: Any, runs: int) -> dict[str, Any]:
        return {"times_ns": timed(compiled.invoke, runs)}


class Ncnn(WithoutCounters):
    """ncnn on the CPU."""

    def __init__(self, precision: str, threads: int) -> None:
        import ncnn

        self.module, self.version = ncnn, str(ncnn.__version__)
        self.threads, self.half = threads, precision == "fp16"

    def compile(self, model: bytes) -> Any:
        start = 8 + int.from_bytes(model[:8], "little")
        net, text = self.module.Net(), model[8:start].decode()
        net.opt.num_threads, net.opt.use_vulkan_compute = self.threads, False
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = self.half
        with tempfile.NamedTemporaryFile(dir=str(Path(sys.argv[0]).resolve().parent)) as weights:
            weights.write(model[start:])
            weights.flush()
            if net.load_param_mem(text) or net.load_model(weights.name):
                raise ValueError("ncnn cannot load the network")
        words = text.splitlines()[2].split()
        width, height, channels = (int(key.partition("=")[2]) for key in words[5:8])
        image = example_image([channels, height, width])  # ncnn reads it where it is, so it is kept
        return net, words[1], image, self.module.Mat(image)

    def time(self, compiled: Any, runs: int) -> dict[str, Any]:
        net, name, _, image = compiled

        def run() -> None:
            extractor = net.create_extractor()
            extractor.input(name, image)
            for output in net.output_names():
                extractor.extract(output)

        return {"times_ns": timed(run, runs)}
