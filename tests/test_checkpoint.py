"""Checkpoints: what is saved is loaded, a damaged file is refused, and nothing in a file is ever executed."""

import json
import os
import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.random_networks import TINY, checkpoint_of, random_network, with_landmarks
from safetensors.numpy import save

from facenas.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from facenas.errors import InputError
from facenas.units import Size

SIZE = Size(96, 64)


@pytest.fixture
def checkpoint() -> Checkpoint:
    return checkpoint_of(random_network(with_landmarks(TINY)), SIZE)


def test_a_checkpoint_reads_back(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "c.safetensors"
    origin = {"data": "ünï", "step": 3, "recipe": {"epochs": 1}, "figures": {"easy": None}}
    save_checkpoint(path, Checkpoint(checkpoint.detector, SIZE, checkpoint.tensors, origin))
    loaded = load_checkpoint(path)
    assert (loaded.detector, loaded.input_size, loaded.origin) == (checkpoint.detector, SIZE, origin)
    assert loaded.detector.landmarks
    assert set(loaded.tensors) == set(checkpoint.tensors)
    for name, tensor in checkpoint.tensors.items():
        assert loaded.tensors[name].shape == tensor.shape
        np.testing.assert_array_equal(loaded.tensors[name], tensor)


def test_in_half_precision_it_takes_half_and_reads_back_as_float32(tmp_path: Path, checkpoint: Checkpoint) -> None:
    save_checkpoint(tmp_path / "whole", checkpoint)
    halves = {name: tensor.astype(np.float16) for name, tensor in checkpoint.tensors.items()}
    save_checkpoint(tmp_path / "half", replace(checkpoint, tensors=halves))
    loaded = load_checkpoint(tmp_path / "half")
    for name, tensor in checkpoint.tensors.items():
        assert loaded.tensors[name].dtype == np.float32
        np.testing.assert_allclose(loaded.tensors[name], tensor, rtol=1e-3, atol=1e-4)
    sizes = [(tmp_path / name).stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.75 * sizes[1]


def test_equal_checkpoints_are_equal_bytes(tmp_path: Path, checkpoint: Checkpoint) -> None:
    save_checkpoint(tmp_path / "one", checkpoint)
    reordered = dict(reversed(list(checkpoint.tensors.items())))
    save_checkpoint(tmp_path / "other", Checkpoint(checkpoint.detector, SIZE, reordered, checkpoint.origin))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_tensor_in_another_memory_layout_keeps_its_values(tmp_path: Path, checkpoint: Checkpoint) -> None:
    turned = {name: np.asfortranarray(tensor) for name, tensor in checkpoint.tensors.items()}
    save_checkpoint(tmp_path / "c", Checkpoint(checkpoint.detector, SIZE, turned, {}))
    for name, tensor in load_checkpoint(tmp_path / "c").tensors.items():
        np.testing.assert_array_equal(tensor, checkpoint.tensors[name])


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, checkpoint: Checkpoint, share: float) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, checkpoint)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"c\.safetensors is no whole safetensors file"):
        load_checkpoint(path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no checkpoint at .*absent.*facenas train"):
        load_checkpoint(tmp_path / "absent")
    with pytest.raises(InputError, match="no checkpoint at"):
        load_checkpoint(tmp_path)


HEADER = {"schema": 1, "architecture": str(TINY), "landmarks": False, "input": "96x64", "origin": {}}


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (None, "was not written by facenas"),
        ({"format": "pt"}, "was not written by facenas"),
        ({"facenas": "{"}, "was not written by facenas"),
        ({"facenas": "[]"}, "was not written by facenas"),
        ({"facenas": json.dumps(HEADER | {"schema": 2})}, "has schema 2, this facenas reads 1; train again"),
        ({"facenas": json.dumps(HEADER | {"architecture": "x"})}, "'x'"),
        ({"facenas": json.dumps(HEADER | {"architecture": 5})}, "was not written by facenas"),
        ({"facenas": json.dumps(HEADER | {"input": 640})}, "was not written by facenas"),
        ({"facenas": json.dumps(HEADER | {"input": "640"})}, "size '640'"),
    ],
)
def test_another_header_is_refused(tmp_path: Path, metadata: dict[str, str] | None, words: str) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(save({"x": np.zeros(2, np.float32)}, metadata))
    with pytest.raises(InputError) as raised:
        load_checkpoint(path)
    assert words in str(raised.value)


class Explosive:
    """Unpickling it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, (str(self.trace),)


def test_a_pickle_is_refused_and_never_opened(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for name, content in (("pickle", pickle.dumps(Explosive(trace))), ("torch", None)):
        path = tmp_path / f"{name}.safetensors"
        if content is None:
            torch.save(Explosive(trace), path)
        else:
            path.write_bytes(content)
        with pytest.raises(InputError, match="is no whole safetensors file"):
            load_checkpoint(path)
        assert not trace.exists()


def test_loading_needs_no_torch(tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path / "c", checkpoint)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert load_checkpoint(tmp_path / "c").detector == checkpoint.detector
