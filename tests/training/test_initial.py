"""Weights to start from: all of an equal architecture, of another the layers that fit, nothing that does not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.random_networks import TINY, checkpoint_of, random_network, with_landmarks
from helpers.random_supernet import write_supernet
from helpers.tiny_elastic import TINY_SPACE

from facenas.architecture import parse_architecture, published_detector
from facenas.checkpoint import Checkpoint, save_checkpoint
from facenas.errors import InputError
from facenas.graph import BOX_CHANNELS
from facenas.networks.network import DetectorNetwork
from facenas.networks.slices import open_supernet
from facenas.training.initial import initialise
from facenas.training.optimization import floats_of
from facenas.units import Size

WIDER_LAST_STAGE = parse_architecture(
    str(TINY).replace("SuperConvK3BNRELU(8,8,2,1)PAFPN", "SuperConvK3BNRELU(8,16,2,1)PAFPN")
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "c.safetensors", checkpoint_of(random_network(TINY), Size(64, 64)))
    return tmp_path / "c.safetensors"


def taken(network: DetectorNetwork) -> set[str]:
    """Names of the tensors that equal the checkpoint's."""
    source = floats_of(random_network(TINY))
    return {
        name
        for name, tensor in floats_of(network).items()
        if name in source and tensor.shape == source[name].shape and torch.equal(tensor, source[name])
    }


def test_all_of_an_equal_architecture(checkpoint: Path) -> None:
    network = DetectorNetwork(TINY)
    initial = initialise(network, checkpoint)
    assert initial.taken == initial.layers
    assert taken(network) == set(floats_of(network))
    assert initial.summary == f"{initial.taken} of {initial.layers} layers start from c.safetensors"


def test_a_member_takes_its_slice_of_a_supernet(tmp_path: Path) -> None:
    path = write_supernet(tmp_path / "supernet.safetensors", TINY_SPACE)
    network = DetectorNetwork(TINY_SPACE.middle)
    initial = initialise(network, path, TINY_SPACE)
    assert (initial.taken, initial.moments) == (initial.layers, False)
    expected = open_supernet(path, TINY_SPACE).slice(TINY_SPACE.middle, [torch.randn(4, 3, 64, 64)], {})
    for name, parameter in network.named_parameters():
        np.testing.assert_array_equal(parameter.detach().numpy(), expected.tensors[name])
    with pytest.raises(InputError, match=r"stage 1.*space 'tiny'"):
        initialise(DetectorNetwork(published_detector("damofd-0.5g")), path, TINY_SPACE)


def test_the_layers_of_another_architecture_that_fit(checkpoint: Path) -> None:
    network = DetectorNetwork(WIDER_LAST_STAGE)
    initial = initialise(network, checkpoint)
    assert initial.layers - initial.taken == 2  # the last stage and the neck's convolution that reads it
    left = set(floats_of(network)) - taken(network)
    assert {".".join(name.split(".")[:3]) for name in left} == {"backbone.stage5.0", "neck.lateral.32"}
    assert "the other 2 start at random" in initial.summary


def test_landmarks_are_added_and_dropped_without_losing_the_boxes(checkpoint: Path, tmp_path: Path) -> None:
    plain, richer = random_network(TINY), DetectorNetwork(with_landmarks(TINY))
    initial = initialise(richer, checkpoint)
    assert (initial.taken, initial.landmarks_added) == (initial.layers, True)
    assert "landmarks are new" in initial.summary
    photo = torch.rand(1, 3, 64, 64)
    for network in (plain, richer):
        network.eval()
    for scores_and_boxes, all_outputs in zip(plain(photo), richer(photo), strict=True):
        torch.testing.assert_close(all_outputs[:, : BOX_CHANNELS.stop], scores_and_boxes)
    save_checkpoint(tmp_path / "richer.safetensors", checkpoint_of(richer, Size(64, 64)))
    back = DetectorNetwork(TINY)
    assert initialise(back, tmp_path / "richer.safetensors").whole
    assert taken(back) == set(floats_of(back))


def test_the_average_of_a_state(tmp_path: Path) -> None:
    plain = checkpoint_of(random_network(TINY), Size(64, 64))
    tensors = {f"average/{name}": tensor for name, tensor in plain.tensors.items()}
    tensors |= {f"network/{name}": np.zeros_like(tensor) for name, tensor in plain.tensors.items()}
    save_checkpoint(tmp_path / "last.safetensors", Checkpoint(TINY, Size(64, 64), tensors, {}))
    network = DetectorNetwork(TINY)
    initialise(network, tmp_path / "last.safetensors")
    assert taken(network) == set(floats_of(network))


def test_nothing_that_fits_is_refused(checkpoint: Path) -> None:
    other = parse_architecture(
        "".join(f"SuperConvK3BNRELU({i},{o},2,1)" for i, o in ((3, 16), (16, 24), (24, 24), (24, 24), (24, 24)))
        + "PAFPN(24)Head(24,1)"
    )
    network = DetectorNetwork(other)
    before = {name: tensor.clone() for name, tensor in floats_of(network).items()}
    with pytest.raises(InputError, match=r"no layer of '.*' in .*c\.safetensors has the shape of its namesake"):
        initialise(network, checkpoint)
    assert all(torch.equal(tensor, floats_of(network)[name]) for name, tensor in before.items())
    with pytest.raises(InputError, match="no checkpoint at"):
        initialise(network, checkpoint.with_name("absent"))
