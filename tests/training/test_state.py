import pytest
import torch
from helpers.random_networks import TINY

from facenas.networks.network import DetectorNetwork
from facenas.training.optimization import floats_of
from facenas.training.state import restore_arrays, state_arrays


def _begun(fused: bool) -> tuple[DetectorNetwork, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = DetectorNetwork(TINY)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network, torch.optim.AdamW(network.parameters(), lr=0.01, fused=fused)


def _step(network: DetectorNetwork, optimizer: torch.optim.Optimizer, seed: int) -> None:
    images = torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    sum(output.square().sum() for output in network(images.to(memory_format=torch.channels_last))).backward()
    optimizer.step()


@pytest.mark.parametrize("fused", [False, True])
def test_an_optimiser_goes_on_from_a_state_as_if_never_stopped(fused: bool) -> None:
    network, optimizer = _begun(fused)
    _step(network, optimizer, 1)
    arrays = state_arrays(network, floats_of(network), optimizer)
    again, its_optimizer = _begun(fused)
    restore_arrays(arrays, again, {name: tensor.clone() for name, tensor in floats_of(again).items()}, its_optimizer)
    for one, its in ((network, optimizer), (again, its_optimizer)):
        _step(one, its, 2)
    for name, tensor in floats_of(network).items():
        assert torch.equal(floats_of(again)[name], tensor), name
