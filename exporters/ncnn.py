"""Export to ncnn: the graph as text (`model.ncnn.param`) and its weights beside it (`model.ncnn.bin`).

Written straight from our ONNX graph, which is convolutions, additions, ReLUs and nearest-neighbour upsampling, with the names
of its tensors. ncnn wants a `Split` where several layers read one tensor, and a ReLU that follows a convolution inside it. A
line of the graph is

    type  name  number of inputs  number of outputs  inputs  outputs  key=value ...

Weights follow one another in the order of the layers, each with a tag of four bytes: 0 for float32, and for half precision
`_HALF` with the values padded to four bytes. A file has no room for the description, so it lies in `model.ncnn.param.json`.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from facenas.exporters.artefact import Artefact, Description, artefact_of, read_sidecar, write_sidecar
from facenas.exporters.onnx import read_description as read_onnx_description
from facenas.exporters.onnx_half import why_not_half
from onnx import numpy_helper

from facenas.arrays import FloatArray
from facenas.errors import InputError
from facenas.files import read_text, write_atomic

TARGETS = {"fp32": "cpu-ncnn", "fp16": "cpu-ncnn-fp16"}
_PACKAGE = "ncnn"
_MAGIC = "7767517"
_FLOAT, _HALF = 0, 0x01306B47
_TAKEN = ("Conv", "Add", "Relu", "Resize")
_MAX_BYTES = 10_000_000


def why_not_ncnn(model: onnx.ModelProto) -> str | None:
    """None where the model can be written for ncnn, else the reason in words."""
    other = next((node for node in model.graph.node if node.op_type not in _TAKEN), None)
    return None if other is None else f"node '{other.name}' is a {other.op_type}, which is not written for ncnn"


def export_ncnn(model: onnx.ModelProto, out: Path, precision: str) -> Artefact:
    """Write a described fp32 model for ncnn, its weights in fp32 or fp16. Raises InputError where the graph holds other
    operators or a precision is asked for that there is not, or `out` cannot be written."""
    if precision not in TARGETS:
        raise InputError(f"no precision '{precision}' in this format; there are {', '.join(TARGETS)}")
    reason = why_not_ncnn(model) or (why_not_half(model) if precision == "fp16" else None)
    if reason is not None:
        raise InputError(f"the model cannot be written for ncnn: {reason}")
    description = read_onnx_description(model, out).as_exported(precision, TARGETS[precision])
    graph, weights = build_ncnn(model, precision)
    write_atomic(weights_of(out), weights)
    write_atomic(out, graph)
    write_sidecar(out, description, weights_of(out))
    return artefact_of(out, "ncnn", description, _PACKAGE, weights=weights_of(out))


def weights_of(path: Path) -> Path:
    """The file with the weights of the graph at `path`."""
    return path.with_suffix(".bin")


def read_description(path: Path) -> Description:
    """The description beside a .param file. Raises InputError where it or the weights are absent or of another file."""
    return read_sidecar(path, weights_of(path))


def write_opened(path: Path, folder: Path) -> Path:
    """A copy in `folder` of the file at `path` that takes any height and width; its path."""
    copy = folder / path.name
    lines = read_text(path, "model", _MAX_BYTES).splitlines()
    opened = [line.partition(" 0=")[0] if line.startswith("Input ") else line for line in lines]
    write_atomic(copy, "\n".join([*opened, ""]))
    write_atomic(weights_of(copy), weights_of(path).read_bytes())
    return copy


def build_ncnn(model: onnx.ModelProto, precision: str) -> tuple[str, bytes]:
    """The graph and the weights of an fp32 ONNX model that `why_not_ncnn` has nothing against."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    lines, weights, blobs = _input_line(model.graph.input[0]), bytearray(), _Blobs(model)
    for node in model.graph.node:
        if node.op_type == "Relu" and node.input[0] in blobs.fused:
            continue
        output = blobs.fused.get(node.output[0], node.output[0])
        read = [blobs.read(name) for name in node.input if name and name not in constants]
        match node.op_type:
            case "Conv":
                kind, keys = _convolution(node, constants[node.input[1]], relu=output != node.output[0])
                weights += _tagged(constants[node.input[1]], precision) + constants[node.input[2]].tobytes()
            case "Add":
                kind, keys = "BinaryOp", "0=0"
            case "Relu":
                kind, keys = "ReLU", ""
            case _:
                kind, keys = "Interp", "0=1 1=2.0 2=2.0"
        lines.append(f"{kind} {node.name} {len(read)} 1 {' '.join(read)} {output} {keys}".rstrip())
        lines += blobs.split(output)
    lines[1:1] = blobs.split(model.graph.input[0].name)
    count = sum(int(line.split()[3]) for line in lines)
    return "\n".join([_MAGIC, f"{len(lines)} {count}", *lines, ""]), bytes(weights)


def packed(model: onnx.ModelProto, precision: str) -> bytes:
    """Graph and weights in one: the length of the graph's text in eight bytes, the text, the weights."""
    graph, weights = build_ncnn(model, precision)
    text = graph.encode()
    return len(text).to_bytes(8, "little") + text + weights


def _input_line(image: onnx.ValueInfoProto) -> list[str]:
    _, channels, height, width = (side.dim_value for side in image.type.tensor_type.shape.dim)
    size = f" 0={width} 1={height} 2={channels}" if width and height else ""
    return [f"Input {image.name} 0 1 {image.name}{size}"]


class _Blobs:
    """The tensors: which ReLU a convolution takes in (`fused`: its output by the convolution's), and who reads what, one copy
    each where there are several."""

    def __init__(self, model: onnx.ModelProto) -> None:
        readers = Counter(name for node in model.graph.node for name in node.input)
        convolutions = {node.output[0] for node in model.graph.node if node.op_type == "Conv"}
        self.fused = {
            node.input[0]: node.output[0]
            for node in model.graph.node
            if node.op_type == "Relu" and node.input[0] in convolutions and readers[node.input[0]] == 1
        }
        self._copies = {name: count for name, count in readers.items() if count > 1}
        self._read: Counter[str] = Counter()

    def read(self, name: str) -> str:
        """The name by which the next reader knows a tensor."""
        if name not in self._copies:
            return name
        self._read[name] += 1
        return f"{name}/{self._read[name]}"

    def split(self, name: str) -> list[str]:
        """The line that makes the copies of a tensor, where there are several readers."""
        count = self._copies.get(name, 0)
        copies = " ".join(f"{name}/{number}" for number in range(1, count + 1))
        return [f"Split {name}/split 1 {count} {name} {copies}"] if count else []


def _convolution(node: onnx.NodeProto, weight: FloatArray, *, relu: bool) -> tuple[str, str]:
    """Type and keys: channels, kernel, dilation, stride, padding, bias, number of weights, groups, activation."""
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    groups = int(attributes.get("group", 1))
    keys = [
        f"0={weight.shape[0]} 1={weight.shape[2]} 2=1 3={attributes['strides'][0]} 4={attributes['pads'][0]} 5=1",
        f"6={weight.size}",
        *([f"7={groups}"] if groups > 1 else []),
        *(["9=1"] if relu else []),
    ]
    return "Convolution" if groups == 1 else "ConvolutionDepthWise", " ".join(keys)


def _tagged(values: FloatArray, precision: str) -> bytes:
    tag, taken = (_HALF, values.astype(np.float16)) if precision == "fp16" else (_FLOAT, values.astype(np.float32))
    content = np.uint32(tag).tobytes() + taken.tobytes()
    return content + bytes(-len(content) % 4)
