"""OpenVINO on the CPU: compile, run, and read the times of layers from its performance counters.

OpenVINO names a fused operation after its convolution, `<layer>/conv/WithoutBiases`, and gives time 0 to what was fused
into it; a reorder carries the names of what it stands between. The precision is always set: left alone, OpenVINO
computes float32 models in bfloat16 where the CPU can.
"""

import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from facenas.devices.runtimes import CompiledModel, FloatArray, LayerTimes, example_image
from facenas.devices.targets import Target
from facenas.errors import InputError
from facenas.units import Size

# An int8 model carries its quantisation in the graph; what stays in floating point is then computed as float32.
_PRECISION_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoModel(CompiledModel):
    """A model that is compiled when it is first run or timed. Raises InputError where OpenVINO cannot load it."""

    def __init__(self, model: Path | bytes, target: Target) -> None:
        self._target = target
        self._core = openvino.Core()
        name = str(model) if isinstance(model, Path) else "the model"
        try:
            self._model = self._core.read_model(model)
        except RuntimeError as error:
            raise InputError(f"{name} cannot be loaded by OpenVINO: {_last_line(error)}") from error
        inputs = self._model.inputs
        if len(inputs) != 1 or len(inputs[0].partial_shape) != 4:
            shapes = ", ".join(f"{entry.any_name} {entry.partial_shape}" for entry in inputs)
            raise InputError(f"{name} has inputs {shapes or 'none'}; a detector has one of shape [1, 3, height, width]")
        height, width = inputs[0].partial_shape[2], inputs[0].partial_shape[3]
        open_size = height.is_dynamic or width.is_dynamic
        self.input_size = None if open_size else Size(width.get_length(), height.get_length())

    @cached_property
    def _request(self) -> Any:
        return self._compile(count=False)

    @cached_property
    def _counting_request(self) -> Any:
        return self._compile(count=True)

    def _compile(self, *, count: bool) -> Any:
        options = {
            "INFERENCE_PRECISION_HINT": _PRECISION_HINTS[self._target.precision],
            "INFERENCE_NUM_THREADS": self._target.threads,
            "NUM_STREAMS": 1,
            "PERF_COUNT": count,
            # The process pins itself where that matters; two pins on one core would be worse than none.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            return self._core.compile_model(self._model, "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise InputError(f"OpenVINO cannot compile the model: {_last_line(error)}") from error

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """The outputs by name for one image, float32 [1, 3, height, width]. Raises InputError for another shape."""
        try:
            results = self._request.infer({0: image}, share_inputs=True)
        except RuntimeError as error:
            raise InputError(
                f"the model does not take an image of shape {list(image.shape)}: {_last_line(error)}"
            ) from error
        return {output.any_name: np.asarray(values) for output, values in results.items()}

    def layer_times(self, runs: int, warm_up: int = 1) -> LayerTimes:
        """The times of all layers in `runs` runs that follow `warm_up` runs that are not counted."""
        request = self._counting_request
        image = example_image(self.timed_size())
        layers = {operation.get_friendly_name().partition("/")[0]: None for operation in self._model.get_ordered_ops()}
        samples: list[dict[str, int]] = []
        overheads: list[int] = []
        durations: list[int] = []
        for index in range(warm_up + runs):
            start = time.perf_counter_ns()
            request.infer({0: image}, share_inputs=True)
            duration = time.perf_counter_ns() - start
            if index >= warm_up:
                durations.append(duration)
                times, overhead = _times_by_layer(request.get_profiling_info(), layers)
                samples.append(times)
                overheads.append(overhead)
        names = tuple(samples[0])
        rows = [[sample[name] for name in names] for sample in samples]
        # Measured: a run with counters takes as long as one without.
        end_to_end = np.array(durations, np.int64)
        return LayerTimes(names, np.array(rows, np.int64), np.array(overheads, np.int64), end_to_end)


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1][:200]


def _times_by_layer(counters: Any, layers: dict[str, None]) -> tuple[dict[str, int], int]:
    """Nanoseconds by layer, and those of no layer."""
    times: dict[str, int] = {}
    overhead = 0
    for counter in counters:
        duration_ns = round(counter.real_time.total_seconds() * 1e6) * 1000
        layer = _layer_of(counter.node_name, layers)
        if layer is not None and counter.status == openvino.ProfilingInfo.Status.EXECUTED:
            times[layer] = times.get(layer, 0) + duration_ns
        else:
            overhead += duration_ns
    return times, overhead


def _layer_of(node_name: str, layers: dict[str, None]) -> str | None:
    """The layer of a node: by the first part of its name, or, for the image's reorder, by the end of that part."""
    first = node_name.partition("/")[0]
    if first in layers:
        return first
    return max((layer for layer in layers if first.endswith(f"_{layer}")), key=len, default=None)
