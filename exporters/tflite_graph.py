"""From an ONNX detector to an int8 TensorFlow Lite model, the form that mobile NPUs compile.

Everything is int8: activations per tensor, real = scale * (q - zero_point) with 256 levels over the tensor's range;
weights per output channel and symmetric; biases int32 in units of input scale * weight scale. ONNX is
[batch, channels, height, width], TensorFlow Lite [batch, height, width, channels].

A ReLU is fused into the convolution or addition before it. TensorFlow Lite's SAME padding of a strided 3x3 convolution
puts nothing above and left where ONNX puts one pixel, so there a PAD comes before it (NPU compilers take it in again).

The image comes folded: its 2x2 pixels are the channels of one, [height / 2, width / 2, 12], with four zero channels to
make 16 (`fold_image`). Memory serves an NPU runs of 16 bytes; three-channel pixels, a byte a colour, take it ten times as
long, more than all other layers together. A convolution of stride 2 on the image is one of stride 1 on the folded image:
row 2y + r of the image is row y + floor(r / 2) of the folded one, in the channels of r mod 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from facenas.exporters.int8_ranges import IMAGE_RANGE, WEIGHT_STEPS, Range, Step, quantized_tensors, steps_of
from facenas.exporters.tflite_schema import flatbuffers, schema
from onnx import numpy_helper

from facenas.arrays import FloatArray
from facenas.errors import InputError
from facenas.units import Size

SCHEMA_VERSION = 3
FILE_IDENTIFIER = b"TFL3"
# A weight scale so small that the bias would leave int32 belongs to a channel without weights.
_LARGEST_BIAS = 2.0**30
_BUFFER_ALIGNMENT = 16


FOLDED_CHANNELS = 16
_COLOURS = 3
_MADE_UP_RANGE = (-4.0, 4.0)


class Quantization(NamedTuple):
    """real = scale * (q - zero_point), q in -128..127."""

    scale: float
    zero_point: int


def fold_image(image: FloatArray) -> npt.NDArray[np.int8]:
    """float32 [1, 3, height, width] in -1..1 -> int8 [1, height / 2, width / 2, 16]: what the model is fed.

    Channel 6 row + 3 column + colour holds the pixel at that row and column of the 2x2; the last four are zero.
    """
    _, _, height, width = image.shape
    steps = np.ceil(image[0] * 128 - 0.5).clip(-128, 127).astype(np.int8)
    blocks = steps.reshape(_COLOURS, height // 2, 2, width // 2, 2).transpose(1, 3, 2, 4, 0)
    folded = np.zeros((1, height // 2, width // 2, FOLDED_CHANNELS), np.int8)
    folded[0, :, :, : 4 * _COLOURS] = blocks.reshape(height // 2, width // 2, 4 * _COLOURS)
    return folded


def _fold_weight(weight: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], tuple[int, int]]:
    """The weight of a convolution of stride 2 for the folded image, and its padding before and after."""
    out_channels, _, kernel, _ = weight.shape
    reach = kernel // 2
    before, after = -(-reach // 2), reach // 2
    folded = np.zeros((out_channels, FOLDED_CHANNELS, before + after + 1, before + after + 1), weight.dtype)
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            first = 2 * _COLOURS * (row % 2) + _COLOURS * (column % 2)
            place = (slice(first, first + _COLOURS), row // 2 + before, column // 2 + before)
            folded[:, *place] = weight[:, :, row + reach, column + reach]
    return folded, (before, after)


def quantization_of(values: Range) -> Quantization:
    """256 levels over a range that is widened to hold zero, which int8 must represent exactly (padding is zero)."""
    low, high = min(values.low, 0.0), max(values.high, 0.0)
    scale = float(np.float32((high - low) / 255)) or 1.0
    return Quantization(scale, int(np.clip(round(-128 - low / scale), -128, 127)))


class _Shape(NamedTuple):
    height_px: int
    width_px: int
    channels: int


def why_not_convertible(model: onnx.ModelProto) -> str | None:
    """None where `build_tflite` can convert the model, else the reason in words."""
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Add", "Relu", "Resize"):
            return (
                f"node '{node.name}' is a {node.op_type}; int8 TensorFlow Lite export knows Conv, Add, Relu and Resize"
            )
    producers = {node.output[0]: node for node in model.graph.node}
    for node in model.graph.node:
        if node.op_type == "Relu" and (node.input[0] not in producers or producers[node.input[0]].op_type == "Resize"):
            return f"node '{node.name}' is a ReLU after neither a convolution nor an addition"
    image = model.graph.input[0].name
    for node in model.graph.node:
        if image in node.input and (node.op_type != "Conv" or _stride(node) != 2):
            return f"node '{node.name}' reads the image, and is no convolution of stride 2"
    return None


def build_tflite(
    model: onnx.ModelProto, input_size: Size, ranges: Mapping[str, Range], metadata: Mapping[str, str] | None = None
) -> bytes:
    """The int8 TensorFlow Lite model at one input size; `ranges` by the names of `int8_ranges.quantized_tensors`.

    Input and outputs are int8 and keep their names. Raises InputError where the graph holds other operators.
    """
    if reason := why_not_convertible(model):
        raise InputError(f"the model cannot become int8 TensorFlow Lite: {reason}")
    builder = _Builder({tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer})
    image = model.graph.input[0].name
    folded = _Shape(input_size.height_px // 2, input_size.width_px // 2, FOLDED_CHANNELS)
    builder.activation(image, folded, quantization_of(IMAGE_RANGE))
    for step in steps_of(model):
        match step.node.op_type:
            case "Conv":
                builder.conv(step, ranges[step.output], folded=step.node.input[0] == image)
            case "Add":
                builder.add(step, ranges[step.output])
            case _:
                builder.upsample(step)
    return builder.pack([image], [output.name for output in model.graph.output], metadata or {})


def timing_stand_in(onnx_model: bytes) -> tuple[bytes, Size]:
    """An fp32 ONNX model in int8 with made-up ranges, which its times do not depend on, and its input size."""
    model = onnx.load_from_string(onnx_model)
    height, width = (side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim[2:])
    ranges = dict.fromkeys(quantized_tensors(model), Range(*_MADE_UP_RANGE))
    return build_tflite(model, Size(width, height), ranges), Size(width, height)


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    for attribute in node.attribute:
        if attribute.name == name:
            return onnx.helper.get_attribute_value(attribute)
    return default


def _stride(node: onnx.NodeProto) -> int:
    return int(_attribute(node, "strides", [1, 1])[0])


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer that starts at a multiple of 16 bytes, as the schema asks and the generated class does not do."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802  (the generated name)
        data: bytes = self.data
        builder.StartVector(1, len(data), _BUFFER_ALIGNMENT)
        builder.head -= len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        vector = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)


@dataclass
class _Builder:
    """Collects tensors, buffers and operators of the one subgraph. Buffer 0 is empty: that of the activations."""

    constants: Mapping[str, npt.NDArray[Any]]
    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[Any] = field(default_factory=list)
    codes: list[tuple[int, int]] = field(default_factory=list)
    index_of: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, _Shape] = field(default_factory=dict)
    quantizations: dict[str, Quantization] = field(default_factory=dict)

    def activation(self, name: str, shape: _Shape, quantization: Quantization) -> int:
        self.shapes[name], self.quantizations[name] = shape, quantization
        self.index_of[name] = self._tensor(
            name, (1, *shape), schema.TensorType.INT8, [quantization.scale], [quantization.zero_point]
        )
        return self.index_of[name]

    def conv(self, step: Step, values: Range, *, folded: bool) -> None:
        weight, bias = (self.constants[name] for name in step.node.input[1:3])
        kernel, stride = weight.shape[2], _stride(step.node)
        padding = (kernel // 2, kernel // 2)
        if folded:
            weight, padding = _fold_weight(weight)
            kernel, stride = weight.shape[2], 1
        depthwise = _attribute(step.node, "group", 1) > 1
        x, name = step.node.input[0], step.output
        same = stride == 1 and padding[0] == padding[1]
        if padding != (0, 0) and not same:
            x = self._pad(x, padding, f"{name}/pad")
        shape = self.shapes[x]
        sides = [side if same else -(-(side - kernel + 1) // stride) for side in shape[:2]]
        weight_index, bias_index = self._weights(name, weight, bias, self.quantizations[x].scale, depthwise=depthwise)
        inputs = [self.index_of[x], weight_index, bias_index]
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        options.strideH = options.strideW = stride
        options.fusedActivationFunction = _activation(step)
        if depthwise:
            options.depthMultiplier = 1
        output = self.activation(name, _Shape(sides[0], sides[1], weight.shape[0]), quantization_of(values))
        operator = schema.BuiltinOperator.DEPTHWISE_CONV_2D if depthwise else schema.BuiltinOperator.CONV_2D
        self._operator(operator, 3, inputs, output, options)

    def add(self, step: Step, values: Range) -> None:
        options = schema.AddOptionsT()
        options.fusedActivationFunction = _activation(step)
        inputs = [self.index_of[name] for name in step.node.input]
        output = self.activation(step.output, self.shapes[step.node.input[0]], quantization_of(values))
        self._operator(schema.BuiltinOperator.ADD, 2, inputs, output, options)

    def upsample(self, step: Step) -> None:
        x = step.node.input[0]
        height, width, channels = self.shapes[x]
        shape = _Shape(2 * height, 2 * width, channels)
        size = self._constant(f"{step.output}/size", np.array(shape[:2], np.int32))
        output = self.activation(step.output, shape, self.quantizations[x])
        kind = schema.BuiltinOperator.RESIZE_NEAREST_NEIGHBOR
        self._operator(kind, 2, [self.index_of[x], size], output, schema.ResizeNearestNeighborOptionsT())

    def pack(self, inputs: Sequence[str], outputs: Sequence[str], metadata: Mapping[str, str]) -> bytes:
        subgraph = schema.SubGraphT()
        subgraph.name = "facenas"
        subgraph.tensors, subgraph.operators = self.tensors, self.operators
        subgraph.inputs = [self.index_of[name] for name in inputs]
        subgraph.outputs = [self.index_of[name] for name in outputs]
        model = schema.ModelT()
        model.version = SCHEMA_VERSION
        model.description = "made by facenas"
        model.subgraphs = [subgraph]
        model.metadata = []
        for key, value in metadata.items():
            entry = schema.MetadataT()
            entry.name, entry.buffer = key, self._buffer(value.encode())
            model.metadata.append(entry)
        model.buffers = self.buffers
        model.operatorCodes = []
        for kind, version in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = kind
            code.version = version
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(sum(len(buffer.data or b"") for buffer in self.buffers) + (1 << 16))
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _pad(self, x: str, padding: tuple[int, int], name: str) -> str:
        height, width, channels = self.shapes[x]
        amounts = self._constant(f"{name}/amounts", np.array([(0, 0), padding, padding, (0, 0)], np.int32))
        shape = _Shape(height + sum(padding), width + sum(padding), channels)
        output = self.activation(name, shape, self.quantizations[x])
        self._operator(schema.BuiltinOperator.PAD, 2, [self.index_of[x], amounts], output, schema.PadOptionsT())
        return name

    def _weights(
        self, name: str, weight: npt.NDArray[Any], bias: npt.NDArray[Any], input_scale: float, *, depthwise: bool
    ) -> tuple[int, int]:
        """Tensors of the int8 weight and the int32 bias of a convolution."""
        scales = np.abs(weight).max(axis=(1, 2, 3)).astype(np.float64) / WEIGHT_STEPS
        scales = np.maximum(scales, np.abs(bias) / (input_scale * _LARGEST_BIAS))
        scales = np.where(scales > 0, scales, 1.0).astype(np.float32)
        quantized = np.clip(np.round(weight / scales[:, None, None, None]), -127, 127).astype(np.int8)
        axis = 3 if depthwise else 0
        layout = quantized.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
        bias_scales = scales.astype(np.float64) * input_scale
        zeros = [0] * len(scales)
        weight_index = self._tensor(
            f"{name}/weight", layout.shape, schema.TensorType.INT8, scales.tolist(), zeros, data=layout, axis=axis
        )
        biases = np.round(bias / bias_scales).astype(np.int32)
        bias_index = self._tensor(
            f"{name}/bias", biases.shape, schema.TensorType.INT32, bias_scales.tolist(), zeros, data=biases
        )
        return weight_index, bias_index

    def _constant(self, name: str, values: npt.NDArray[np.int32]) -> int:
        return self._tensor(name, values.shape, schema.TensorType.INT32, None, None, data=values)

    def _tensor(
        self,
        name: str,
        shape: Sequence[int],
        kind: int,
        scales: list[float] | None,
        zero_points: list[int] | None,
        *,
        data: npt.NDArray[Any] | None = None,
        axis: int = 0,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), kind
        tensor.buffer = 0 if data is None else self._buffer(np.ascontiguousarray(data).tobytes())
        if scales is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale, quantization.zeroPoint, quantization.quantizedDimension = scales, zero_points, axis
            tensor.quantization = quantization
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _buffer(self, data: bytes) -> int:
        buffer = _AlignedBuffer()
        buffer.data = data
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def _operator(self, kind: int, version: int, inputs: list[int], output: int, options: Any) -> None:
        if (kind, version) not in self.codes:
            self.codes.append((kind, version))
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.index((kind, version))
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptions = options
        # The union's tag has the name of the options' class without its T.
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.operators.append(operator)


def _activation(step: Step) -> int:
    kind = schema.ActivationFunctionType
    return int(kind.RELU if step.relu else kind.NONE)
