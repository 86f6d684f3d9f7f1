"""TensorRT on an NVIDIA GPU: compile, run, time between CUDA events, and read the times of layers from its profiler."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from facenas.arrays import FloatArray, IntArray
from facenas.devices.target import Target
from facenas.errors import InputError
from facenas.exporters.formats import format_of
from facenas.exporters.tensorrt import (
    FLAVOURS_OF_RUNTIMES,
    build_plan,
    int8_dialect,
    precision_of,
    read_engine,
    require_package,
)
from facenas.graph import build_graph
from facenas.on_device.cuda_driver import Cuda, CudaError
from facenas.on_device.tensorrt_engine import Engine, Package, TensorRtError
from facenas.runtimes.compiled_model import CompiledModel, LayerTimes, example_image
from facenas.runtimes.tensorrt_layers import VALUE_MACS, Works, times_by_layer, work_of
from facenas.units import Size

MAX_UNATTRIBUTED = 0.1
"""Of a network's time, what may belong to no layer: with more, the operators' times would be too short by that."""


class TensorRtModel(CompiledModel):
    """An .engine file that facenas exported on this machine, or an ONNX model that is built here.

    Its precision must be the target's; with `timing_only` a float32 graph stands for the one that it would become.
    Raises InputError where there is no GPU, the engine is of another machine, or TensorRT refuses the model.
    """

    def __init__(
        self,
        model: Path | bytes,
        target: Target,
        *,
        timing_only: bool = False,
        open_gpu: Callable[[], Cuda] = Cuda,
        load_engine: Callable[[Package, bytes, Cuda], Engine] = Engine,
    ) -> None:
        package = require_package(FLAVOURS_OF_RUNTIMES[target.runtime])
        name = str(model) if isinstance(model, Path) else "the model"
        try:
            cuda = open_gpu()
            if isinstance(model, Path) and format_of(model).name == "trt":
                description, plan = read_engine(model, package, cuda.gpu())
                graph = build_graph(description.detector, description.input_size)
                self._works: Works = {layer.name: work_of(layer.operator) for layer in graph.layers}
                _require_precision(description.precision, target, name)
            else:
                given = onnx.load_from_string(model.read_bytes() if isinstance(model, Path) else model)
                self._works = _works_of_nodes(given)
                converted = stand_in(given, target.precision, _version(package)) if timing_only else given
                _require_precision(precision_of(converted), target, name)
                content = converted.SerializeToString()
                plan = build_plan(package, content, target.precision, cuda.gpu(), detailed=timing_only)
            self._engine = load_engine(package, plan, cuda)
        except DecodeError as error:
            raise InputError(f"{name} is no whole ONNX file ({error}); export or copy it again") from error
        except (TensorRtError, CudaError) as error:
            raise InputError(f"{name} cannot be loaded by TensorRT {package.version}: {error}") from error
        shape = self._engine.input_shape
        if len(shape) != 4:
            raise InputError(f"{name} has an input of shape {list(shape)}; a detector has [1, 3, height, width]")
        self.input_size = Size(shape[3], shape[2])

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """The outputs by name for one image, float32 [1, 3, height, width]. Raises InputError for another shape."""
        try:
            return self._engine.run(image)
        except (TensorRtError, CudaError) as error:
            raise InputError(f"the engine does not take this image: {error}") from error

    def time(self, runs: int, warm_up: int = 1, input_size: Size | None = None) -> IntArray:
        """Nanoseconds of each of `runs` runs on the GPU, between CUDA events, int64 [runs]; copies are not counted."""
        times = self._engine.time_ns(example_image(self.timed_size(input_size)), runs, warm_up)
        self.as_graph = self._engine.as_graph
        return np.array(times, np.int64)

    def layer_times(self, runs: int, warm_up: int = 2) -> LayerTimes:
        """The times of all layers in `runs` runs that follow `warm_up` runs that are not counted.

        Raises InputError where TensorRT does not tell of which layers its kernels are.
        """
        try:
            rows = self._engine.layers_ns(example_image(self.timed_size()), runs, warm_up)
        except (TensorRtError, CudaError) as error:
            raise InputError(f"TensorRT does not tell the times of layers: {error}") from error
        return layer_times_of(rows, self._works, self._engine.nodes_of_layers())


def _version(package: Package) -> str:
    return f"{package.flavour} {package.version}"


def _require_precision(precision: str, target: Target, name: str) -> None:
    if precision != target.precision:
        raise InputError(
            f"{name} is {precision}, device {target} computes {target.precision}; export it with "
            f"--precision {target.precision}"
        )


def layer_times_of(rows: list[dict[str, int]], works: Works, told: Mapping[str, str]) -> LayerTimes:
    """Per-layer times from nanoseconds by TensorRT's names, one dictionary a run; `told`: the inspector's words by name.

    A layer that was fused into another has time 0. Raises InputError where more than a tenth belongs to no layer.
    """
    attributed = [times_by_layer(row, works, told) for row in rows]
    layers = tuple(works)
    times_ns = np.array([[times.get(layer, 0) for layer in layers] for times, _ in attributed], np.int64)
    overhead_ns = np.array([overhead_ns for _, overhead_ns in attributed], np.int64)
    share = overhead_ns.sum() / max(1, overhead_ns.sum() + times_ns.sum())
    if share > MAX_UNATTRIBUTED:
        largest = max((name for row in rows for name in row), key=lambda name: rows[0].get(name, 0))
        raise InputError(
            f"TensorRT does not tell of which layers {share:.0%} of the time are (its compiler took them; the longest is "
            f"'{largest[:80]}'); only `time` works. TensorRT 8.6 and later tell more"
        )
    return LayerTimes(layers, times_ns, overhead_ns)


def _works_of_nodes(model: onnx.ModelProto) -> Works:
    """The facenas layers of a model in its order, with their work: nodes are named `<layer>` or `<layer>/<step>`."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.value_info, *graph.output)
    sizes = {value.name: int(np.prod([d.dim_value for d in value.type.tensor_type.shape.dim])) for value in values}
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    works: dict[str, int] = {}
    for node in graph.node:
        layer, written = node.name.partition("/")[0], sizes.get(node.output[0], 0)
        if node.op_type == "Conv":
            macs_per_value = int(np.prod(weights.get(node.input[1], (1,))[1:]))
            works[layer] = written * (macs_per_value + VALUE_MACS)
        elif node.op_type == "Resize":
            works[layer] = written * VALUE_MACS
    return works


def stand_in(model: onnx.ModelProto, precision: str, version: str) -> onnx.ModelProto:
    """A float32 graph in a precision as a version of TensorRT wants it, for timing only; any other graph as it is.

    The ranges of an int8 graph are then those of a random image: latency does not depend on them.
    """
    if precision_of(model) != "fp32":
        return model
    match precision:
        case "fp16":
            from facenas.exporters.onnx_half import halved

            return halved(model)
        case "int8":
            from facenas.exporters.onnx_int8 import insert_pairs

            height, width = (axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim[2:])
            return insert_pairs(model, [example_image(Size(width, height))], int8_dialect(version))
        case _:
            return model
