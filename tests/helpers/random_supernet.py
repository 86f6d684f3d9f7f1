"""Supernets with weights at random, whose slices find faces of a sort, and photos without labels."""

from pathlib import Path

import numpy as np
import torch

from facenas.checkpoint import Checkpoint, TrainedSpace, save_checkpoint
from facenas.data.image import encode_jpeg
from facenas.graph import BOX_CHANNELS, SCORE_CHANNELS
from facenas.networks.elastic_network import ElasticNetwork
from facenas.spaces.elastic_space import ElasticSpace
from facenas.units import Size


def write_supernet(path: Path, space: ElasticSpace, seed: int = 0) -> Path:
    """A supernet's checkpoint whose gains, offsets and biases all differ, so that no two channels can be confused."""
    torch.manual_seed(seed)
    network = ElasticNetwork(space)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        output = network.get_submodule("head.output.conv")
        assert isinstance(output, torch.nn.Conv2d)
        assert output.bias is not None
        output.weight.mul_(0.3)
        output.bias[BOX_CHANNELS] = 2.0
        output.bias[SCORE_CHANNELS] = 0.0
    tensors = {name: parameter.detach().numpy() for name, parameter in network.named_parameters()}
    of = TrainedSpace(space.name, space.digest)
    save_checkpoint(path, Checkpoint(space.largest, Size(64, 64), tensors, {"data": "none", "step": 7}, of))
    return path


def write_photos(folder: Path, count: int) -> Path:
    """Photos of noise, half of them in a folder below."""
    for index in range(count):
        place = folder / "below" if index % 2 else folder
        place.mkdir(parents=True, exist_ok=True)
        photo = np.random.default_rng(index).integers(0, 256, (40, 48, 3)).astype(np.uint8)
        (place / f"{index:02}.jpg").write_bytes(encode_jpeg(photo, 90))
    return folder
