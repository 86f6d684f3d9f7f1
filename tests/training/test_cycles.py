"""Cycles: each from the best weights so far with a new schedule, exactly resumable, and an end where one brings nothing."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny_training import DETECTOR, SIZE
from helpers.told import Told

from facenas.checkpoint import Checkpoint, load_checkpoint
from facenas.data.annotations import Dataset
from facenas.data.source import open_dataset
from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError
from facenas.training.loop import Trainer
from facenas.training.recipe import Pace, Recipe

RECIPE = Recipe(epochs=2, size_px=64, batch_size=2, cycles=3)
STEPS = 4  # of a cycle: 4 photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("photos")
    write_synthetic_set(folder, 4, width_px=96, height_px=96)
    return open_dataset(folder)


def trainer_in(out: Path, recipe: Recipe = RECIPE) -> Trainer:
    out.mkdir(exist_ok=True)
    trainer = Trainer(DETECTOR, SIZE, recipe, out, "photos")
    torch.set_num_threads(1)
    trainer.resume()
    return trainer


def by_weights(checkpoint: Checkpoint) -> Mapping[str, float | None]:
    """A figure that any change of the weights changes, as if at random."""
    return {"all": float(np.abs(checkpoint.tensors["backbone.stage1.0.conv.weight"]).sum()) * 1e3 % 1}


def rising(checkpoint: Checkpoint) -> Mapping[str, float | None]:
    """Later weights are better."""
    return {"all": checkpoint.origin["step"] / 1000}


def test_a_training_of_cycles_ends_the_same_however_often_it_is_stopped(photos: Dataset, tmp_path: Path) -> None:
    whole = trainer_in(tmp_path / "whole").run(photos, validate=by_weights)
    for _ in range(3 * STEPS):
        parts = trainer_in(tmp_path / "parts").run(photos, validate=by_weights, pace=Pace(max_seconds=0.0))
        if parts.finished:
            break
    assert parts.finished
    assert parts.step == whole.step
    for name in ("best.safetensors", "last.safetensors"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_cycle_begins_from_the_best_weights(photos: Dataset, tmp_path: Path) -> None:
    """The first validation, at step 2, is the best; the second cycle then begins from what was kept there."""

    def first_is_best(checkpoint: Checkpoint) -> Mapping[str, float | None]:
        return {"all": 1 / checkpoint.origin["step"]}

    trainer_in(tmp_path).run(photos, validate=first_is_best, pace=Pace(until_step=STEPS))
    best = load_checkpoint(tmp_path / "best.safetensors")
    assert best.origin["step"] == 2
    last = load_checkpoint(tmp_path / "last.safetensors")
    for name, tensor in best.tensors.items():
        assert (last.tensors[f"network/{name}"] == tensor).all()
        assert (last.tensors[f"average/{name}"] == tensor).all()
    assert not any(name.startswith("optimizer/") for name in last.tensors)


def test_cycles_that_bring_something_are_all_made_and_told(photos: Dataset, tmp_path: Path) -> None:
    told = Told()
    result = trainer_in(tmp_path).run(photos, validate=rising, pace=Pace(log_steps=2), progress=told)
    assert all(word in told.lines[-1] for word in ("step 12:", "loss", "AP all 0.012", "crops a second"))
    assert (result.step, result.steps, result.finished) == (3 * STEPS, 3 * STEPS, True)
    assert "score" in (tmp_path / "training.csv").read_text().splitlines()[0]


def test_a_cycle_that_brings_nothing_is_the_last(photos: Dataset, tmp_path: Path) -> None:
    told = Told()
    result = trainer_in(tmp_path).run(photos, validate=lambda _: {"all": 0.5}, progress=told)
    assert (result.step, result.finished) == (2 * STEPS, True)
    assert any("cycle 2 of 3 brought nothing better" in note for note in told.lines)
    again = trainer_in(tmp_path).run(photos, validate=lambda _: {"all": 0.5})
    assert (again.step, again.finished) == (2 * STEPS, True)


def test_one_cycle_is_what_it_was(photos: Dataset, tmp_path: Path) -> None:
    one = trainer_in(tmp_path / "one", replace(RECIPE, cycles=1)).run(photos, validate=rising)
    assert one.step == STEPS
    three = trainer_in(tmp_path / "three").run(photos, validate=rising, pace=Pace(until_step=STEPS))
    assert not three.finished
    first, other = (load_checkpoint(result.checkpoint).tensors for result in (one, three))
    assert all((first[name] == other[name]).all() for name in first)


def test_a_number_of_cycles_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="cycles 0 must be more than zero"):
        replace(RECIPE, cycles=0)
