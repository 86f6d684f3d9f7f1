"""The reference that an artefact must answer like: the checkpoint itself, in torch, fp32, not folded, not simplified."""

import numpy as np
import torch

from facenas.arrays import FloatArray
from facenas.checkpoint import Checkpoint
from facenas.errors import InputError
from facenas.graph import build_graph
from facenas.networks.network import DetectorNetwork


class TorchReference:
    """Runs a checkpoint in torch. Raises InputError where its tensors are not those of its architecture."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._network = DetectorNetwork(checkpoint.detector).eval()
        self._names = build_graph(checkpoint.detector, checkpoint.input_size).outputs
        state = {name: torch.from_numpy(np.array(tensor)) for name, tensor in checkpoint.tensors.items()}
        try:
            _, unexpected = self._network.load_state_dict(state, strict=False)
        except RuntimeError as error:
            raise InputError(f"the checkpoint does not fit its architecture: {str(error).splitlines()[-1]}") from error
        needed = {name for name, tensor in self._network.state_dict().items() if tensor.is_floating_point()}
        if unexpected or needed - set(state):
            odd = sorted(needed - set(state)) + sorted(unexpected)
            raise InputError(f"the checkpoint does not fit its architecture: tensor '{odd[0]}'; train again")

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """The outputs by name for float32 [n, 3, height, width], as a `CompiledModel` gives them."""
        with torch.inference_mode():
            outputs = self._network(torch.from_numpy(image))
        return {name: output.numpy() for name, output in zip(self._names, outputs, strict=True)}
