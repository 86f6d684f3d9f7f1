"""The torch network: the parameters that are counted, a head that learns per level, gradients everywhere."""

import pytest
import torch
from helpers.random_architectures import small_detectors
from helpers.random_networks import ALL_FAMILIES, TINY, random_network, with_landmarks
from hypothesis import given, settings

from facenas.architecture import PUBLISHED_NAMES, Architecture, published_detector
from facenas.cost import detector_costs
from facenas.graph import SCORE_CHANNELS, STRIDES, build_graph
from facenas.networks.network import PRIOR_FACE_PROBABILITY, DetectorNetwork
from facenas.units import Size


def counted_parameters(network: DetectorNetwork) -> int:
    """Parameters as the published tables count them: the head's norms of one level, and no level scales."""
    others = tuple(f".{stride}.norm" for stride in STRIDES[1:])
    return sum(
        parameter.numel()
        for name, parameter in network.named_parameters()
        if not (name.startswith("head.") and any(other in name for other in others)) and ".scale." not in name
    )


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_published_networks_have_the_counted_parameters(name: str) -> None:
    detector = published_detector(name)
    assert counted_parameters(DetectorNetwork(detector)) == detector_costs(detector, Size(64, 64)).params


@settings(max_examples=25)
@given(small_detectors())
def test_any_network_has_the_counted_parameters_and_the_graphs_tensors(detector: Architecture) -> None:
    network = DetectorNetwork(detector)
    assert counted_parameters(network) == detector_costs(detector, Size(64, 64)).params
    graph = build_graph(detector, Size(64, 64))
    tensors = set(network.state_dict())
    assert {f"{layer.weight}.weight" for layer in graph.layers if layer.weight} <= tensors
    assert {f"{layer.norm}.running_mean" for layer in graph.layers if layer.norm} <= tensors


def test_outputs_at_any_size_and_batch() -> None:
    network = random_network(with_landmarks(ALL_FAMILIES))
    for batch, height, width in ((1, 64, 96), (2, 128, 32)):
        outputs = network(torch.zeros(batch, 3, height, width))
        assert [tuple(output.shape) for output in outputs] == [(batch, 30, height // s, width // s) for s in STRIDES]


def test_an_untrained_network_believes_in_few_faces() -> None:
    torch.manual_seed(0)
    network = DetectorNetwork(published_detector("damofd-0.5g"))
    scores = torch.cat([o[:, SCORE_CHANNELS].sigmoid().flatten() for o in network(torch.randn(2, 3, 64, 64))])
    assert scores.mean().item() == pytest.approx(PRIOR_FACE_PROBABILITY, rel=0.5)


def test_every_parameter_learns() -> None:
    network = random_network(with_landmarks(ALL_FAMILIES)).train()
    loss = sum(output.square().mean() for output in network(torch.randn(2, 3, 64, 64)))
    torch.as_tensor(loss).backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert all(network.get_parameter(f"head.scale.{stride}").grad != 0 for stride in STRIDES)


def test_levels_keep_norms_of_their_own_while_training() -> None:
    network = DetectorNetwork(TINY).train()
    network(torch.randn(4, 3, 96, 96) * 3)
    means = [network.get_buffer(f"head.0.depthwise.{stride}.norm.running_mean") for stride in STRIDES]
    assert not torch.equal(means[0], means[1])
    assert not torch.equal(means[1], means[2])


def test_equal_seeds_give_equal_networks() -> None:
    networks = []
    for _ in range(2):
        torch.manual_seed(5)
        networks.append(DetectorNetwork(TINY).state_dict())
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])
