"""OpenVINO on the CPU: compile, run, and read the times of layers from its performance counters.

OpenVINO names a fused operation after its convolution, `<layer>/conv/WithoutBiases`, and gives time 0 to what was fused
into it; a reorder carries the names of what it stands between. The precision is always set: left alone, OpenVINO
computes float32 models in bfloat16 where the CPU can.
"""

from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from facenas.arrays import FloatArray
from facenas.devices.target import Target
from facenas.errors import InputError
from facenas.exporters.executed import layers_by_openvino
from facenas.graph import IMAGE
from facenas.runtimes.compiled_model import CompiledModel, LayerTimes, example_image
from facenas.runtimes.fake_quantize import fake_quantize
from facenas.units import Size

# Nanoseconds by node, averaged over all runs since the network was loaded.
Reading = list[tuple[str, int]]

# An int8 model carries its quantisation in the graph; what stays in floating point is then computed as float32.
_PRECISION_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoModel(CompiledModel):
    """A model that is compiled when it is first run or timed.

    For an int8 target the model must carry its quantisation; with `timing_only` made-up ranges will do, and its outputs
    mean nothing. Raises InputError where OpenVINO cannot load the model.
    """

    def __init__(self, model: Path | bytes, target: Target, *, timing_only: bool = False) -> None:
        self._target = target
        self._exported: bytes | None = None
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
        if target.precision == "int8" and not _is_quantized(self._model):
            if not timing_only:
                raise InputError(f"{name} is not quantised, as device {target} needs; export it with --precision int8")
            self._model = fake_quantize(self._model)
        height, width = inputs[0].partial_shape[2], inputs[0].partial_shape[3]
        open_size = height.is_dynamic or width.is_dynamic
        self.input_size = None if open_size else Size(width.get_length(), height.get_length())

    def _compile(self, *, count: bool) -> Any:
        try:
            return self._core.compile_model(self._model, "CPU", self._options(count=count))
        except RuntimeError as error:
            raise InputError(f"OpenVINO cannot compile the model: {_last_line(error)}") from error

    @cached_property
    def _request(self) -> Any:
        return self._compile(count=False).create_infer_request()

    def _counting(self) -> Any:
        """The network with counters that have counted nothing yet: compiled, later loaded in a third of that time."""
        if self._exported is not None:
            return self._core.import_model(self._exported, "CPU", self._options(count=True))
        compiled = self._compile(count=True)
        self._exported = bytes(compiled.export_model().getvalue())
        return compiled

    def _options(self, *, count: bool) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": _PRECISION_HINTS[self._target.precision],
            "INFERENCE_NUM_THREADS": self._target.threads,
            "NUM_STREAMS": 1,
            "PERF_COUNT": count,
            # The process pins itself where that matters; two pins on one core would be worse than none.
            "ENABLE_CPU_PINNING": False,
        }

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """The outputs by name for one image, float32 [1, 3, height, width]. Raises InputError for another shape."""
        try:
            results = self._request.infer({0: image}, share_inputs=True)
        except RuntimeError as error:
            raise InputError(
                f"the model does not take an image of shape {list(image.shape)}: {_last_line(error)}"
            ) from error
        return {output.any_name: np.asarray(values) for output, values in results.items()}

    def computed_in(self) -> dict[str, str]:
        """By layer, the precision of its convolution in the network that OpenVINO made."""
        return layers_by_openvino(self._request.get_compiled_model())

    def layer_times(self, runs: int, warm_up: int = 2) -> LayerTimes:
        """The mean times of all layers, one row, in `runs` runs that follow `warm_up` runs that are not counted.

        OpenVINO tells whole microseconds, averaged over all runs since the network was loaded, its slow first ones
        too. So the network is loaded anew, and the mean of the last runs follows from two readings,

            mean = (n * average(n) - w * average(w)) / (n - w),   n = warm_up + runs, w = warm_up.
        """
        image = example_image(self.timed_size())
        operations = self._model.get_ordered_ops()
        layers = {operation.get_friendly_name().partition("/")[0] for operation in operations} - {IMAGE}
        convolutions = (operation for operation in operations if operation.get_type_name() == "Convolution")
        first_layer = next(convolutions, operations[0]).get_friendly_name().partition("/")[0]
        request = self._counting().create_infer_request()
        readings: list[Reading] = []
        for count in (warm_up, runs):
            for _ in range(count):
                request.infer({0: image}, share_inputs=True)
            counters = request.get_profiling_info()
            readings.append([(row.node_name, round(row.real_time.total_seconds() * 1e6) * 1000) for row in counters])
        return layer_times_of_readings(readings[0], readings[1], layers, first_layer, warm_up, runs)


def _is_quantized(model: openvino.Model) -> bool:
    return any(operation.get_type_name() == "FakeQuantize" for operation in model.get_ops())


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1][:200]


def layer_times_of_readings(
    before: Reading, after: Reading, layers: Collection[str], first_layer: str, warm_up: int, runs: int
) -> LayerTimes:
    """The means of the last `runs` runs, one row, from a reading after `warm_up` runs and one after all (see above)."""
    earlier = _average_ns_by_layer(before, layers, first_layer)
    total = warm_up + runs
    mean_ns = {
        layer: max(0, total * average_ns - warm_up * earlier.get(layer, 0)) // runs
        for layer, average_ns in _average_ns_by_layer(after, layers, first_layer).items()
    }
    overhead_ns = mean_ns.pop(None, 0)
    return LayerTimes(
        tuple(str(layer) for layer in mean_ns),
        np.array([list(mean_ns.values())], np.int64),
        np.array([overhead_ns], np.int64),
    )


def _average_ns_by_layer(counters: Reading, layers: Collection[str], first_layer: str) -> dict[str | None, int]:
    """Nanoseconds by layer; what belongs to none under None. What was merged into another operation tells 0.

    What is done to the image (reordering, quantising) belongs to the first layer.
    """
    times: dict[str | None, int] = {}
    for node_name, duration_ns in counters:
        first = node_name.partition("/")[0]
        layer = first if first in layers else first_layer if first.startswith(IMAGE) else None
        if layer is not None or duration_ns:
            times[layer] = times.get(layer, 0) + duration_ns
    return times
