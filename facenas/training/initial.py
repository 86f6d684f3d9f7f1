"""Weights to start from (`--init`): another training's checkpoint, or the last state of one.

The architecture may be another: a layer is taken where all its tensors (weights and norm) have the shapes of the layer
of the same name; the others start at random. So a network with more landmarks, another head or a wider last stage
still starts from what its lower stages know.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from facenas.checkpoint import load_checkpoint
from facenas.errors import InputError
from facenas.files import sha256_of
from facenas.networks.elastic_network import ElasticNetwork
from facenas.training.optimization import floats_of

_AVERAGE = "average/"


@dataclass(frozen=True)
class Initial:
    """What was taken: `taken` of `layers` layers of the file, which is named with its SHA-256."""

    file: str
    sha256: str
    taken: int
    layers: int

    @property
    def summary(self) -> str:
        """A line for the person."""
        rest = "" if self.taken == self.layers else f"; the other {self.layers - self.taken} start at random"
        return f"{self.taken} of {self.layers} layers start from {self.file}{rest}"


def initialise(network: nn.Module, path: Path) -> Initial:
    """Copy what fits of the checkpoint at `path` into the network.

    Raises InputError where the file is no checkpoint, a supernet though the network is none, or nothing in it fits.
    """
    checkpoint = load_checkpoint(path, supernet=isinstance(network, ElasticNetwork))
    tensors: dict[str, Any] = dict(checkpoint.tensors)
    if any(name.startswith(_AVERAGE) for name in tensors):
        tensors = {name.removeprefix(_AVERAGE): array for name, array in tensors.items() if name.startswith(_AVERAGE)}
    layers: dict[str, list[str]] = {}
    targets = floats_of(network)
    for name in targets:
        layers.setdefault(_layer_of(name), []).append(name)
    taken = 0
    with torch.no_grad():
        for names in layers.values():
            if all(name in tensors and tensors[name].shape == tuple(targets[name].shape) for name in names):
                taken += 1
                for name in names:
                    targets[name].copy_(torch.from_numpy(np.array(tensors[name])))
    if not taken:
        raise InputError(
            f"no layer of '{checkpoint.detector}' in {path} has the shape of its namesake in this architecture;"
            " start from a checkpoint of a similar one, or without --init"
        )
    return Initial(path.name, sha256_of(path), taken, len(layers))


def _layer_of(name: str) -> str:
    """What stands and falls together: a convolution with its norms (`backbone.stage1.0`, `head.0`, `head.output`)."""
    if name.startswith("head.scale."):
        return "head.output"
    if name.startswith("head."):
        return ".".join(name.split(".")[:2])
    for part in (".conv.", ".norm."):
        name = name.partition(part)[0]
    return name
