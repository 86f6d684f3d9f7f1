"""A slice of a supernet is the same network built alone: equal tensors for equal weights, gradients where it belongs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.tiny_elastic import TINY_SPACE
from hypothesis import given, settings
from hypothesis import strategies as st

from facenas.architecture import Architecture, parse_architecture
from facenas.errors import InputError
from facenas.networks.elastic_network import ElasticNetwork
from facenas.networks.network import DetectorNetwork
from facenas.networks.norms import network_of_slice
from facenas.spaces.elastic_space import elastic_space

EDGE = elastic_space("facenas-elastic")


def supernet(seed: int = 0) -> ElasticNetwork:
    """A supernet whose gains, offsets and biases all differ, so that no two channels can be confused."""
    torch.manual_seed(seed)
    network = ElasticNetwork(TINY_SPACE)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network


def alone(network: ElasticNetwork, member: Architecture) -> DetectorNetwork:
    """The member built by itself, with the first channels of the supernet's tensors."""
    result = DetectorNetwork(member).train()
    with torch.no_grad():
        for name, parameter in result.named_parameters():
            parameter.copy_(network.get_parameter(name)[tuple(slice(side) for side in parameter.shape)])
    return result


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_a_slice_and_the_same_network_alone_give_equal_tensors_and_gradients(seed: int) -> None:
    network = supernet()
    member = TINY_SPACE.random_member(np.random.default_rng(seed))
    images = torch.randn(2, 3, 64, 96)
    lone = alone(network, member)
    outputs, expected = network.run(member, images), lone(images)
    for output, wanted in zip(outputs, expected, strict=True):
        assert torch.equal(output, wanted)
    for each in (outputs, expected):
        torch.stack([output.square().sum() for output in each]).sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in lone.named_parameters():
        gradient = network.get_parameter(name).grad
        assert gradient is not None
        of_slice = gradient[tuple(slice(side) for side in parameter.shape)]
        torch.testing.assert_close(of_slice, parameter.grad, rtol=1e-5, atol=1e-5)


def test_of_the_real_space_too() -> None:
    torch.manual_seed(1)
    network = ElasticNetwork(EDGE)
    images = torch.randn(1, 3, 64, 64)
    for member in (EDGE.largest, EDGE.middle, EDGE.smallest):
        with torch.no_grad():
            for output, wanted in zip(network.run(member, images), alone(network, member)(images), strict=True):
                assert torch.equal(output, wanted)


def test_called_as_a_module_it_is_the_largest() -> None:
    network, images = supernet(), torch.randn(2, 3, 64, 64)
    for output, wanted in zip(network(images), network.run(TINY_SPACE.largest, images), strict=True):
        assert torch.equal(output, wanted)


def test_a_slice_moves_nothing_outside_of_it() -> None:
    network = supernet()
    outputs = network.run(TINY_SPACE.smallest, torch.randn(2, 3, 64, 64))
    torch.stack([output.square().sum() for output in outputs]).sum().backward()  # type: ignore[no-untyped-call]
    shapes = {name: p.shape for name, p in DetectorNetwork(TINY_SPACE.smallest).named_parameters()}
    outside = 0
    for name, parameter in network.named_parameters():
        if parameter.grad is None:
            assert name not in shapes
            continue
        gradient = parameter.grad.clone()
        gradient[tuple(slice(side) for side in shapes[name])] = 0
        assert not gradient.any()
        outside += gradient.numel()
    assert outside


def test_what_is_no_member_does_not_run() -> None:
    other = parse_architecture(str(TINY_SPACE.smallest).replace("PAFPN(8)", "PAFPN(12)"))
    with pytest.raises(InputError, match="a neck of width 12; space 'tiny' has 8, 16"):
        supernet().run(other, torch.randn(1, 3, 64, 64))


def test_estimated_norms_are_the_average_of_the_batches_moments() -> None:
    """With the moments of one batch, a slice answers that batch in evaluation as it did in training."""
    network, images = supernet(), torch.randn(8, 3, 256, 256)
    member = TINY_SPACE.middle
    tensors = {name: parameter.detach() for name, parameter in network.named_parameters()}
    with torch.no_grad():
        deployed = network_of_slice(tensors, member, [images])
        assert not deployed.training
        for output, wanted in zip(deployed(images), network.run(member, images), strict=True):
            assert (output - wanted).abs().mean() < 0.01 * wanted.std()  # variances are by n - 1 there, by n here
        other = torch.randn(8, 3, 256, 256) * 2 + 1
        both, first, second = (
            network_of_slice(tensors, member, batches) for batches in ([images, other], [images], [other])
        )
    name = "backbone.stage1.0.norm.running_mean"
    torch.testing.assert_close(both.get_buffer(name), (first.get_buffer(name) + second.get_buffer(name)) / 2)


def test_norms_need_images() -> None:
    tensors = {name: parameter.detach() for name, parameter in supernet().named_parameters()}
    with pytest.raises(ValueError, match="no images"):
        network_of_slice(tensors, TINY_SPACE.smallest, [])


def test_a_supernet_has_no_moments_of_its_own() -> None:
    assert not any("running" in name for name in supernet().state_dict())
    assert replace(TINY_SPACE, name="again").largest == supernet().detector
