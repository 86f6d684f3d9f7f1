"""One member cut out of a supernet's checkpoint: an ordinary checkpoint, ready to export, to verify or to fine-tune.

    tensor of the member = tensor of the supernet [:s0, :s1, ...];  moments of its norms = those on crops of photos

How good a slice is depends on what its norms saw: `facenas.networks.norms` has the figures.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facenas.architecture import Architecture
from facenas.checkpoint import Checkpoint, load_checkpoint, without_state
from facenas.errors import InputError
from facenas.files import sha256_of
from facenas.networks.norms import network_of_slice
from facenas.spaces.elastic_space import ElasticSpace, elastic_space


@dataclass(frozen=True, eq=False)
class Supernet:
    """The weights of all members of a space. `file` and `sha256` name where they were read from."""

    checkpoint: Checkpoint
    space: ElasticSpace
    file: str
    sha256: str

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        return {name: torch.from_numpy(np.array(tensor)) for name, tensor in self.checkpoint.tensors.items()}

    def slice(self, member: Architecture, batches: Iterable[Tensor], norms: Mapping[str, Any]) -> Checkpoint:
        """A member's own checkpoint, with norms estimated on `batches` (preprocessed crops, float [n, 3, s, s] each).

        `norms`: where the crops come from, for the checkpoint's origin. Raises InputError for a detector that is no
        member, which names the choice that makes it none.
        """
        self.space.require(member)
        with _one_thread():
            network = network_of_slice(self._tensors, member, batches)
        arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
        trained = {key: value for key, value in self.checkpoint.origin.items() if key in ("data", "recipe", "step")}
        supernet = {"file": self.file, "sha256": self.sha256, "space": self.space.name}
        origin = {**trained, "supernet": supernet, "norms": dict(norms)}
        return Checkpoint(member, self.checkpoint.input_size, arrays, origin)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of several threads differ in their last bits, and equal slices are to have equal bytes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def open_supernet(path: Path, space: ElasticSpace | None = None) -> Supernet:
    """The supernet in a checkpoint, or in the last state of its training; `space`: what it is of (default: the space of
    the name that the file gives).

    Raises InputError where the file is of a single detector, of another space, or damaged.
    """
    checkpoint = without_state(load_checkpoint(path, supernet=True))
    return Supernet(checkpoint, space_of_supernet(checkpoint, path, space), path.name, sha256_of(path))


def space_of_supernet(checkpoint: Checkpoint, path: Path, space: ElasticSpace | None = None) -> ElasticSpace:
    """The space whose members are slices of a checkpoint, which was read from `path`; as `open_supernet`."""
    if checkpoint.space is None:
        raise InputError(
            f"{path} is of the single detector '{checkpoint.detector}', no supernet; give a checkpoint of"
            " `facenas train --space`"
        )
    space = space or elastic_space(checkpoint.space.name, landmarks=checkpoint.detector.landmarks)
    if checkpoint.space.digest != space.digest or checkpoint.detector != space.largest:
        raise InputError(
            f"{path} is a supernet of a space '{checkpoint.space.name}' with other choices than '{space.name}' has now;"
            " train it again, or use the facenas that trained it"
        )
    return space
