"""What makes an int8 network answer like its float32 one, whichever runtime computes it: ranges, biases and the image.

ranges   a tensor's 256 steps end where the squared error of its values over the calibration photos is least,
             E(low, high) = sum (x - round(x, to a step of (high - low) / 255))^2,
         over shares of its extremes. An output's range holds all its values but the logits of scores that nobody asks for,
         so that its boxes get finer steps.
biases   rounding weights shifts each channel's mean by sum (w' - w) E[x]; that is taken off the bias.
image    a photo's bytes v become (v - 127.5) / 128, halfway between two steps of 1/128, and are rounded by half a step each.
         With a mean of 128 they are steps; half a step times the weights goes into the bias of the first convolution.

`facenas-12ms` on 100 photos of WIDER FACE, ranges from 128 others, largest drop of average precision in ONNX Runtime: .014
with extremes for ranges, .006 without low logits, .004 with the image's mean, .003 with all.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import onnx
from facenas.exporters.onnx import IN_MEMORY, read_description, redescribe, with_layers
from onnx import numpy_helper

from facenas.arrays import Float64Array, FloatArray
from facenas.errors import InputError
from facenas.graph import IMAGE, SCORE_CHANNELS
from facenas.pipeline.postprocess import MIN_LOGIT

WEIGHT_STEPS = 127.0
_STEPS = 255
_BINS = 2048
_SAMPLES = 65_536  # of a tensor of one photo; its extremes are of all values
_SHARES = np.concatenate([np.linspace(0.1, 0.2, 11), np.linspace(0.22, 1.0, 40)])
_MIDDLE, _STEP = 128.0, 128.0  # the mean and standard deviation with which each byte is one step


class Range(NamedTuple):
    """Least and largest value of an activation tensor that int8 shall represent."""

    low: float
    high: float


IMAGE_RANGE = Range(-1.0, 127 / 128)
"""One step of the image's int8 is one step of the photo's 8 bits, as `centred` has it."""


@dataclass(frozen=True)
class Step:
    """An ONNX node with the ReLU that follows it; `output` is the ReLU's."""

    node: onnx.NodeProto
    output: str
    relu: bool


@dataclass(frozen=True, eq=False)
class Observed:
    """Of tensors by name: their ranges, and the means of their channels, float64 [channels]."""

    ranges: Mapping[str, Range]
    means: Mapping[str, Float64Array]


def steps_of(model: onnx.ModelProto) -> list[Step]:
    """The nodes of an fp32 model, each with its ReLU."""
    relus = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "Relu"}
    return [
        Step(node, relus.get(node.output[0], node.output[0]), node.output[0] in relus)
        for node in model.graph.node
        if node.op_type != "Relu"
    ]


def layer_of(node: onnx.NodeProto) -> str:
    """The layer that a node belongs to: nodes are named `<layer>` or `<layer>/<step>`."""
    return node.name.partition("/")[0]


def quantized_tensors(model: onnx.ModelProto) -> tuple[str, ...]:
    """The activations that need a range of their own: outputs of convolutions and additions, after their ReLU."""
    return tuple(step.output for step in steps_of(model) if step.node.op_type != "Resize")


def centred(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a described fp32 model that gives the same answers and wants the bytes of a photo as whole steps."""
    description = read_description(model, IN_MEMORY)
    preprocessing = description.preprocessing
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if not isinstance(preprocessing.mean, float | int) or preprocessing.standard_deviation != _STEP:
        return copy
    offset = np.full(3, (_MIDDLE - preprocessing.mean) / _STEP)
    _shift_biases(copy, lambda node, weight: _into_outputs(weight, offset) if node.input[0] == IMAGE else None)
    return redescribe(copy, replace(description, preprocessing=replace(preprocessing, mean=_MIDDLE)))


def corrected(model: onnx.ModelProto, means: Mapping[str, Float64Array], kept: Collection[str] = ()) -> onnx.ModelProto:
    """A copy of an fp32 model whose biases make up for the rounding of its weights, per output channel to 255 steps; the
    layers `kept` are not rounded."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)

    def shift(node: onnx.NodeProto, weight: Float64Array) -> Float64Array | None:
        if layer_of(node) in kept:
            return None
        steps = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / WEIGHT_STEPS
        steps[steps == 0] = 1
        return _into_outputs(weight - np.round(weight / steps) * steps, means[node.input[0]])

    _shift_biases(copy, shift)
    return copy


def _shift_biases(model: onnx.ModelProto, shift: Any) -> None:
    """Adds shift(node, its weight), float64 [out], to the bias of each convolution; None leaves it."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Conv":
            weight, bias = (numpy_helper.to_array(constants[name]) for name in node.input[1:3])
            by = shift(node, weight.astype(np.float64))
            if by is not None:
                moved = numpy_helper.from_array((bias + by).astype(np.float32), node.input[2])
                constants[node.input[2]].CopyFrom(moved)


def _into_outputs(weight: Float64Array, values: Float64Array) -> Float64Array:
    """What a constant of each input channel comes to in each output channel, [out]."""
    sums: Float64Array = weight.sum(axis=(2, 3))
    return sums[:, 0] * values if sums.shape[1] == 1 != len(values) else sums @ values


def observe(model: onnx.ModelProto, images: Iterable[FloatArray]) -> Observed:
    """Over the images, float32 [1, 3, height, width] each; outputs are taken for a detector's, score logits first.

    Raises InputError where an image makes a layer infinite.
    """
    import onnxruntime

    outputs = {output.name for output in model.graph.output}
    quantized = quantized_tensors(model)
    names = [name for name in dict.fromkeys((*quantized, *_conv_inputs(model))) if name != IMAGE]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    content = with_layers(model, names).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    histograms = {name: _Histogram() for name in quantized}
    sums: dict[str, Any] = dict.fromkeys((IMAGE, *names), 0.0)
    count = 0
    for image in images:
        count += 1
        sums[IMAGE] = sums[IMAGE] + image.mean((0, 2, 3), dtype=np.float64)
        for name, values in zip(names, session.run(names, {IMAGE: image}), strict=True):
            if not np.isfinite(values).all():
                raise InputError(f"a calibration photo makes layer '{name}' infinite; leave it out")
            sums[name] = sums[name] + values.mean((0, 2, 3), dtype=np.float64)
            if name in histograms:
                histograms[name].add(_of_interest(values) if name in outputs else values)
    ranges = {name: each.extremes if name in outputs else each.best() for name, each in histograms.items()}
    return Observed(ranges, {name: total / max(1, count) for name, total in sums.items()})


def _conv_inputs(model: onnx.ModelProto) -> list[str]:
    return [node.input[0] for node in model.graph.node if node.op_type == "Conv"]


def _of_interest(output: FloatArray) -> FloatArray:
    """An output's values, its logits from MIN_LOGIT up."""
    values = output.copy()
    np.maximum(values[:, SCORE_CHANNELS], MIN_LOGIT, out=values[:, SCORE_CHANNELS])
    return values


class _Histogram:
    """Of values between -width and width; it grows by doubling its width, so that what was counted stays counted."""

    def __init__(self) -> None:
        self.counts: Float64Array = np.zeros(2 * _BINS)
        self.width = 0.0
        self.extremes = Range(0.0, 0.0)

    def add(self, values: FloatArray) -> None:
        low, high = float(values.min()), float(values.max())
        self.extremes = Range(min(self.extremes.low, low), max(self.extremes.high, high))
        largest = max(-low, high)
        if not self.width:
            self.width = largest
        while self.width < largest:
            rest = np.zeros(_BINS // 2)
            self.counts = np.concatenate([rest, self.counts.reshape(-1, 2).sum(1), rest])
            self.width *= 2
        if self.width:
            some = values.ravel()[:: values.size // _SAMPLES | 1]
            self.counts += np.histogram(some, 2 * _BINS, (-self.width, self.width))[0]

    def best(self) -> Range:
        """The shares of the extremes whose E is least."""
        low, high = self.extremes
        middles = (np.arange(2 * _BINS) + 0.5 - _BINS) * self.width / _BINS
        used = self.counts > 0
        values, counts = middles[used], self.counts[used]
        steps = (_SHARES * ((high - low) / _STEPS or 1.0))[:, None]
        first = np.round(_SHARES[:, None] * low / steps)
        rounded = np.clip(np.round(values / steps), first, first + _STEPS) * steps
        share = _SHARES[(counts * (values - rounded) ** 2).sum(1).argmin()]
        return Range(float(share * low), float(share * high))
