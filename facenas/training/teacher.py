"""A stronger detector that the network also learns from, cell by cell: knowledge distillation.

Labels say where faces are, yes or no. A teacher says how much every anchor looks like one, also where its own threshold
left a blurred face out of the labels, and it says so about the very crop that the network sees. The teacher is an ONNX
file with the outputs of SCRFD (ICLR 2022): per level scores, then distances in strides, two anchors a cell centred on
the cell's corner, which are this project's anchors too; so its answers are targets without any matching.

It answers in OpenVINO, in bfloat16 where the processor has it: 8.5 ms for a crop of 256 px on one core by SCRFD-2.5G,
where ONNX Runtime takes 15.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facenas.arrays import FloatArray
from facenas.devices.cpu import cores, why_no_bfloat16
from facenas.errors import InputError
from facenas.files import sha256_of
from facenas.graph import ANCHORS_PER_CELL, STRIDES
from facenas.pipeline.preprocess import Preprocessing
from facenas.training.assigner import anchor_centres

_LEVELS = len(STRIDES)
_PREPROCESSING = Preprocessing()  # SCRFD's is this project's


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a teacher answers for n crops: scores float32 [n, a, c] in 0..1, boxes float32 [n, a, c, 4] in pixels."""

    scores: FloatArray
    boxes: FloatArray


class Teacher:
    """A detector with SCRFD's outputs for square crops of `size_px`; any number of threads may ask it at once."""

    def __init__(self, path: Path, size_px: int) -> None:
        """Raises InputError where the file is no such network."""
        import openvino

        if not path.is_file():
            raise InputError(f"no teacher at {path}; check the path")
        self.name, self.size_px = f"{path.name} {sha256_of(path)[:12]}", size_px
        core = openvino.Core()
        try:
            model = core.read_model(path)
            model.reshape({model.input(0): [1, 3, size_px, size_px]})
        except RuntimeError as error:
            raise InputError(
                f"{path} cannot teach crops of {size_px} px: {str(error).strip().splitlines()[-1]}"
            ) from error
        cells = [(size_px // stride) ** 2 * ANCHORS_PER_CELL for stride in STRIDES]
        expected = [(count, channels) for channels in (1, 4) for count in cells]
        found = [tuple(output.shape)[-2:] for output in model.outputs[: 2 * _LEVELS]]
        if len(model.inputs) != 1 or found != expected:
            raise InputError(
                f"{path} is no teacher: for {size_px} px its outputs are {found}, SCRFD's were {expected}"
                f" (scores of {_LEVELS} levels, then boxes)"
            )
        streams = max(1, cores() - 1)
        self._model = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32" if why_no_bfloat16() else "bf16",
                "INFERENCE_NUM_THREADS": streams,
                "NUM_STREAMS": streams,
            },
        )

    def answer(self, images: npt.NDArray[np.uint8]) -> Lesson:
        """Scores and boxes of every anchor for uint8 RGB crops [n, size_px, size_px, 3]."""
        centres = anchor_centres(self.size_px)
        request = self._model.create_infer_request()
        scores, boxes = [], []
        for image in images:
            request.infer([_PREPROCESSING.normalise(image)])
            answers = [request.get_output_tensor(index).data for index in range(2 * _LEVELS)]
            scores.append(np.concatenate([answer.reshape(-1, ANCHORS_PER_CELL) for answer in answers[:_LEVELS]]).T)
            distances = [
                answer.reshape(-1, ANCHORS_PER_CELL, 4) * np.float32(stride)
                for answer, stride in zip(answers[_LEVELS:], STRIDES, strict=True)
            ]
            reach = np.concatenate(distances).swapaxes(0, 1)  # [a, c, 4]
            boxes.append(np.concatenate([centres - reach[..., :2], centres + reach[..., 2:]], axis=-1))
        return Lesson(np.stack(scores).clip(0, 1), np.stack(boxes))
