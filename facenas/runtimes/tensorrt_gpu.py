"""TensorRT on an NVIDIA GPU: compile, run, time between CUDA events, and read the times of layers from its profiler."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from facenas.arrays import FloatArray, IntArray
from facenas.devices.target import Target
from facenas.errors import InputError
from facenas.exporters.formats import format_of
from facenas.exporters.tensorrt import build_plan, precision_of, read_engine, require_package
from facenas.graph import build_graph
from facenas.on_device.cuda_driver import Cuda, CudaError
from facenas.on_device.tensorrt_engine import Engine, Package, TensorRtError
from facenas.runtimes.compiled_model import CompiledModel, LayerTimes, example_image
from facenas.runtimes.tensorrt_layers import times_by_layer
from facenas.units import Size


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
        package = require_package()
        name = str(model) if isinstance(model, Path) else "the model"
        try:
            cuda = open_gpu()
            if isinstance(model, Path) and format_of(model).name == "trt":
                description, plan = read_engine(model, package, cuda.gpu())
                graph = build_graph(description.detector, description.input_size)
                self._layers = tuple(layer.name for layer in graph.layers)
                _require_precision(description.precision, target, name)
            else:
                given = onnx.load_from_string(model.read_bytes() if isinstance(model, Path) else model)
                self._layers = _layers_of_nodes(given)
                converted = stand_in(given, target.precision) if timing_only else given
                _require_precision(precision_of(converted), target, name)
                plan = build_plan(package, converted.SerializeToString(), target.precision)
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
        return np.array(times, np.int64)

    def layer_times(self, runs: int, warm_up: int = 2) -> LayerTimes:
        """The times of all layers in `runs` runs that follow `warm_up` runs that are not counted.

        Raises InputError where TensorRT compiled the network as a whole, so that its layers have no times.
        """
        rows = self._engine.layers_ns(example_image(self.timed_size()), runs, warm_up)
        return layer_times_of(rows, self._layers)


def _require_precision(precision: str, target: Target, name: str) -> None:
    if precision != target.precision:
        raise InputError(
            f"{name} is {precision}, device {target} computes {target.precision}; export it with "
            f"--precision {target.precision}"
        )


def layer_times_of(rows: list[dict[str, int]], layers: tuple[str, ...]) -> LayerTimes:
    """Per-layer times from nanoseconds by TensorRT's names, one dictionary a run.

    A layer that was fused into another has time 0. Raises InputError where no name is that of a layer.
    """
    attributed = [times_by_layer(row, layers) for row in rows]
    if not any(times for times, _ in attributed):
        raise InputError("TensorRT compiled the network as a whole and tells no times of layers; only `time` works")
    return LayerTimes(
        layers,
        np.array([[times.get(layer, 0) for layer in layers] for times, _ in attributed], np.int64),
        np.array([overhead_ns for _, overhead_ns in attributed], np.int64),
    )


def _layers_of_nodes(model: onnx.ModelProto) -> tuple[str, ...]:
    """The facenas layers of a model in its order: nodes are named `<layer>` or `<layer>/<step>`."""
    kinds = ("Conv", "Resize")
    return tuple(dict.fromkeys(node.name.partition("/")[0] for node in model.graph.node if node.op_type in kinds))


def stand_in(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """A float32 graph in a precision, for timing only; any other graph as it is.

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
            return insert_pairs(model, [example_image(Size(width, height))], "tensorrt")
        case _:
            return model
