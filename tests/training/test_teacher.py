"""Learning from a stronger detector: its answers stand at the right anchors, pull where labels say nothing, and resume."""

from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from facenas.exporters.onnx import onnx_untrained
from helpers.random_networks import TINY
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from facenas.checkpoint import load_checkpoint
from facenas.data.annotations import Dataset
from facenas.data.source import open_dataset
from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError
from facenas.graph import STRIDES
from facenas.training.assigner import anchor_centres
from facenas.training.loop import Trainer
from facenas.training.losses import box_iou_and_diou_loss, distillation_losses
from facenas.training.recipe import Pace, Recipe
from facenas.training.samples import PhotoCache, make_batch
from facenas.training.teacher import Teacher
from facenas.units import Size

SIZE_PX = 64
RECIPE = Recipe(epochs=4, size_px=SIZE_PX, batch_size=2)
DISTANCES = np.array([1, 2, 3, 4, 5, 6, 7, 8], np.float32)


def write_teacher(path: Path, certainty: float = 1.0) -> Path:
    """Scores are the brightness of a cell, red for the first anchor and green for the second; boxes are `DISTANCES`."""
    brightness = np.zeros((2, 3, 1, 1), np.float32)
    brightness[0, 0] = brightness[1, 1] = certainty / 2
    constants = {
        "brightness": brightness,
        "half": np.full(2, certainty / 2, np.float32),
        "none": np.zeros((8, 3, 1, 1), np.float32),
        "distances": DISTANCES,
        "rows1": np.array([-1, 1]),
        "rows4": np.array([-1, 4]),
    }
    nodes, names = [], []
    for channels, weights, bias in ((1, "brightness", "half"), (4, "none", "distances")):
        for stride in STRIDES:
            name = f"{weights}{stride}"
            sides = [stride, stride]
            nodes += [
                helper.make_node("AveragePool", ["image"], [f"{name}_cells"], kernel_shape=sides, strides=sides),
                helper.make_node("Conv", [f"{name}_cells", weights, bias], [f"{name}_maps"]),
                helper.make_node("Transpose", [f"{name}_maps"], [f"{name}_last"], perm=[2, 3, 0, 1]),
                helper.make_node("Reshape", [f"{name}_last", f"rows{channels}"], [name]),
            ]
            names.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    image = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, "height", "width"])
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "teacher", [image], names, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return Teacher(write_teacher(tmp_path_factory.mktemp("teacher") / "teacher.onnx"), SIZE_PX)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_synthetic_set(tmp_path_factory.mktemp("data"), 4, width_px=96, height_px=96)


@given(st.sampled_from(STRIDES), st.integers(0, 63), st.integers(0, 63), st.integers(0, 1))
def test_an_answer_stands_at_its_anchor(teacher: Teacher, stride: int, row: int, column: int, anchor: int) -> None:
    row, column = row // stride, column // stride
    rows, columns = (slice(place * stride, (place + 1) * stride) for place in (row, column))
    image = np.zeros((1, SIZE_PX, SIZE_PX, 3), np.uint8)
    image[0, rows, columns, anchor] = 255
    lesson = teacher.answer(image)
    centre = np.array([column * stride, row * stride], np.float32)
    level = slice(*np.cumsum([0, *((SIZE_PX // each) ** 2 for each in STRIDES)])[STRIDES.index(stride) :][:2])
    found = level.start + int(lesson.scores[0, anchor, level].argmax())
    np.testing.assert_array_equal(anchor_centres(SIZE_PX)[found], centre)
    assert lesson.scores[0, anchor, found] > 0.98
    assert (np.delete(lesson.scores[0, anchor, level], found - level.start) < 0.02).all()
    assert (lesson.scores[0, 1 - anchor] < 0.02).all()
    reach = stride * DISTANCES.reshape(2, 4)[anchor]
    np.testing.assert_allclose(
        lesson.boxes[0, anchor, found], [*(centre - reach[:2]), *(centre + reach[2:])], rtol=0.01
    )


def test_a_batch_has_what_the_teacher_says_about_its_crops(teacher: Teacher, dataset: Dataset) -> None:
    batch = make_batch(dataset, RECIPE, 0, PhotoCache(0), teacher=teacher)
    plain = make_batch(dataset, RECIPE, 0, PhotoCache(0))
    assert batch.lesson is not None
    assert plain.lesson is None
    np.testing.assert_array_equal(batch.images, plain.images)
    np.testing.assert_array_equal(batch.lesson.scores, teacher.answer(plain.images).scores)


def test_scrfd_itself_finds_the_labelled_faces(shared_dir: Path) -> None:
    """The published file answers with a face where the labels have one, and with its box."""
    teacher = Teacher(shared_dir / "models" / "scrfd_2.5g.onnx", 256)
    data = open_dataset(shared_dir / "data" / "train" / "sysu_scene")
    batch = make_batch(data, Recipe(crop_scales=(1.0,)), 0, PhotoCache(0), teacher=teacher)
    assert batch.lesson is not None
    sure = batch.targets.positive & (batch.lesson.scores > 0.5)
    assert sure.sum() > 20
    iou, _ = box_iou_and_diou_loss(
        torch.from_numpy(batch.lesson.boxes[sure]), torch.from_numpy(batch.targets.boxes[sure])
    )
    assert iou.mean() > 0.8
    background = batch.targets.counted & ~batch.targets.positive
    assert (batch.lesson.scores[background] < 0.1).mean() > 0.97


def test_losses_by_hand() -> None:
    """At logit 0 the score is 1/2; boxes count where the teacher is sure enough, by how sure it is."""
    taught = torch.tensor([[0.8, 0.4, 0.05]])
    predicted = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]]])
    boxes = torch.tensor([[[5.0, 0, 15, 10], [0, 0, 10, 10], [40, 40, 50, 50]]])
    losses = distillation_losses(torch.zeros(1, 3), predicted, taught, boxes)
    assert losses.score.item() == pytest.approx((0.3**2 + 0.1**2 + 0.45**2) * log(2) / 1.2, rel=1e-5)
    assert losses.box.item() == pytest.approx(2 * 0.8 * (1 - 1 / 3 + 25 / 325) / 1.2, rel=1e-5)
    assert losses.landmark.item() == 0


def test_what_answers_like_the_teacher_has_nothing_to_learn() -> None:
    scores = torch.tensor([[0.9, 0.2, 0.01]])
    boxes = torch.rand(1, 3, 2).repeat(1, 1, 2) + torch.tensor([0.0, 0, 5, 5])
    logits = scores.logit().requires_grad_()
    losses = distillation_losses(logits, boxes, scores, boxes)
    losses.total.backward()  # type: ignore[no-untyped-call]
    assert losses.total.item() == pytest.approx(0, abs=1e-5)
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-5


def train(out: Path, dataset: Dataset, teacher: Teacher | None, until_step: int | None = None) -> dict[str, np.ndarray]:
    out.mkdir(exist_ok=True)
    trainer = Trainer(TINY, Size(64, 64), RECIPE, out, "tiny", teacher=teacher)
    trainer.resume()
    trainer.run(dataset, pace=Pace(until_step=until_step))
    return dict(load_checkpoint(out / "last.safetensors").tensors)


def test_it_changes_the_training_and_stops_and_goes_on(tmp_path: Path, dataset: Dataset, teacher: Teacher) -> None:
    taught = train(tmp_path / "taught", dataset, teacher)
    untaught = train(tmp_path / "untaught", dataset, None)
    train(tmp_path / "stopped", dataset, teacher, until_step=3)
    resumed = train(tmp_path / "stopped", dataset, teacher)
    for name, tensor in taught.items():
        np.testing.assert_array_equal(resumed[name], tensor)
    assert any(not np.array_equal(untaught[name], tensor) for name, tensor in taught.items())
    recipe = load_checkpoint(tmp_path / "taught" / "best.safetensors").origin["recipe"]
    assert recipe["teacher"] == teacher.name


def test_another_teacher_in_the_folder_is_refused(tmp_path: Path, dataset: Dataset, teacher: Teacher) -> None:
    train(tmp_path / "out", dataset, teacher, until_step=1)
    other = Teacher(write_teacher(tmp_path / "other.onnx", certainty=0.9), SIZE_PX)
    for wrong in (other, None):
        with pytest.raises(InputError, match="was trained with another teacher"):
            train(tmp_path / "out", dataset, wrong)


def test_what_is_no_teacher_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    onnx.save(onnx_untrained(TINY, input_size=Size(64, 64), dynamic=True), own)
    with pytest.raises(InputError, match=r"own\.onnx is no teacher: for 64 px its outputs are"):
        Teacher(own, SIZE_PX)
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(own.read_bytes()[:200])
    with pytest.raises(InputError, match=r"torn\.onnx cannot teach crops of 64 px"):
        Teacher(torn, SIZE_PX)
    with pytest.raises(InputError, match=r"no teacher at .*absent\.onnx; check the path"):
        Teacher(tmp_path / "absent.onnx", SIZE_PX)
    with pytest.raises(InputError, match=r"teacher_share 1\.5 is outside"):
        replace(RECIPE, teacher_share=1.5)
