"""From a supernet to faces on the command line: a slice is cut, exported and evaluated like any detector; what cannot be
is refused in one line that names the cure."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import Outcome
from helpers.random_supernet import write_photos, write_supernet

from facenas.checkpoint import load_checkpoint, save_checkpoint
from facenas.data.synthetic import write_synthetic_set
from facenas.spaces.elastic_space import elastic_space
from facenas.zoo import zoo_model

Run = Callable[..., Outcome]
EDGE = elastic_space("facenas-elastic")
SMALLEST = str(EDGE.smallest)


@pytest.fixture(scope="module")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_supernet(tmp_path_factory.mktemp("supernet") / "supernet.safetensors", EDGE)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 16)


def test_a_slice_is_cut_exported_evaluated_and_trained_on(
    facenas: Run, tmp_path: Path, supernet: Path, photos: Path
) -> None:
    cut, training = tmp_path / "slice.safetensors", tmp_path / "supernet"
    training.mkdir()
    (training / "best.safetensors").symlink_to(supernet)
    done = facenas("slice", "--supernet", training, "--arch", SMALLEST, "--photos", photos, "--out", cut, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["architecture"] == SMALLEST
    assert json.loads(done.out)["photos"] == photos.name
    model = tmp_path / "model.onnx"
    assert facenas("export", "--checkpoint", cut, "--input", "96x64", "--out", model).code == 0
    write_synthetic_set(tmp_path / "data", 8, width_px=96, height_px=64)
    judged = facenas("evaluate", "--model", model, "--data", tmp_path / "data", "--protocol", "own", "--json")
    assert 0 <= json.loads(judged.out)["all"] <= 1
    words = ("--data", tmp_path / "data", "--crop", "64", "--batch", "4", "--epochs", "1")
    for init, out in ((cut, tmp_path / "of_slice"), (supernet, tmp_path / "of_supernet")):
        done = facenas("train", "--arch", SMALLEST, *words, "--init", init, "--out", out)
        assert done.code == 0, done.err
        assert f"layers start from {init.name}" in done.err
        assert "at random" not in done.err
        trained = load_checkpoint(out / "best.safetensors")
        weight = "backbone.stage5.0.conv1.conv.weight"
        start = load_checkpoint(cut).tensors[weight]
        assert np.abs(trained.tensors[weight] - start).max() < 0.05  # two steps away from where it began
        variance = "backbone.stage5.0.conv1.norm.running_var"
        assert not np.allclose(trained.tensors[variance], 1, atol=0.01)  # of crops, not those of a new network
    assert facenas("train", "--arch", SMALLEST, *words, "--init", supernet, "--out", out, "--resume").code == 0


def test_the_best_of_a_search_is_cut_and_synthetic_photos_are_called_that(
    facenas: Run, tmp_path: Path, supernet: Path
) -> None:
    search = tmp_path / "search"
    words = ("--space", "facenas-elastic", "--device", "none", "--flops", "250M", "--input", "320x256")
    assert facenas("search", *words, "--out", search).code == 0
    best = json.loads((search / "search.json").read_text())["architecture"]
    out = tmp_path / "cut.safetensors"
    done = facenas("slice", "--supernet", supernet, "--arch", search, "--crops", "16", "--out", out)
    assert "norms from synthetic photos" in done.err
    assert str(load_checkpoint(out).detector) == best
    assert load_checkpoint(out).origin["norms"]["photos"] == "synthetic"


def test_unusable_words_are_one_line_with_the_cure(facenas: Run, tmp_path: Path, supernet: Path, photos: Path) -> None:
    few = write_photos(tmp_path / "few", 3)
    small = tmp_path / "zoo.safetensors"
    save_checkpoint(small, load_checkpoint(zoo_model().with_suffix(".safetensors")))
    narrower = SMALLEST.replace("PAFPN(16)", "PAFPN(24)")
    data = tmp_path / "data"
    write_synthetic_set(data, 16, width_px=96, height_px=64)
    of = ("--supernet", supernet)
    refused = {
        ("slice", *of, "--arch", narrower): "a neck of width 24; space 'facenas-elastic' has 16, 32, 48",
        ("slice", *of, "--arch", SMALLEST, "--photos", few): "holds 3 photos, the norms of a slice need 16",
        ("slice", "--supernet", small, "--arch", SMALLEST): "no supernet; give a checkpoint of `facenas train --space`",
        ("appraise", "--supernet", small, "--data", photos): "no supernet; give a checkpoint",
        ("appraise", *of, "--data", data, "--slices", "3"): "of 3 slices no error can be told",
        ("appraise", *of, "--data", photos): "no labels in",
        ("export", "--checkpoint", supernet): "cut one out with `facenas slice --supernet",
        (
            "train",
            "--arch",
            narrower,
            "--init",
            supernet,
            "--data",
            data,
            "--out",
            tmp_path / "out",
        ): "a neck of width 24",
    }
    for words, reason in refused.items():
        done = facenas(*words)
        assert done.code == 2, words
        assert done.err.startswith("facenas: "), done.err
        assert done.err.count("\n") == 1, done.err
        assert reason in done.err
