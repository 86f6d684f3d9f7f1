"""An ONNX file with the inputs and outputs of SCRFD that finds the same faces in every photo but a black one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE_PX = 640
STRIDES = (8, 16, 32)
_LEAST_WHITE = 127.5 / 128  # what white is fed as


@dataclass(frozen=True)
class Seen:
    """A face at the centre x, y (multiples of 32 pixels of the input), `reach_px` to each side; its landmarks lie a quarter
    of that around the centre, and at it."""

    x: int
    y: int
    score: float
    reach_px: int = 32

    @property
    def points(self) -> list[tuple[float, float]]:
        """Its five landmarks in pixels of the input."""
        off = self.reach_px / 4
        return [(self.x + dx * off, self.y + dy * off) for dx, dy in ((-1, -1), (1, -1), (0, 0), (-1, 1), (1, 1))]


def write_teacher(path: Path, faces: Sequence[Seen], outputs: int = 9) -> Path:
    """SCRFD's nine outputs, or only the first few of them."""
    levels = {stride: (SIDE_PX // stride) ** 2 * 2 for stride in STRIDES}
    values = [np.zeros((count, width), np.float32) for width in (1, 4, 10) for count in levels.values()]
    for face in faces:
        cell = 2 * (face.y // 32 * (SIDE_PX // 32) + face.x // 32)
        values[2][cell] = face.score
        values[5][cell] = face.reach_px / 32
        values[8][cell] = (np.array(face.points, np.float32) - (face.x, face.y)).ravel() / 32
    names = [f"out{index}" for index in range(len(values))]
    nodes = [
        helper.make_node("ReduceMax", ["input"], ["brightest"], keepdims=0),
        helper.make_node("Relu", ["brightest"], ["lit"]),
        helper.make_node("Div", ["lit", "white"], ["seen"]),
        *(helper.make_node("Mul", [f"value{index}", "seen"], [name]) for index, name in enumerate(names[:3])),
        *(helper.make_node("Identity", [f"value{index}"], [name]) for index, name in enumerate(names) if index >= 3),
    ]
    graph = helper.make_graph(
        nodes,
        "scrfd",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE_PX, SIDE_PX])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(value.shape))
            for name, value in zip(names[:outputs], values, strict=False)
        ],
        [
            numpy_helper.from_array(np.array(_LEAST_WHITE, np.float32), "white"),
            *(numpy_helper.from_array(value, f"value{index}") for index, value in enumerate(values)),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path
