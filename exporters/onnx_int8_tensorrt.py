"""int8 for TensorRT: QuantizeLinear and DequantizeLinear pairs where its builder fuses them, half precision around them.

Ranges are symmetric, because TensorRT knows no zero point, and signed also for what a ReLU leaves (an unsigned pair is
taken for a signed one). So where a tensor's range ends decides: with x the values that calibration photos give, the range
ends at the t that makes the squared error

    E(t) = sum (x - t / 127 * clip(round(x / t * 127), -128, 127))^2

least, over a histogram of |x|. Weights have a range for each output channel, found in the same way.

Pairs stand on every convolution's own input and weight, and on that input of an addition that is not of its own layer (the
skip branch), so that the layer's convolution, addition and ReLU are one kernel. Biases stay in floating point. Two
kinds of convolution are left in half precision: the one that reads the image, whose three channels no int8 kernel is
fast for, and those that write the outputs, whose errors no later layer forgives.

`facenas-12ms` on 100 photos of WIDER FACE, ranges from 128 synthetic ones: 98 % of the boxes have a partner and average
precision drops by .003 at most; with ranges that end where 99.99 % of the values do, and pairs everywhere, 82 % and .012.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from facenas.arrays import Float64Array, FloatArray
from facenas.errors import InputError
from facenas.graph import IMAGE

HALF_OPSET = 19
"""From this one on pairs may stand in half precision."""

_BINS = 2048
_STEPS = 127.0
# Ends that are tried, as shares of the largest value.
_SHARES = np.concatenate([np.linspace(0.02, 0.2, 37), np.linspace(0.21, 1.0, 80)])


def insert_pairs(model: onnx.ModelProto, images: Iterable[FloatArray], *, half: bool) -> onnx.ModelProto:
    """An int8 copy of an fp32 model with the ranges that `images`, float32 [1, 3, height, width], give.

    `half`: what is not quantised is computed in half precision by the graph's own types, as strongly typed networks
    (TensorRT 10 and later) want it; before, the builder decides. Raises InputError where an image is not finite.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    quantised = _places(copy)
    ranges = _ranges(model, {name for names in quantised.values() for name in names}, images)
    if half:
        from facenas.exporters.onnx_half import halved

        copy = halved(copy)
        del copy.opset_import[:]
        copy.opset_import.append(helper.make_opsetid("", HALF_OPSET))
        copy.ir_version = max(copy.ir_version, 9)
    kind = np.float16 if half else np.float32
    weights = {tensor.name: tensor for tensor in copy.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in copy.graph.node:
        layer = node.name.partition("/")[0]
        for index, name in enumerate(node.input):
            source = name.removesuffix("/half")
            if source in quantised.get(node.name, ()):
                scale = np.array(ranges[source] / _STEPS, kind)
                nodes += _pair(copy.graph, name, f"{node.name}/{index}", scale, axis=None)
                node.input[index] = f"{node.name}/{index}/dequantized"
        if node.op_type == "Conv" and node.name in quantised:
            weight = numpy_helper.to_array(weights[node.input[1]]).astype(np.float64)
            scale = (_ends_of_channels(weight) / _STEPS).astype(kind)
            nodes += _pair(copy.graph, node.input[1], f"{layer}/weight", scale, axis=0)
            node.input[1] = f"{layer}/weight/dequantized"
        nodes.append(node)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _places(model: onnx.ModelProto) -> dict[str, tuple[str, ...]]:
    """By the name of a node, which of its inputs get pairs."""
    nodes = model.graph.node
    outputs = {value.name for value in model.graph.output}
    layer_of = {name: node.name.partition("/")[0] for node in nodes for name in node.output}
    places: dict[str, tuple[str, ...]] = {}
    for node in nodes:
        if node.op_type == "Conv" and node.input[0] != IMAGE and not outputs & set(node.output):
            places[node.name] = (node.input[0],)
        elif node.op_type == "Add":
            layer = node.name.partition("/")[0]
            places[node.name] = tuple(name for name in node.input if layer_of.get(name) != layer)
    return places


def _pair(graph: onnx.GraphProto, name: str, place: str, scale: Any, axis: int | None) -> Iterator[onnx.NodeProto]:
    zeros = np.zeros(scale.shape, np.int8)
    for values, what in ((scale, "scale"), (zeros, "zero")):
        graph.initializer.append(numpy_helper.from_array(np.asarray(values), f"{place}/{what}"))
    along: dict[str, Any] = {} if axis is None else {"axis": axis}
    given = [f"{place}/scale", f"{place}/zero"]
    for source, to, kind in (
        (name, "quantized", "QuantizeLinear"),
        (f"{place}/quantized", "dequantized", "DequantizeLinear"),
    ):
        yield helper.make_node(kind, [source, *given], [f"{place}/{to}"], name=f"{place}/{to}", **along)


def _ranges(model: onnx.ModelProto, names: set[str], images: Iterable[FloatArray]) -> dict[str, float]:
    """For each tensor of the model the end of its range."""
    import onnxruntime
    from facenas.exporters.onnx import with_layers

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    listed = sorted(names)
    content = with_layers(model, listed).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    histograms = {name: _Histogram() for name in listed}
    for image in images:
        for name, values in zip(listed, session.run(listed, {IMAGE: image}), strict=True):
            if not np.isfinite(values).all():
                raise InputError(f"a calibration photo makes layer '{name}' infinite; leave it out")
            histograms[name].add(np.abs(values))
    return {name: histogram.end() for name, histogram in histograms.items()}


class _Histogram:
    """Of magnitudes; it grows by doubling its width, so that what was counted stays counted."""

    def __init__(self) -> None:
        self.counts: Float64Array = np.zeros(_BINS)
        self.width = 0.0

    def add(self, magnitudes: FloatArray) -> None:
        largest = float(magnitudes.max(initial=0.0))
        if not self.width:
            self.width = largest
        while self.width < largest:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(_BINS // 2)])
            self.width *= 2
        if self.width:
            self.counts += np.histogram(magnitudes, _BINS, (0.0, self.width))[0]

    def end(self) -> float:
        """Where the range ends; 1 where all values are 0."""
        used = int(np.flatnonzero(self.counts)[-1]) + 1 if self.counts.any() else 0
        if not used or not self.width:
            return 1.0
        values = (np.arange(used) + 0.5) * self.width / _BINS
        return float(values[-1] * _SHARES[_errors(values, self.counts[:used]).argmin()])


def _errors(values: Float64Array, counts: Float64Array) -> Float64Array:
    """E(t) for every end that is tried, [shares]."""
    steps = (values.max() * _SHARES / _STEPS)[:, None]
    rounded = np.minimum(np.round(values / steps), _STEPS) * steps
    return np.asarray((counts * (values - rounded) ** 2).sum(1))


def _ends_of_channels(weight: Float64Array) -> Float64Array:
    """Where the range of each output channel's weights ends, [out]."""
    ends = np.ones(len(weight))
    for channel, values in enumerate(np.abs(weight.reshape(len(weight), -1))):
        if values.any():
            ends[channel] = values.max() * _SHARES[_errors(values, np.ones_like(values)).argmin()]
    return ends
