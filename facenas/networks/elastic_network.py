"""A supernet: the parameters of a space's largest network, of which any member runs as a slice.

    outputs = ElasticNetwork(space).run(member, images)

The member's layers are those of its own `DetectorNetwork`, so of `facenas.graph`, called with the first channels of the
largest network's tensors of the same names:

    tensor of the member = tensor of the largest [:s0, :s1, ...]      (s: the shape of the member's own tensor)

So a slice and the same network built alone are the same layers, and equal weights give equal outputs. Norms have a gain
and an offset that all slices share, and no running moments: a slice's moments are its own, those of the batch in training
and later those that `facenas.networks.norms` estimates.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from facenas.architecture import Architecture
from facenas.networks.network import DetectorNetwork
from facenas.spaces.elastic_space import ElasticSpace


class ElasticNetwork(DetectorNetwork):
    """The largest member with all parameters; called as a module it runs that one."""

    def __init__(self, space: ElasticSpace, norm_type: Callable[..., nn.BatchNorm2d] = nn.BatchNorm2d) -> None:
        self._norm_of_batch = partial(norm_type, track_running_stats=False)
        super().__init__(space.largest, self._norm_of_batch)
        self.space = space
        # The two members that every step of a training runs.
        self._known = {member: self._layers_of(member) for member in (space.largest, space.smallest)}

    def _layers_of(self, member: Architecture) -> DetectorNetwork:
        """The member's own network without memory for its parameters."""
        with torch.device("meta"):
            return DetectorNetwork(member, self._norm_of_batch)

    def run(self, member: Architecture, images: Tensor) -> tuple[Tensor, ...]:
        """The output maps of a member of the space for float images [n, 3, height, width], normalised by their moments.

        Raises InputError where the detector is no member.
        """
        layers = self._known.get(member)
        if layers is None:
            self.space.require(member)
            layers = self._layers_of(member)
        outputs: tuple[Tensor, ...] = functional_call(layers, slices(dict(self.named_parameters()), layers), (images,))
        return outputs


def slices(tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """For each parameter of a member's network the slice of the largest network's tensor; gradients flow back to it."""
    return {
        name: tensors[name][tuple(slice(side) for side in parameter.shape)]
        for name, parameter in network.named_parameters()
    }
