"""A step of a supernet, by the sandwich rule: the largest member, the smallest and one at random on the same crops.

    gradient = sum over the three of the gradient of the member's losses

The largest and the smallest bound what all others can be; the random one, another every step, trains those between. Which
one it is, is a function of (seed, step), so a resumed training repeats an undisturbed one. Nothing is distilled: answers
of the largest network, taught from the first step, kept all slices from learning.

Validation judges the largest, the smallest and the middle member as they would be deployed: weights sliced, norms
estimated on training crops, folded, in ONNX Runtime.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from facenas.architecture import Architecture
from facenas.checkpoint import Checkpoint
from facenas.data.annotations import Dataset
from facenas.networks.elastic_network import ElasticNetwork
from facenas.networks.network import preprocessed
from facenas.networks.norms import network_of_slice
from facenas.spaces.elastic_space import ElasticSpace
from facenas.training.device_batches import DeviceBatch
from facenas.training.distributed import Processes, average_gradients
from facenas.training.losses import Losses, batch_losses
from facenas.training.optimization import floats_of
from facenas.training.recipe import Recipe
from facenas.training.samples import PhotoCache, make_sample

NORM_CROPS = 64
_NORM_BATCH = 16


def members_of_step(space: ElasticSpace, seed: int, step: int) -> dict[str, Architecture]:
    """The members that a step trains, by name."""
    random = space.random_member(np.random.default_rng((seed, 4, step)))  # 0 to 3 are drawn by `samples`
    return {"largest": space.largest, "smallest": space.smallest, "random": random}


def sandwich_backward(
    network: ElasticNetwork,
    images: Tensor,
    batch: DeviceBatch,
    recipe: Recipe,
    step: int,
    processes: Processes,
    precision: Callable[[], AbstractContextManager[object]],
) -> dict[str, Losses]:
    """Add the gradients of all members of a step to the network's; their losses by name, the largest's first.

    images: float [n, 3, s, s], preprocessed. `precision`: the context of every forward pass.
    """
    losses = {}
    for name, member in members_of_step(network.space, recipe.seed, step).items():
        with precision():
            outputs = network.run(member, images)
        losses[name] = batch_losses(outputs, batch, recipe, processes)
        losses[name].total.backward()  # type: ignore[no-untyped-call]
    if processes.count > 1:
        average_gradients(network, processes)
    return losses


def norm_batches(dataset: Dataset, recipe: Recipe) -> Iterator[Tensor]:
    """The training's first 64 crops, preprocessed, in batches [16, 3, s, s]: always the same for the same photos."""
    cache = PhotoCache(0)
    for first in range(0, NORM_CROPS, _NORM_BATCH):
        crops = [make_sample(dataset, recipe, first + index, cache)[1].image for index in range(_NORM_BATCH)]
        yield preprocessed(torch.from_numpy(np.stack(crops)))


class SliceValidation:
    """Judges a supernet's checkpoint: figures of `validate`, a detector's validation, for each of three members."""

    def __init__(
        self,
        space: ElasticSpace,
        dataset: Dataset,
        recipe: Recipe,
        validate: Callable[[Checkpoint], Mapping[str, float | None]],
    ) -> None:
        self._members = {"largest": space.largest, "middle": space.middle, "smallest": space.smallest}
        self._validate = validate
        self._batches = list(norm_batches(dataset, recipe))

    def __call__(self, checkpoint: Checkpoint) -> dict[str, float | None]:
        """Figures by member and setting (`largest easy`)."""
        tensors = {name: torch.from_numpy(np.array(tensor)) for name, tensor in checkpoint.tensors.items()}
        figures: dict[str, float | None] = {}
        for which, member in self._members.items():
            network = network_of_slice(tensors, member, self._batches)
            arrays = {name: tensor.numpy() for name, tensor in floats_of(network).items()}
            alone = Checkpoint(member, checkpoint.input_size, arrays, checkpoint.origin)
            figures |= {f"{which} {name}": value for name, value in self._validate(alone).items()}
        return figures
