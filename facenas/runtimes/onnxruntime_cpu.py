"""ONNX Runtime on the CPU: compile, run, and read the times of layers from its profile.

ONNX Runtime rewrites the graph: a convolution takes in the ReLU and the addition that follow it and a channel-blocked
layout, and reorders are put where layouts change. A rewritten node keeps the name of one node that it came from, with
`_nchwc` added; `facenas.exporters.onnx_graph` names nodes `<layer>` or `<layer>/<step>`, so the layer is read off it. A
reorder belongs to the layer whose output it reorders (for the image: to the layer that wants it reordered).
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Collection, Mapping
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from google.protobuf.message import DecodeError
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from facenas.arrays import FloatArray
from facenas.devices.target import Target
from facenas.errors import InputError
from facenas.exporters.executed import layers_by_onnxruntime
from facenas.runtimes.compiled_model import CompiledModel, LayerTimes, example_image
from facenas.units import Size

# ONNX Runtime's errors share no base class.
_COMPILE_ERRORS = (
    runtime_errors.Fail,
    runtime_errors.InvalidArgument,
    runtime_errors.InvalidGraph,
    runtime_errors.InvalidProtobuf,
    runtime_errors.NoModel,
    runtime_errors.NotImplemented,
    runtime_errors.RuntimeException,
    ValueError,  # names in the file that are no text
)
_ERROR_LEVEL = 3
_KERNEL = "_kernel_time"
_PAIR = ("QuantizeLinear", "DequantizeLinear")


class OnnxRuntimeModel(CompiledModel):
    """An ONNX model in one inference session. Raises InputError where ONNX Runtime cannot load it."""

    def __init__(self, model: Path | bytes, target: Target) -> None:
        self._model = model if isinstance(model, bytes) else str(model)
        self._target = target
        self._layer_of_node: dict[str, str] | None = None
        self._session = self._compile(onnxruntime.SessionOptions())
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            shapes = ", ".join(f"{entry.name} {entry.shape}" for entry in inputs)
            raise InputError(
                f"the model has inputs {shapes or 'none'}; a detector has one of shape [1, 3, height, width]"
            )
        self._input_name = inputs[0].name
        height, width = inputs[0].shape[2:]
        self.input_size = Size(width, height) if isinstance(height, int) and isinstance(width, int) else None

    def _compile(self, options: Any) -> Any:
        options.intra_op_num_threads = self._target.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _ERROR_LEVEL
        try:
            # Falling back, to the same provider, would only print to stdout.
            providers = ["CPUExecutionProvider"]
            return onnxruntime.InferenceSession(self._model, options, providers=providers, enable_fallback=0)
        except _COMPILE_ERRORS as error:
            name = "the model" if isinstance(self._model, bytes) else self._model
            raise InputError(
                f"{name} cannot be loaded by ONNX Runtime: {_first_line(error)}; export it again"
            ) from error

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """The outputs by name for one image, float32 [1, 3, height, width]. Raises InputError for another shape."""
        try:
            outputs = self._session.run(None, {self._input_name: image})
        except (runtime_errors.InvalidArgument, runtime_errors.Fail, runtime_errors.RuntimeException) as error:
            raise InputError(
                f"the model does not take an image of shape {list(image.shape)}: {_first_line(error)}"
            ) from error
        names = (entry.name for entry in self._session.get_outputs())
        return {name: np.asarray(output) for name, output in zip(names, outputs, strict=True)}

    def computed_in(self) -> dict[str, str]:
        """By layer, the precision of its convolution in the graph that ONNX Runtime made."""
        import onnx

        with tempfile.TemporaryDirectory(prefix="facenas-") as folder:
            options = onnxruntime.SessionOptions()
            options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
            self._compile(options)
            return layers_by_onnxruntime(onnx.load(options.optimized_model_filepath))

    def layer_times(self, runs: int, warm_up: int = 2) -> LayerTimes:
        """The times of all layers in `runs` runs that follow `warm_up` runs that are not counted."""
        with tempfile.TemporaryDirectory(prefix="facenas-") as folder:
            options = onnxruntime.SessionOptions()
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder, "profile"))
            optimized = Path(folder, "optimized.onnx")
            if self._layer_of_node is None:
                options.optimized_model_filepath = str(optimized)
            session = self._compile(options)
            image = example_image(self.timed_size())
            for _ in range(warm_up + runs):
                session.run(None, {self._input_name: image})
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
            if self._layer_of_node is None:
                layers = {name.partition("/")[0] for name in self._node_names()}
                self._layer_of_node = layers_of_nodes(optimized.read_bytes(), layers)
        return layer_times_of_events(events, self._layer_of_node, warm_up)

    def _node_names(self) -> list[str]:
        import onnx

        model = onnx.load_from_string(self._model) if isinstance(self._model, bytes) else onnx.load(self._model)
        return [node.name for node in model.graph.node if node.op_type not in _PAIR]


def as_int8(model: Path | bytes, *, timing_only: bool) -> Path | bytes:
    """The model itself where it is quantised. Else, with `timing_only`, it is quantised with the ranges of a random image.

    Raises InputError for a float model that is not for timing only.
    """
    import onnx

    try:
        content = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)
    except DecodeError:
        return model  # ONNX Runtime says what is wrong with it
    if any(node.op_type in _PAIR for node in content.graph.node) or not content.graph.node:
        return model
    if not timing_only:
        name = "the model" if isinstance(model, bytes) else str(model)
        raise InputError(f"{name} is not quantised, as an int8 device needs; export it with --precision int8")
    from facenas.exporters.onnx_int8 import insert_pairs

    height, width = (axis.dim_value for axis in content.graph.input[0].type.tensor_type.shape.dim[2:])
    return bytes(insert_pairs(content, [example_image(Size(width, height))], "onnxruntime").SerializeToString())


def _first_line(error: Exception) -> str:
    """What went wrong, without the file's name, which the caller says."""
    line = str(error).strip().splitlines()[0]
    return (line.partition("failed:")[2] or line)[:200]


def layers_of_nodes(optimized: bytes, layers: Collection[str]) -> dict[str, str]:
    """For each node of the optimised ONNX model the layer, of `layers`, that it belongs to, where there is one."""
    import onnx

    nodes = onnx.load_from_string(optimized).graph.node
    producers = {output: node for node in nodes for output in node.output}
    consumers = defaultdict(list)
    for node in nodes:
        for name in node.input:
            consumers[name].append(node)
    found: dict[str, str] = {}
    for node in nodes:
        layer = node.name.removesuffix("_nchwc").partition("/")[0]
        if layer in layers:
            found[node.name] = layer
    # What stands between two reorders takes a second look, and so on: in passes over the nodes in their order, each of which
    # asks those only that have a neighbour whose layer is known by then.
    place = {node.name: index for index, node in enumerate(nodes)}

    def neighbours(node: Any) -> list[Any]:
        before = [producers[name] for name in node.input if name in producers]
        return before + [after for name in node.output for after in consumers[name]]

    def ask(of: Any) -> set[int]:
        return {place[other.name] for other in neighbours(of) if other.name not in found}

    waiting = set().union(*(ask(node) for node in nodes if node.name in found))
    while waiting:
        this_pass, waiting = sorted(waiting), set()
        while this_pass:
            index = heappop(this_pass)
            node = nodes[index]
            if node.name in found:
                continue
            owner = next((found[other.name] for other in neighbours(node) if other.name in found), None)
            if owner is not None:
                found[node.name] = owner
                for other in ask(node):
                    if other > index:
                        heappush(this_pass, other)
                    else:
                        waiting.add(other)
    return found


def layer_times_of_events(events: list[dict[str, Any]], layer_of_node: Mapping[str, str], warm_up: int) -> LayerTimes:
    """Sums of the kernels' durations by layer and run, from the events of a profile: it lists one run after another."""
    runs = sorted((event["ts"], event["dur"]) for event in events if event["name"] == "model_run")
    kernels = [event for event in events if event.get("cat") == "Node" and event["name"].endswith(_KERNEL)]
    names = tuple(dict.fromkeys(layer_of_node.values()))
    columns = {name: index for index, name in enumerate(names)}
    times = np.zeros((len(runs), len(names)), np.int64)
    overhead = np.zeros(len(runs), np.int64)
    row = np.searchsorted([start for start, _ in runs], [event["ts"] for event in kernels], side="right") - 1
    for index, event in zip(row, kernels, strict=True):
        layer = layer_of_node.get(event["name"].removesuffix(_KERNEL))
        if layer is None:
            overhead[index] += event["dur"] * 1000
        else:
            times[index, columns[layer]] += event["dur"] * 1000
    return LayerTimes(names, times[warm_up:], overhead[warm_up:])
