"""Training: repeatable to the bit, also across kill -9; what does not fit is refused; a broken loss keeps the last state."""

import json
import math
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_training
from helpers.random_networks import TINY, with_landmarks
from helpers.told import Told

from facenas.architecture import Architecture
from facenas.checkpoint import Checkpoint, load_checkpoint
from facenas.data.annotations import Dataset
from facenas.data.source import open_dataset
from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError, TrainingError
from facenas.graph import BOX_CHANNELS
from facenas.training import loop
from facenas.training.recipe import Pace, Recipe
from facenas.units import Size

SIZE = Size(64, 64)
RECIPE = Recipe(epochs=4, size_px=64, batch_size=2)
STEPS = 8
SCRIPT = Path(tiny_training.__file__)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_synthetic_set(folder, 4, width_px=96, height_px=96)
    return folder


@pytest.fixture(scope="module")
def dataset(data: Path) -> Dataset:
    return open_dataset(data)


def trainer_in(out: Path, detector: Architecture = TINY, recipe: Recipe = RECIPE) -> loop.Trainer:
    out.mkdir(exist_ok=True)
    return loop.Trainer(detector, SIZE, recipe, out, "tiny")


def train(
    out: Path, dataset: Dataset, detector: Architecture = TINY, recipe: Recipe = RECIPE, pace: Pace = Pace()
) -> Mapping[str, np.ndarray]:
    """The weights after a whole training."""
    trainer = trainer_in(out, detector, recipe)
    trainer.resume()
    result = trainer.run(dataset, pace=pace)
    return load_checkpoint(result.checkpoint).tensors


def assert_equal_weights(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> None:
    assert set(one) == set(other)
    for name, tensor in one.items():
        np.testing.assert_array_equal(tensor, other[name], err_msg=name)


def curve(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_equal_seeds_give_equal_weights(tmp_path: Path, dataset: Dataset, optimizer: str) -> None:
    recipe = replace(RECIPE, optimizer=optimizer)  # type: ignore[arg-type]
    first, again = (train(tmp_path / name, dataset, recipe=recipe) for name in ("first", "again"))
    assert_equal_weights(first, again)
    other = train(tmp_path / "other", dataset, recipe=replace(recipe, seed=1))
    assert any(not np.array_equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("detector", [TINY, with_landmarks(TINY)], ids=["boxes", "landmarks"])
def test_stopping_and_going_on_changes_nothing(
    tmp_path: Path, dataset: Dataset, optimizer: str, detector: Architecture
) -> None:
    pace = Pace(save_seconds=0.0, log_steps=1)
    recipe = replace(RECIPE, optimizer=optimizer)  # type: ignore[arg-type]
    undisturbed = train(tmp_path / "undisturbed", dataset, detector, recipe, pace)

    def stop_at_3(step: int, _total: int, _what: str) -> None:
        if step == 3:
            raise KeyboardInterrupt

    trainer = trainer_in(tmp_path / "stopped", detector, recipe)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(dataset, progress=Told(stop_at_3), pace=pace)
    assert load_checkpoint(tmp_path / "stopped" / "last.safetensors").origin["step"] == 3
    assert_equal_weights(train(tmp_path / "stopped", dataset, detector, recipe, pace), undisturbed)
    lines = [
        [(line["step"], line["score"], line["box"]) for line in curve(tmp_path / name)]
        for name in ("stopped", "undisturbed")
    ]
    assert lines[0] == lines[1]
    assert [step for step, _, _ in lines[0]] == list(range(1, STEPS + 1))


def test_killed_twice_it_ends_as_if_undisturbed(tmp_path: Path, data: Path) -> None:
    """kill -9 in the middle, again after going on, then to the end."""
    undisturbed = tiny_training.train(data, tmp_path / "undisturbed")
    out = tmp_path / "killed"
    for kill_after in (4, 9):
        steps = _train_and_kill(data, out, kill_after)
        assert steps[-1] >= kill_after
        assert steps[0] == 1 if kill_after == 4 else 1 < steps[0] <= kill_after
    result = tiny_training.train(data, out)
    assert load_checkpoint(out / "last.safetensors").origin["step"] == tiny_training.RECIPE.steps(4)
    assert_equal_weights(load_checkpoint(result.checkpoint).tensors, load_checkpoint(undisturbed.checkpoint).tensors)
    last, expected = (load_checkpoint(tmp_path / name / "last.safetensors") for name in ("killed", "undisturbed"))
    assert_equal_weights(last.tensors, expected.tensors)


def _train_and_kill(data: Path, out: Path, kill_after: int) -> list[int]:
    """The numbers of the steps that a training of its own process made until it was killed."""
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(data), str(out)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        steps = []
        for line in process.stdout:
            steps.append(int(line))
            if steps[-1] == kill_after:
                process.kill()
    assert process.returncode == -signal.SIGKILL
    return steps


def test_a_finished_training_goes_on_to_nothing(tmp_path: Path, dataset: Dataset) -> None:
    first = train(tmp_path, dataset)
    content = (tmp_path / "last.safetensors").read_bytes()
    assert_equal_weights(train(tmp_path, dataset), first)
    assert (tmp_path / "last.safetensors").read_bytes() == content


def test_another_recipe_or_architecture_in_the_folder_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    train(tmp_path, dataset)
    with pytest.raises(InputError, match=r"last\.safetensors was trained with another learning_rate; choose another"):
        trainer_in(tmp_path, recipe=replace(RECIPE, learning_rate=1e-3)).resume()
    with pytest.raises(InputError, match="was trained with another batch_size, seed"):
        trainer_in(tmp_path, recipe=replace(RECIPE, seed=3, batch_size=4)).resume()
    with pytest.raises(InputError, match=r"last\.safetensors holds '.*', not '.*'; choose another --out"):
        trainer_in(tmp_path, tiny_training.DETECTOR).resume()
    with pytest.raises(InputError, match="holds"):
        trainer_in(tmp_path, with_landmarks(TINY)).resume()


def test_other_data_in_the_folder_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    """With another number of photos all that follows would be other samples, silently."""
    train(tmp_path, dataset)
    other = Dataset(dataset.name, dataset.photos[:3])
    trainer = trainer_in(tmp_path)
    trainer.resume()
    with pytest.raises(InputError, match=r"last\.safetensors was trained on 4 photos, .* has 3; choose another --out"):
        trainer.run(other)


def test_a_damaged_state_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    train(tmp_path, dataset)
    path = tmp_path / "last.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="is no whole safetensors file"):
        trainer_in(tmp_path).resume()


def test_a_checkpoint_in_the_place_of_the_state_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    train(tmp_path, dataset)
    (tmp_path / "last.safetensors").write_bytes((tmp_path / "best.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"last\.safetensors holds no state of a training"):
        trainer_in(tmp_path).resume()


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_state(tmp_path: Path, dataset: Dataset) -> None:
    trainer, calls = trainer_in(tmp_path), iter(range(100))

    def break_at_5(_network: object, _images: object, outputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """What a layer that overflowed would give."""
        broken = [output.clone() for output in outputs]
        if next(calls) == 5:
            broken[0][:, BOX_CHANNELS] *= math.nan
        return broken

    trainer.network.register_forward_hook(break_at_5)
    with pytest.raises(TrainingError, match=r"the loss is not finite at step 5 \(.*, box nan, .*lower the learning"):
        trainer.run(dataset, pace=Pace(save_seconds=0.0))
    state = load_checkpoint(tmp_path / "last.safetensors")
    assert state.origin["step"] == 5
    assert all(np.isfinite(tensor).all() for tensor in state.tensors.values())
    assert_equal_weights(train(tmp_path, dataset), train(tmp_path / "undisturbed", dataset))


@pytest.mark.parametrize("save_seconds", [0.0, 60.0])
def test_the_message_names_the_batch_and_the_state_that_there_is(
    tmp_path: Path, dataset: Dataset, save_seconds: float
) -> None:
    """A gradient alone can be the one that is not finite; its weights must not be saved."""
    trainer = trainer_in(tmp_path, recipe=replace(RECIPE, batch_size=4))
    parameter = trainer.network.get_parameter("head.output.conv.weight")
    gradients = iter(range(100))
    parameter.register_hook(  # type: ignore[no-untyped-call]
        lambda gradient: gradient * math.inf if next(gradients) == 1 else gradient
    )
    with pytest.raises(TrainingError) as raised:
        trainer.run(dataset, pace=Pace(save_seconds=save_seconds))
    words = str(raised.value)
    assert "the gradient is not finite at step 1 (" in words
    named = [photo.path.name for photo in dataset.photos if photo.path.name in words]
    assert len(named) == 3
    assert "and 1 more" in words
    last = tmp_path / "last.safetensors"
    if save_seconds:
        assert "no state was saved before it" in words
        assert not last.exists()
    else:
        assert f"the state of step 1 is kept in {last}" in words
        assert f"--init {last}" in words
        assert all(np.isfinite(tensor).all() for tensor in load_checkpoint(last).tensors.values())


def test_it_starts_from_another_checkpoint(tmp_path: Path, dataset: Dataset) -> None:
    first = trainer_in(tmp_path / "first").run(dataset).checkpoint
    (tmp_path / "second").mkdir()
    trainer = loop.Trainer(TINY, SIZE, RECIPE, tmp_path / "second", "tiny", init=first)
    weights = load_checkpoint(first).tensors
    for name, tensor in trainer.average.items():
        np.testing.assert_array_equal(tensor.numpy(), weights[name])
    second = trainer.run(dataset)
    origin = load_checkpoint(second.checkpoint).origin["init"]
    assert origin["file"] == "best.safetensors"
    assert origin["taken"] == origin["layers"]
    # Going on needs the file no longer; another one is refused.
    trainer_in(tmp_path / "second").resume()
    loop.Trainer(TINY, SIZE, RECIPE, tmp_path / "second", "tiny", init=first).resume()
    with pytest.raises(InputError, match=r"last\.safetensors did not start from best\.safetensors"):
        loop.Trainer(TINY, SIZE, RECIPE, tmp_path / "second", "tiny", init=second.checkpoint).resume()


def test_in_slices_of_time_it_ends_as_in_one_go(tmp_path: Path, dataset: Dataset) -> None:
    undisturbed = train(tmp_path / "undisturbed", dataset)
    steps = []
    for _ in range(STEPS):
        trainer = trainer_in(tmp_path / "slices")
        trainer.resume()
        result = trainer.run(dataset, pace=Pace(max_seconds=0.0))
        steps.append(result.step)
        assert result.finished == (result.step == STEPS)
        assert result.checkpoint.exists()  # what there is can be exported at any time
    assert steps == list(range(1, STEPS + 1))
    assert_equal_weights(load_checkpoint(result.checkpoint).tensors, undisturbed)


def test_a_photo_that_cannot_be_decoded_is_listed_or_refused(tmp_path: Path) -> None:
    broken = write_synthetic_set(tmp_path / "data", 4, width_px=96, height_px=96)
    path = broken.photos[2].path
    path.write_bytes(b"\xff\xd8" + bytes(500) + b"\xff\xd9")
    result = trainer_in(tmp_path / "out").run(broken)
    assert result.finished
    assert len(result.problems) == 1
    assert str(path) in result.problems[0]
    with pytest.raises(InputError, match=path.name):
        trainer_in(tmp_path / "strict").run(broken, strict=True)


@pytest.mark.parametrize("limit", ["states", "curve"])
def test_a_full_disk_keeps_the_last_state(tmp_path: Path, data: Path, dataset: Dataset, limit: str) -> None:
    """A process that may write no file of more than some bytes: less than a state, or less than the curve."""
    trainer = trainer_in(tmp_path, tiny_training.DETECTOR, tiny_training.RECIPE)
    trainer.run(dataset, pace=Pace(max_seconds=0.0))
    last = tmp_path / "last.safetensors"
    content = last.read_bytes()
    if limit == "curve":
        with pytest.raises(InputError, match=r"cannot write .*training\.jsonl: File too large; free the disk"):
            _under_limit(tmp_path, dataset, 0, Pace(log_steps=1))
    else:
        with pytest.raises(InputError, match=r"cannot write .*last\.safetensors: File too large; free the disk"):
            _under_limit(tmp_path, dataset, len(content) // 2)
    assert last.read_bytes() == content
    assert not list(tmp_path.glob(".*.partial"))
    result = tiny_training.train(data, tmp_path)
    assert result.finished


def _under_limit(out: Path, dataset: Dataset, limit_bytes: int, pace: Pace = Pace()) -> None:
    """Go on with a training while no file may become larger than the limit."""
    trainer = trainer_in(out, tiny_training.DETECTOR, tiny_training.RECIPE)
    trainer.resume()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        trainer.run(dataset, pace=pace)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_best_validated_weights_are_kept(tmp_path: Path, dataset: Dataset) -> None:
    figures: Iterator[Mapping[str, float | None]] = iter([{"all": 0.2}, {"all": 0.5}, {"all": 0.4}, {"all": None}])
    seen: list[Checkpoint] = []

    def validate(checkpoint: Checkpoint) -> Mapping[str, float | None]:
        seen.append(Checkpoint(checkpoint.detector, SIZE, {n: t.copy() for n, t in checkpoint.tensors.items()}, {}))
        return next(figures)

    result = trainer_in(tmp_path).run(dataset, validate=validate)
    assert result.best == {"all": 0.5}
    assert len(seen) == RECIPE.epochs
    assert_equal_weights(load_checkpoint(result.checkpoint).tensors, seen[1].tensors)
    assert [line["all"] for line in curve(tmp_path) if "all" in line] == [0.2, 0.5, 0.4]


def test_training_learns_and_reports_every_step(tmp_path: Path, dataset: Dataset) -> None:
    recipe = replace(RECIPE, epochs=80, batch_size=4, learning_rate=1e-2)
    reports: list[tuple[int, int, str]] = []
    trainer = trainer_in(tmp_path, tiny_training.DETECTOR, recipe)
    trainer.run(dataset, progress=Told(lambda *report: reports.append(report)), pace=Pace(log_steps=1))
    assert reports == [(step, 80, "training") for step in range(1, 81)]
    losses = [line["score"] for line in curve(tmp_path)]
    assert np.mean(losses[-16:]) < 0.8 * np.mean(losses[:16])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_a_training_that_is_stopped_keeps_its_step(
    tmp_path: Path, data: Path, number: signal.Signals, code: int
) -> None:
    """In the first seconds, long before the state would be saved."""
    command = [sys.executable, "-P", str(SCRIPT), str(data), str(tmp_path / "out"), "seldom"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("3"):
                process.send_signal(number)
                break
        words = process.stdout.read()
    assert process.returncode in (code, 1)  # 1: an interpreter that lets Ctrl-C end it with a traceback
    step = load_checkpoint(tmp_path / "out" / "last.safetensors").origin["step"]
    assert step >= 3
    assert (
        f"stopped: step {step} of 16 is kept in {tmp_path / 'out' / 'last.safetensors'}; go on with --resume" in words
    )


def test_labels_that_changed_are_told(tmp_path: Path, data: Path, dataset: Dataset) -> None:
    trainer_in(tmp_path).run(dataset, pace=Pace(until_step=2))
    first = dataset.photos[0]
    moved = replace(first.labels, boxes=first.labels.boxes + 1)
    changed = replace(dataset, photos=(replace(first, labels=moved), *dataset.photos[1:]))
    for photos, told in ((dataset, False), (changed, True)):
        notes = Told()
        trainer = trainer_in(tmp_path)
        assert trainer.resume()
        trainer.run(photos, progress=notes, pace=Pace(until_step=3))
        assert any("labels of" in line for line in notes.lines) == told


def test_photos_in_memory_keep_to_what_there_is() -> None:
    assert 0 < loop.memory_for_photos() <= 6_000_000_000
