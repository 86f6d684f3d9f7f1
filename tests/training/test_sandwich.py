"""A supernet's training: three members a step, repeatable to the bit also across kill -9, and judged slice by slice."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_supernet
from helpers.random_networks import TINY
from helpers.tiny_elastic import TINY_SPACE

from facenas.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from facenas.data.source import open_dataset
from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError
from facenas.networks.elastic_network import ElasticNetwork
from facenas.training import loop
from facenas.training.initial import initialise
from facenas.training.photos import training_photos
from facenas.training.recipe import Pace, Recipe
from facenas.training.sandwich import SliceValidation, members_of_step
from facenas.training.session import train_detector
from facenas.units import Size

SCRIPT = Path(tiny_supernet.__file__)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_synthetic_set(folder, 4, width_px=96, height_px=96)
    return folder


def assert_equal_states(one: Path, other: Path) -> None:
    """Weights, their average and the optimiser's moments, to the bit."""
    first, second = (load_checkpoint(out / "last.safetensors", supernet=True).tensors for out in (one, other))
    assert set(first) == set(second)
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor, second[name], err_msg=name)


def curve(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]


def test_a_step_trains_the_largest_the_smallest_and_another_random_member_every_time() -> None:
    steps = [members_of_step(TINY_SPACE, seed=3, step=step) for step in range(40)]
    assert {step["largest"] for step in steps} == {TINY_SPACE.largest}
    assert {step["smallest"] for step in steps} == {TINY_SPACE.smallest}
    assert len({step["random"] for step in steps}) > 20
    assert steps == [members_of_step(TINY_SPACE, seed=3, step=step) for step in range(40)]
    assert steps != [members_of_step(TINY_SPACE, seed=4, step=step) for step in range(40)]


def test_killed_twice_it_ends_as_if_undisturbed(tmp_path: Path, data: Path) -> None:
    tiny_supernet.train(data, tmp_path / "undisturbed")
    out = tmp_path / "killed"
    for kill_after in (3, 8):
        _train_and_kill(data, out, kill_after)
    tiny_supernet.train(data, out)
    assert load_checkpoint(out / "last.safetensors", supernet=True).origin["step"] == tiny_supernet.RECIPE.steps(4)
    assert_equal_states(out, tmp_path / "undisturbed")


def _train_and_kill(data: Path, out: Path, kill_after: int) -> None:
    command = [sys.executable, str(SCRIPT), str(data), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert process.stdout is not None
    with process, process.stdout:
        for line in process.stdout:
            if int(line) == kill_after:
                process.kill()
    assert process.returncode == -signal.SIGKILL


def test_two_processes_equal_one_with_the_whole_batch(tmp_path: Path, data: Path) -> None:
    tiny_supernet.train(data, tmp_path / "one", tiny_supernet.PLAIN_RECIPE)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    command = [sys.executable, *launcher, str(SCRIPT), str(data), str(tmp_path / "two"), "plain"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert result.returncode == 0, result.stderr
    one, two = (load_checkpoint(tmp_path / name / "last.safetensors", supernet=True) for name in ("one", "two"))
    for name, tensor in one.tensors.items():
        np.testing.assert_allclose(two.tensors[name], tensor, rtol=2e-4, atol=2e-5, err_msg=name)
    for first, second in zip(curve(tmp_path / "one"), curve(tmp_path / "two"), strict=True):
        for loss in ("score", "box", "smallest score", "random box"):
            assert second[loss] == pytest.approx(first[loss], rel=1e-3, abs=2e-5)


def test_it_trains_validates_three_slices_and_leaves_only_its_own_files(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "data", 10, width_px=96, height_px=96)
    photos, out = training_photos(tmp_path / "data", None), tmp_path / "out"
    recipe = Recipe(epochs=2, size_px=64, batch_size=3)
    result = train_detector(TINY_SPACE, Size(96, 96), recipe, photos, out)
    kept = ["best.safetensors", "last.safetensors", "training.csv", "training.jsonl"]
    assert sorted(path.name for path in out.iterdir()) == kept
    settings = ("easy", "medium", "hard", "all")
    assert list(result.best) == [f"{which} {name}" for which in ("largest", "middle", "smallest") for name in settings]
    assert [line["step"] for line in curve(out) if "middle all" in line] == [3, 6]
    checkpoint = load_checkpoint(result.checkpoint, supernet=True)
    assert checkpoint.detector == TINY_SPACE.largest
    assert checkpoint.space is not None
    assert (checkpoint.space.name, checkpoint.space.digest) == ("tiny", TINY_SPACE.digest)
    with torch.device("meta"):
        shapes = {name: tuple(p.shape) for name, p in ElasticNetwork(TINY_SPACE).named_parameters()}
    assert {name: tensor.shape for name, tensor in checkpoint.tensors.items()} == shapes


def test_a_slice_is_validated_as_the_detector_that_it_is(tmp_path: Path, data: Path) -> None:
    """What is judged has the member's architecture, its slice of the weights, and moments of its own."""
    torch.manual_seed(0)
    network = ElasticNetwork(TINY_SPACE)
    tensors = {name: parameter.detach().numpy() for name, parameter in network.named_parameters()}
    judged: list[Checkpoint] = []

    def validate(checkpoint: Checkpoint) -> Mapping[str, float | None]:
        judged.append(checkpoint)
        return {"all": 0.1 * len(judged)}

    validation = SliceValidation(TINY_SPACE, open_dataset(data), Recipe(size_px=64), validate)
    figures = validation(Checkpoint(TINY_SPACE.largest, Size(64, 64), tensors, {}))
    assert figures == pytest.approx({"largest all": 0.1, "middle all": 0.2, "smallest all": 0.3})
    assert [each.detector for each in judged] == [TINY_SPACE.largest, TINY_SPACE.middle, TINY_SPACE.smallest]
    smallest = judged[2].tensors
    name = "backbone.stage4.0.conv1.conv.weight"
    out_channels, in_channels = smallest[name].shape[:2]
    np.testing.assert_array_equal(smallest[name], tensors[name][:out_channels, :in_channels])
    norm = "backbone.stage4.0.conv1.norm.running_mean"
    assert smallest[norm].any()
    assert not np.allclose(smallest[norm], judged[0].tensors[norm][:out_channels])


def test_another_space_in_the_folder_is_refused(tmp_path: Path, data: Path) -> None:
    tiny_supernet.train(data, tmp_path / "out", pace=Pace(until_step=1))
    renamed = replace(TINY_SPACE, name="renamed")
    loop.Trainer(renamed, Size(64, 64), tiny_supernet.RECIPE, tmp_path / "out", "tiny").resume()
    other = replace(TINY_SPACE, name="other", head_convs=(2,))
    for subject, words in ((other, "than space 'other'; choose another --out"), (TINY, "than a single detector")):
        trainer = loop.Trainer(subject, Size(64, 64), tiny_supernet.RECIPE, tmp_path / "out", "tiny")
        with pytest.raises(InputError, match=rf"last\.safetensors was trained on space 'tiny'.*{words}"):
            trainer.resume()


def test_a_supernet_is_no_single_detectors_checkpoint(tmp_path: Path, data: Path) -> None:
    result = tiny_supernet.train(data, tmp_path / "out")
    with pytest.raises(InputError, match="is a supernet of space 'tiny', no single detector"):
        load_checkpoint(result.checkpoint)
    again = loop.Trainer(
        TINY_SPACE, Size(64, 64), tiny_supernet.RECIPE, tmp_path / "again", "tiny", init=result.checkpoint
    )
    assert again.init is not None
    assert again.init.taken == again.init.layers


def test_without_a_space_the_header_of_a_checkpoint_is_as_before(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x.safetensors", Checkpoint(TINY, Size(64, 64), {"a": np.zeros(1, np.float32)}, {}))
    assert b"space" not in (tmp_path / "x.safetensors").read_bytes()
    assert load_checkpoint(tmp_path / "x.safetensors").space is None


def test_a_supernet_learns_landmarks_and_its_members_start_with_them(data: Path, tmp_path: Path) -> None:
    space = replace(TINY_SPACE, landmarks=True)
    photos = training_photos(data, data)
    train_detector(space, Size(64, 64), tiny_supernet.RECIPE, photos, tmp_path / "supernet")
    losses = [line for line in curve(tmp_path / "supernet") if "landmark" in line]
    assert losses
    assert all(line["landmark"] > 0 and line["smallest landmark"] > 0 for line in losses)
    best = tmp_path / "supernet" / "best.safetensors"
    assert load_checkpoint(best, supernet=True).detector.landmarks
    member = loop.Trainer(space.smallest, Size(64, 64), tiny_supernet.RECIPE, tmp_path, "data")
    initial = initialise(member.network, best, space)
    assert initial.taken == initial.layers
