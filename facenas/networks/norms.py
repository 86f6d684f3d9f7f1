"""Norms of a slice, estimated anew: a supernet's norms hold no moments, because every slice has others.

    mean, variance = average over batches of crops of the batch's own      (each batch counts alike)

How many crops are needed (AP hard on 100 photos of WIDER FACE val of the smallest, middle and largest slice of a supernet
after 72,000 crops; crops of training photos without their labels):

    16 crops                         .370 .379 .445
    64                               .382 .397 .473
    256                              .390 .397 .470
    64 of 16 photos, four of each    .374 .386 .450
    64 of the judged photos          .380 .386 .460
    64 synthetic                     .347 .358 .430

So 64 are enough, another 64 move AP by .01, and more photos are better than more crops of few.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from facenas.architecture import Architecture
from facenas.networks.elastic_network import slices
from facenas.networks.network import DetectorNetwork


def network_of_slice(tensors: dict[str, Tensor], member: Architecture, batches: Iterable[Tensor]) -> DetectorNetwork:
    """A member's network with its slice of the largest network's tensors and moments from preprocessed images.

    `batches`: float [n, 3, height, width] each. Raises ValueError where there is none.
    """
    network = DetectorNetwork(member)
    with torch.no_grad():
        for name, parameter in slices(tensors, network).items():
            network.get_parameter(name).copy_(parameter)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    estimate_norms(network, batches)
    return network


@torch.no_grad()
def estimate_norms(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running moments of all norms to the average over the batches; the network is left in evaluation mode."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for a plain average over the batches
    network.train()
    seen = 0
    for images in batches:
        network(images)
        seen += 1
    if not seen:
        raise ValueError("norms cannot be estimated from no images")
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
