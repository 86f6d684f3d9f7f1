"""How a runtime on a device elsewhere (`facenas.on_device.device_runtimes`) is asked and understood; each function imports its
runtime's module when it is needed.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facenas.runtimes.compiled_model import LayerTimes
from facenas.runtimes.tensorrt_layers import Works

if TYPE_CHECKING:
    import onnx

Reply = Mapping[str, Any]
LayersOfNodes = Mapping[str, str]


@dataclass(frozen=True)
class Elsewhere:
    """How a runtime on a device elsewhere (`facenas.on_device.device_runtimes`) is asked and understood.

    layer_times(reply, works, layers_of_nodes, runs): the rows of its reply as times of layers, which `works` names in the
    graph's order with their work (`tensorrt_layers.work_of`); layers_of_nodes(graph, layers): what the graph that it made
    says of its nodes, where it sends one; stand_in(model, precision, version): an fp32 ONNX model as what a
    version of the runtime is sent in that precision, for timing only. Without `layer_times` it is timed by whole networks.
    """

    layer_times: Callable[[Reply, Works, LayersOfNodes, int], LayerTimes] | None = None
    layers_of_nodes: Callable[[bytes, Sequence[str]], LayersOfNodes] = lambda graph, layers: {}
    stand_in: Callable[["onnx.ModelProto", str, str], bytes] = lambda model, precision, version: (
        model.SerializeToString()
    )


def onnxruntime_layers(reply: Reply, _: Works, layers_of_nodes: LayersOfNodes, runs: int) -> LayerTimes:
    """From the events of ONNX Runtime's profile."""
    from facenas.runtimes.onnxruntime_cpu import layer_times_of_events

    return layer_times_of_events(reply["events"], layers_of_nodes, reply["warm_up"])


def onnxruntime_stand_in(model: "onnx.ModelProto", precision: str, version: str) -> bytes:
    """An ONNX file, for int8 quantised with the ranges of a random image."""
    from facenas.runtimes.onnxruntime_cpu import as_int8

    content = bytes(model.SerializeToString())
    if precision != "int8":
        return content
    stand_in = as_int8(content, timing_only=True)
    assert isinstance(stand_in, bytes)
    return stand_in


def onnxruntime_nodes(graph: bytes, layers: Sequence[str]) -> LayersOfNodes:
    """From the optimised graph, an ONNX file, the layer of each of its nodes."""
    from facenas.runtimes.onnxruntime_cpu import layers_of_nodes

    return layers_of_nodes(graph, layers)


def openvino_layers(reply: Reply, works: Works, _: LayersOfNodes, runs: int) -> LayerTimes:
    """From OpenVINO's mean times before and after `runs` runs: one row, their mean."""
    from facenas.runtimes.openvino_cpu import layer_times_of_readings

    layers = tuple(works)
    before, after = ([(str(name), int(ns)) for name, ns in reply[key]] for key in ("before", "after"))
    return layer_times_of_readings(before, after, layers, layers[0], reply["warm_up"], runs)


def tensorrt_layers(reply: Reply, works: Works, told: LayersOfNodes, runs: int) -> LayerTimes:
    """From TensorRT's nanoseconds by kernel; `told`: its inspector's words of each."""
    from facenas.runtimes.tensorrt_gpu import layer_times_of

    return layer_times_of(reply["rows"], works, told)


def tensorrt_nodes(told: bytes, _: Sequence[str]) -> LayersOfNodes:
    """The inspector's words of each kernel, from JSON."""
    return {str(name): str(nodes) for name, nodes in json.loads(told).items()}


def tensorrt_stand_in(model: "onnx.ModelProto", precision: str, version: str) -> bytes:
    """An ONNX file as that version of TensorRT takes it in the precision."""
    from facenas.runtimes.tensorrt_gpu import stand_in

    return bytes(stand_in(model, precision, version).SerializeToString())


def litert_stand_in(model: "onnx.ModelProto", precision: str, version: str) -> bytes:
    """A TensorFlow Lite file in int8, whatever the precision."""
    from facenas.exporters.tflite_graph import timing_stand_in

    return timing_stand_in(model.SerializeToString())[0]


def ncnn_stand_in(model: "onnx.ModelProto", precision: str, version: str) -> bytes:
    """ncnn's two files as one, as `on_device.uncounted_runtimes.Ncnn` takes them apart."""
    from facenas.exporters.ncnn import packed

    return packed(model, precision)
