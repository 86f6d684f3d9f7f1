"""Weights to start from (`--init`): another training's checkpoint, or the last state of one.

The architecture may be another: a layer is taken where all its tensors (weights and norm) have the shapes of the layer
of the same name; the others start at random. So a network with more landmarks, another head or a wider last stage
still starts from what its lower stages know. Of the outputs, which are one convolution, a detector with landmarks takes the
scores and boxes of one without, and the other way round: landmarks are added or dropped without losing the boxes.

Of a supernet's checkpoint a member takes its slice, which is all of its layers; their norms have no moments there, so these
have to be estimated (`Initial.moments`).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facenas.checkpoint import Checkpoint, load_checkpoint, without_state
from facenas.errors import InputError
from facenas.files import sha256_of
from facenas.networks.elastic_network import ElasticNetwork, slices
from facenas.networks.network import DetectorNetwork
from facenas.networks.slices import space_of_supernet
from facenas.spaces.elastic_space import ElasticSpace
from facenas.training.optimization import floats_of

OUTPUT = "head.output."


@dataclass(frozen=True)
class Initial:
    """What was taken: `taken` of `layers` layers of the file, which is named with its SHA-256; `moments`: whether the
    moments of norms were among it; `landmarks_added`: whether outputs for landmarks start at random beside it."""

    file: str
    sha256: str
    taken: int
    layers: int
    moments: bool = True
    landmarks_added: bool = False

    @property
    def whole(self) -> bool:
        """Whether the network already is the detector of the file."""
        return self.taken == self.layers and self.moments

    @property
    def summary(self) -> str:
        """A line for the person."""
        rest = "" if self.taken == self.layers else f"; the other {self.layers - self.taken} start at random"
        landmarks = "; landmarks are new" if self.landmarks_added else ""
        return f"{self.taken} of {self.layers} layers start from {self.file}{rest}{landmarks}"


def initialise(network: DetectorNetwork, path: Path, space: ElasticSpace | None = None) -> Initial:
    """Copy what fits of the checkpoint at `path` into the network; a member of a supernet's space takes its slice.

    `space`: what a supernet is of (default: the space of the name that its file gives). Raises InputError where the file
    is no checkpoint, the network no member of its space, or nothing in it fits.
    """
    checkpoint = without_state(load_checkpoint(path, supernet=True))
    tensors = {name: torch.from_numpy(np.array(tensor)) for name, tensor in checkpoint.tensors.items()}
    is_slice = checkpoint.space is not None and not isinstance(network, ElasticNetwork)
    if is_slice:
        tensors = _slice(network, tensors, checkpoint, path, space)
    layers: dict[str, list[str]] = {}
    targets = floats_of(network)
    for name in targets:
        layers.setdefault(_layer_of(name), []).append(name)
    taken = 0
    with torch.no_grad():
        for names in layers.values():
            if all(name in tensors and _fits(name, tensors[name], targets[name]) for name in names):
                taken += 1
                for name in names:
                    _copy(tensors[name], targets[name])
    if not taken:
        raise InputError(
            f"no layer of '{checkpoint.detector}' in {path} has the shape of its namesake in this architecture;"
            " start from a checkpoint of a similar one, or without --init"
        )
    added = network.detector.landmarks and not checkpoint.detector.landmarks
    return Initial(path.name, sha256_of(path), taken, len(layers), moments=not is_slice, landmarks_added=added)


def _fits(name: str, source: Tensor, target: Tensor) -> bool:
    """Whether the shapes are one; those of the outputs but for their channels, of which landmarks are the last."""
    is_output = name.startswith(OUTPUT)
    return source.shape[is_output:] == target.shape[is_output:]


def _copy(source: Tensor, target: Tensor) -> None:
    """Of outputs with and without landmarks the channels that both have."""
    if source.shape != target.shape:
        channels = min(len(source), len(target))
        source, target = source[:channels], target[:channels]
    target.copy_(source)


def _slice(
    network: DetectorNetwork, tensors: dict[str, Tensor], supernet: Checkpoint, path: Path, space: ElasticSpace | None
) -> dict[str, Tensor]:
    """The network's slice of a supernet's tensors; moments of norms as they are, for the supernet has none."""
    space = space_of_supernet(supernet, path, space)
    space.require(replace(network.detector, landmarks=space.landmarks))  # outputs of landmarks are added or dropped
    return {**floats_of(network), **slices(tensors, network)}


def _layer_of(name: str) -> str:
    """What stands and falls together: a convolution with its norms (`backbone.stage1.0`, `head.0`, `head.output`)."""
    if name.startswith("head.scale."):
        return "head.output"
    if name.startswith("head."):
        return ".".join(name.split(".")[:2])
    for part in (".conv.", ".norm."):
        name = name.partition(part)[0]
    return name
