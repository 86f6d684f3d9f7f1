"""The torch reference refuses tensors that are not its architecture's."""

import numpy as np
import pytest
from helpers.random_networks import ALL_FAMILIES, TINY, checkpoint_of, random_image, random_network

from facenas.checkpoint import Checkpoint
from facenas.errors import InputError
from facenas.networks.reference import TorchReference
from facenas.units import Size

SIZE = Size(96, 64)


def test_it_answers_by_name_and_always_the_same() -> None:
    reference = TorchReference(checkpoint_of(random_network(ALL_FAMILIES), SIZE))
    first, second = reference.run(random_image(SIZE)), reference.run(random_image(SIZE))
    assert list(first) == ["output_8", "output_16", "output_32"]
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_tensors_of_another_architecture_are_refused() -> None:
    tensors = dict(checkpoint_of(random_network(TINY), SIZE).tensors)
    with pytest.raises(InputError, match="does not fit its architecture"):
        TorchReference(Checkpoint(ALL_FAMILIES, SIZE, tensors, {}))
    with pytest.raises(InputError, match=r"does not fit its architecture: tensor 'head\.scale\.8'"):
        TorchReference(Checkpoint(TINY, SIZE, {name: t for name, t in tensors.items() if name != "head.scale.8"}, {}))
    with pytest.raises(InputError, match=r"does not fit its architecture: tensor 'optimizer/x'"):
        TorchReference(Checkpoint(TINY, SIZE, tensors | {"optimizer/x": np.zeros(1, np.float32)}, {}))
