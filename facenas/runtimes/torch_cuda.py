"""PyTorch on an NVIDIA GPU: the exported graph, operator by operator, replayed as one CUDA graph.

Small detectors take the processor longer to launch than the GPU to compute; a CUDA graph is launched once. Layers are
timed inside such a graph, by events between them that are nodes of the graph (PyTorch 2.8 or later has those). Images
and weights lie channels last, as tensor cores want them; float32 is true float32, without TF32.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from torch.nn import functional

from facenas.arrays import FloatArray, IntArray
from facenas.devices.target import Target
from facenas.errors import InputError
from facenas.runtimes.compiled_model import CompiledModel, LayerTimes, example_image
from facenas.units import Size

_TYPES = {"fp32": torch.float32, "fp16": torch.float16}
_WARM_UP_RUNS = 5  # cuDNN looks for its fastest algorithms in the first of them

Tensor = torch.Tensor
Values = dict[str, Tensor]


@dataclass(frozen=True)
class _Step:
    """One node: the layer it belongs to, what it reads and writes, and how it computes."""

    layer: str
    inputs: tuple[str, ...]
    output: str
    compute: Callable[..., Tensor]


class TorchNetwork:
    """A facenas ONNX graph as PyTorch operators, on any device of PyTorch.

    Raises InputError for an operator that facenas does not export.
    """

    def __init__(self, model: onnx.ModelProto, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.input_name = model.graph.input[0].name
        self.outputs = tuple(output.name for output in model.graph.output)
        self._weights: Values = {
            tensor.name: self._placed(torch.from_numpy(numpy_helper.to_array(tensor).copy()))
            for tensor in model.graph.initializer
        }
        self.steps = tuple(_step(node, self._weights) for node in model.graph.node)
        self.layers = tuple(dict.fromkeys(step.layer for step in self.steps))

    def _placed(self, values: Tensor) -> Tensor:
        layout = torch.channels_last if values.dim() == 4 else torch.contiguous_format
        return values.to(self.device, self.dtype).contiguous(memory_format=layout)

    def image(self, image: FloatArray) -> Tensor:
        """The image where and how the network reads it."""
        return self._placed(torch.from_numpy(image))

    def run(self, image: Tensor, after_layer: Callable[[str], None] | None = None) -> list[Tensor]:
        """The outputs. `after_layer` is told each layer's name when its operators have been issued."""
        values: Values = {self.input_name: image}
        for index, step in enumerate(self.steps):
            values[step.output] = step.compute(*(values[name] for name in step.inputs))
            last = index + 1 == len(self.steps) or self.steps[index + 1].layer != step.layer
            if after_layer is not None and last:
                after_layer(step.layer)
        return [values[name] for name in self.outputs]


def _step(node: onnx.NodeProto, weights: Values) -> _Step:
    attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    inputs = tuple(name for name in node.input if name and name not in weights)
    compute: Callable[..., Tensor]
    match node.op_type:
        case "Conv":
            weight, bias = (weights[name] for name in node.input[1:3])
            stride, padding, groups = attributes["strides"], attributes["pads"][:2], int(attributes.get("group", 1))

            def compute(x: Tensor) -> Tensor:
                return functional.conv2d(x, weight, bias, stride, padding, groups=groups)

        case "Add":
            compute = torch.add
        case "Relu":
            compute = functional.relu
        case "Resize":

            def compute(x: Tensor) -> Tensor:
                return functional.interpolate(x, scale_factor=2.0, mode="nearest")

        case _:
            raise InputError(f"operator {node.op_type} '{node.name}' is none that facenas exports in fp32")
    return _Step(node.name.partition("/")[0], inputs, node.output[0], compute)


class TorchCudaModel(CompiledModel):
    """An fp32 ONNX model on the first GPU, computed in the target's precision.

    Raises InputError where the model cannot be read, leaves its size open or holds an operator that is not known.
    """

    as_graph = True

    def __init__(self, model: Path | bytes, target: Target) -> None:
        name = str(model) if isinstance(model, Path) else "the model"
        try:
            loaded = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(str(model))
        except DecodeError as error:
            raise InputError(f"{name} is no whole ONNX file ({error}); export or copy it again") from error
        if not torch.cuda.is_available():
            raise InputError(f"device '{target}' needs a PyTorch with CUDA; this one is {torch.__version__}")
        height, width = (axis.dim_value for axis in loaded.graph.input[0].type.tensor_type.shape.dim[2:])
        if not (height and width):
            raise InputError(f"{name} leaves its size open, and a CUDA graph has one; export without --dynamic")
        self.input_size = Size(width, height)
        self._network = TorchNetwork(loaded, torch.device("cuda"), _TYPES[target.precision])
        self._image = self._network.image(example_image(self.input_size))
        self._graph, self._outputs = _capture(self._network, self._image, None)

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """The outputs by name for one image, float32 [1, 3, height, width]. Raises InputError for another shape."""
        if image.shape != tuple(self._image.shape):
            raise InputError(f"the model takes {list(self._image.shape)}, not {list(image.shape)}")
        self._image.copy_(torch.from_numpy(np.ascontiguousarray(image)))
        self._graph.replay()
        outputs = [output.float().cpu().numpy() for output in self._outputs]
        return dict(zip(self._network.outputs, outputs, strict=True))

    def time(self, runs: int, warm_up: int = 1, input_size: Size | None = None) -> IntArray:
        """Nanoseconds of each of `runs` runs on the GPU, between CUDA events, int64 [runs]; copies are not counted."""
        self.timed_size(input_size)
        start, end = _timing_event(), _timing_event()
        times = np.empty(warm_up + runs, np.int64)
        for index in range(warm_up + runs):
            start.record()
            self._graph.replay()
            end.record()
            end.synchronize()
            times[index] = _between_ns(start, end)
        return times[warm_up:]

    def layer_times(self, runs: int, warm_up: int = 2) -> LayerTimes:
        """The times of all layers in `runs` runs that follow `warm_up` runs that are not counted.

        Raises InputError where PyTorch has no events inside CUDA graphs.
        """
        names = self._network.layers
        try:
            events = [_timing_event(external=True) for _ in range(len(names) + 1)]
        except TypeError as error:
            raise InputError(
                f"PyTorch {torch.__version__} times no layers in a CUDA graph; install 2.8 or later"
            ) from error
        graph, _ = _capture(self._network, self._image, events)
        rows = np.zeros((warm_up + runs, len(names)), np.int64)
        for index in range(warm_up + runs):
            graph.replay()
            torch.cuda.synchronize()
            rows[index] = [_between_ns(*pair) for pair in pairwise(events)]
        return LayerTimes(names, rows[warm_up:], np.zeros(runs, np.int64))


def _capture(network: TorchNetwork, image: Tensor, events: Sequence[Any] | None) -> tuple[Any, list[Tensor]]:
    """The network as a CUDA graph and the tensors that its outputs are in; `events`: one before, one after each layer."""
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
        side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):  # what is captured must have run before, on a stream of its own
            for _ in range(_WARM_UP_RUNS):
                network.run(image)
        torch.cuda.current_stream().wait_stream(side_stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            if events is None:
                outputs = network.run(image)
            else:
                following = iter(events)
                next(following).record()
                outputs = network.run(image, lambda _: next(following).record())
    return graph, outputs


def _timing_event(**options: bool) -> Any:
    return torch.cuda.Event(enable_timing=True, **options)  # type: ignore[no-untyped-call]


def _between_ns(start: Any, end: Any) -> int:
    return round(float(start.elapsed_time(end)) * 1e6)
