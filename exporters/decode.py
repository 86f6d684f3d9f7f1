"""The decoder inside the file: the raw output maps of an ONNX detector become faces in the graph itself.

The nodes do what `facenas.pipeline.postprocess` does, operation for operation, so that both find the same faces. Anchors
stand in its order: level by level, anchor by anchor, row by row. Of all N of them

    candidates = those with logit >= logit(min_score), best first, at most max_candidates
    boxes      = centre -+ stride * distances,  scores = sigmoid(logit),  landmarks = centre + stride * offsets
    faces      = greedy non-maximum suppression of the boxes that have an area

Logits order and suppress the candidates, because equal logits keep the order of the anchors while equal sigmoids of
different logits would not. The raw maps stay in the graph under their names, `output_8` and so on: `without_decoder`
makes them its outputs again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from facenas.exporters.onnx import IN_MEMORY, read_description, redescribe
from onnx import TensorProto, helper, numpy_helper

from facenas.errors import InputError
from facenas.graph import (
    ANCHORS_PER_CELL,
    BOX_CHANNELS,
    LANDMARK_CHANNELS,
    LANDMARK_COUNT,
    SCORE_CHANNELS,
    STRIDES,
    output_channels,
)
from facenas.pipeline.decoded import BOXES, LANDMARKS, SCORES, Decoding
from facenas.units import Size

PREFIX = "decode/"
"""Every node and constant of the decoder is named so."""

_ALL = np.iinfo(np.int64).max


def with_decoder(model: onnx.ModelProto, decoding: Decoding) -> onnx.ModelProto:
    """A copy of a described model, of any precision, whose outputs are faces, and described so.

    Raises InputError where the model leaves its input size open.
    """
    description = replace(read_description(model, IN_MEMORY), decoding=decoding)
    if description.dynamic:
        raise InputError("a file that decodes has one input size; export without --dynamic, or without --decode")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    decoder = _Decoder(description.input_size, description.nms_iou, decoding)
    outputs = decoder.build(landmarks=description.detector.landmarks)
    copy.graph.node.extend(decoder.nodes)
    copy.graph.initializer.extend(decoder.constants)
    del copy.graph.output[:]
    copy.graph.output.extend(outputs)
    return redescribe(copy, description)


def without_decoder(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of such a model with its raw maps for outputs again, and described so."""
    description = replace(read_description(model, IN_MEMORY), decoding=None)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _keep(copy.graph.node, copy.graph.initializer)
    del copy.graph.output[:]
    channels = output_channels(landmarks=description.detector.landmarks)
    for stride in STRIDES:
        rows, columns = _cells(description.input_size, stride)
        shape = [1, channels, rows, columns]
        copy.graph.output.append(helper.make_tensor_value_info(f"output_{stride}", TensorProto.FLOAT, shape))
    return redescribe(copy, description)


def _keep(*entries: Any) -> None:
    """Without what belongs to the decoder."""
    for each in entries:
        kept = [entry for entry in each if not entry.name.startswith(PREFIX)]
        del each[:]
        each.extend(kept)


def _cells(size: Size, stride: int) -> tuple[int, int]:
    """Rows and columns of a level's map."""
    return size.height_px // stride, size.width_px // stride


def _grid(size: Size) -> np.ndarray[Any, np.dtype[np.float32]]:
    """float32 [3, N]: x and y of each anchor's centre in pixels, and its stride."""
    levels = []
    for stride in STRIDES:
        rows, columns = _cells(size, stride)
        row, column = np.divmod(np.tile(np.arange(rows * columns), ANCHORS_PER_CELL), columns)
        levels.append(np.stack([column * stride, row * stride, np.full(len(row), stride)]))
    return np.concatenate(levels, axis=1).astype(np.float32)


@dataclass
class _Decoder:
    """Collects nodes and constants. Tensors [k, N] hold k values for each anchor, [k, n] for each candidate."""

    size: Size
    nms_iou: float
    decoding: Decoding
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def build(self, *, landmarks: bool) -> list[onnx.ValueInfoProto]:
        logits = self._node("Reshape", [self._anchors(SCORE_CHANNELS), self._whole([-1])])
        logits, candidates = self._best(logits)
        grid = self._node("Gather", [self._constant(_grid(self.size)), candidates], axis=1)
        x, y, stride = self._nodes("Split", [grid], 3)
        offsets = self._node("Mul", [self._gather(BOX_CHANNELS, candidates), stride])
        first, second = self._nodes("Split", [offsets], 2)
        centre = self._node("Concat", [x, y], axis=0)
        low, high = self._node("Sub", [centre, first]), self._node("Add", [centre, second])
        boxes = self._node("Transpose", [self._node("Concat", [low, high], axis=0)], perm=[1, 0])
        kept = self._suppress(boxes, logits, self._with_area(low, high))
        faces = [(BOXES, boxes, [4]), (SCORES, self._node("Sigmoid", [logits]), [])]
        if landmarks:
            points = self._node("Mul", [self._gather(LANDMARK_CHANNELS, candidates), stride])
            points = self._node("Add", [points, self._node("Concat", [x, y] * LANDMARK_COUNT, axis=0)])
            shape = [-1, LANDMARK_COUNT, 2]
            rows = self._node("Reshape", [self._node("Transpose", [points], perm=[1, 0]), self._whole(shape)])
            faces.append((LANDMARKS, rows, shape[1:]))
        for name, values, _ in faces:
            self._node("Gather", [values, kept], out=name, axis=0)
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["faces", *shape]) for name, _, shape in faces]

    def _anchors(self, channels: slice) -> str:
        """These channels of all levels by anchor, [channels of an anchor, N]."""
        each = (channels.stop - channels.start) // ANCHORS_PER_CELL
        levels = []
        for stride in STRIDES:
            cells = int(np.prod(_cells(self.size, stride)))
            bounds = [self._whole([end]) for end in (channels.start, channels.stop)]
            values = self._node("Slice", [f"output_{stride}", *bounds, self._whole([1])])
            values = self._node("Reshape", [values, self._whole([ANCHORS_PER_CELL, each, cells])])
            values = self._node("Transpose", [values], perm=[1, 0, 2])
            levels.append(self._node("Reshape", [values, self._whole([each, ANCHORS_PER_CELL * cells])]))
        return self._node("Concat", levels, axis=1)

    def _gather(self, channels: slice, candidates: str) -> str:
        return self._node("Gather", [self._anchors(channels), candidates], axis=1)

    def _best(self, logits: str) -> tuple[str, str]:
        """Logits and anchors of the candidates, best first."""
        least = np.float32(np.log(self.decoding.min_score) - np.log1p(-self.decoding.min_score))
        found = self._true(self._node("GreaterOrEqual", [logits, self._constant(least)]))
        count = self._node("Shape", [found])
        count = self._node("Min", [count, self._whole([self.decoding.max_candidates])])
        best, order = self._nodes("TopK", [self._node("Gather", [logits, found], axis=0), count], 2)
        return best, self._node("Gather", [found, order], axis=0)

    def _with_area(self, low: str, high: str) -> str:
        """The candidates whose box has an area: all that may be faces."""
        x, y = self._nodes("Split", [self._node("Less", [low, high])], 2)
        return self._true(self._node("Reshape", [self._node("And", [x, y]), self._whole([-1])]))

    def _suppress(self, boxes: str, logits: str, usable: str) -> str:
        """The candidates that stay, best first."""
        chosen = [self._node("Gather", [each, usable], axis=0) for each in (boxes, logits)]
        batch = self._node("Unsqueeze", [chosen[0], self._whole([0])])
        scores = self._node("Unsqueeze", [chosen[1], self._whole([0, 1])])
        most, iou = self._whole([self.decoding.max_candidates]), self._constant(np.array([self.nms_iou], np.float32))
        selected = self._node("NonMaxSuppression", [batch, scores, most, iou])
        last = self._node("Slice", [selected, self._whole([2]), self._whole([_ALL]), self._whole([1])])
        return self._node("Gather", [usable, self._node("Reshape", [last, self._whole([-1])])], axis=0)

    def _true(self, flags: str) -> str:
        """Where a vector is true, int64 [n]."""
        return self._node("Reshape", [self._node("NonZero", [flags]), self._whole([-1])])

    def _whole(self, values: Sequence[int]) -> str:
        return self._constant(np.array(values, np.int64))

    def _constant(self, values: Any) -> str:
        name = f"{PREFIX}constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def _node(self, kind: str, inputs: Iterable[str], *, out: str = "", **attributes: Any) -> str:
        """The name of a new node's output."""
        name = f"{PREFIX}{len(self.nodes)}_{kind}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out or f"{name}/0"], name=name, **attributes))
        return out or f"{name}/0"

    def _nodes(self, kind: str, inputs: Iterable[str], count: int) -> list[str]:
        """The names of the outputs of a new node along the first axis."""
        name = f"{PREFIX}{len(self.nodes)}_{kind}"
        outputs = [f"{name}/{index}" for index in range(count)]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, name=name, axis=0))
        return outputs
