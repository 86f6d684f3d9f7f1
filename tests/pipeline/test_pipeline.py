"""A photo's way to faces around any network, any fit and any decoder."""

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from facenas.pipeline.faces import Faces
from facenas.pipeline.fit import Letterbox, Stretched
from facenas.pipeline.pipeline import Pipeline
from facenas.pipeline.preprocess import Preprocessing
from facenas.units import Size

SIZE = Size(64, 32)
PHOTO = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


class Echo:
    """A network whose output is its input; it writes down what happens to it."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def run(self, image: np.ndarray) -> Mapping[str, np.ndarray]:
        self.events.append("run")
        return {"image": image}


def boxes_of_the_input(outputs: Mapping[str, np.ndarray], min_score: float) -> Faces:
    """The whole input with score 0.9, nearly the whole of it with 0.8, and its left half with 0.7; and one without area."""
    height, width = outputs["image"].shape[2:]
    boxes = np.array([(0, 0, width, height), (0, 0, width - 2, height), (0, 0, width / 2, height), (9, 9, 9, 9)])
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    return Faces(boxes.astype(np.float32), scores, None).take(np.flatnonzero(scores >= min_score))


def pipeline_of(runner: Echo, **fields: Any) -> Pipeline:
    return replace(Pipeline(runner, Stretched(SIZE), Preprocessing()), **fields)


def test_faces_are_decoded_suppressed_and_in_pixels_of_the_photo() -> None:
    faces = pipeline_of(Echo(), decode=boxes_of_the_input, nms_iou=0.9)(PHOTO, 0.5)
    assert faces.boxes.tolist() == [[0, 0, 64, 64], [0, 0, 32, 64]]
    assert faces.scores.tolist() == np.array([0.9, 0.7], np.float32).tolist()
    assert len(pipeline_of(Echo(), decode=boxes_of_the_input, nms_iou=1.0)(PHOTO, 0.75)) == 2


def test_the_way_can_be_gone_step_by_step() -> None:
    pipeline = pipeline_of(Echo(), fit=Letterbox(SIZE), decode=boxes_of_the_input)
    network_input, _ = pipeline.network_input(PHOTO)
    assert network_input.shape == (1, 3, 32, 64)
    assert network_input.dtype == np.float32
    outputs, fitted = pipeline.outputs(PHOTO)
    np.testing.assert_array_equal(outputs["image"], network_input)
    faces = pipeline.faces(outputs, fitted, 0.5)
    np.testing.assert_array_equal(faces.rows, pipeline(PHOTO, 0.5).rows)


def test_its_turn_is_held_from_running_to_decoded() -> None:
    runner = Echo()

    @contextmanager
    def turn() -> Any:
        runner.events.append("begin")
        yield
        runner.events.append("end")

    def decode(outputs: Mapping[str, np.ndarray], min_score: float) -> Faces:
        runner.events.append("decode")
        return boxes_of_the_input(outputs, min_score)

    pipeline_of(runner, decode=decode, turn=turn())(PHOTO, 0.5)
    assert runner.events == ["begin", "run", "decode", "end"]
