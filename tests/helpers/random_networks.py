"""Detectors with weights, norms and scales at random, as a long training could leave them, for tests of what they answer."""

from dataclasses import replace

import numpy as np
import torch

from facenas.architecture import Architecture, parse_architecture
from facenas.checkpoint import Checkpoint
from facenas.graph import ANCHORS_PER_CELL, BOX_CHANNELS, SCORE_CHANNELS, STRIDES
from facenas.networks.network import DetectorNetwork
from facenas.units import Size

ALL_FAMILIES = parse_architecture(
    "SuperConvK3BNRELU(3,8,2,2)SuperResK3K5(8,8,2,8,2)SuperResK1K3K1(8,16,2,8,2)"
    "SuperResIDWE2K5(16,16,2,8,2)SuperResIDWE1K3(16,24,2,16,1)PAFPN(8)Head(16,2)"
)
TINY = parse_architecture(
    "SuperConvK3BNRELU(3,8,2,1)SuperConvK3BNRELU(8,8,2,1)SuperConvK3BNRELU(8,8,2,1)"
    "SuperConvK3BNRELU(8,8,2,1)SuperConvK3BNRELU(8,8,2,1)PAFPN(8)HeadDW(8,1)"
)


def with_landmarks(detector: Architecture) -> Architecture:
    """The same detector with the outputs of five landmarks."""
    return replace(detector, landmarks=True)


def random_network(detector: Architecture, seed: int = 0) -> DetectorNetwork:
    """A network in evaluation mode whose norms, biases and level scales all differ from their initial values."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = DetectorNetwork(detector).eval()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.3, 3.0, generator=generator)
            elif name.endswith("running_mean") or name.endswith(".bias"):
                tensor.normal_(0, 0.3, generator=generator)
            elif ".scale." in name or name.endswith("norm.weight"):
                tensor.uniform_(0.5, 1.5, generator=generator)
        network.get_parameter("head.output.conv.weight").normal_(0, 0.2, generator=generator)
    return network


def checkpoint_of(network: DetectorNetwork, input_size: Size) -> Checkpoint:
    """The network's tensors by name, as training saves them."""
    tensors = {
        name: tensor.numpy().copy() for name, tensor in network.state_dict().items() if tensor.is_floating_point()
    }
    return Checkpoint(network.detector, input_size, tensors, {"data": "none"})


def confident_checkpoint(detector: Architecture, input_size: Size, seed: int = 0) -> Checkpoint:
    """Random weights that find faces: scores spread over 0 to 1, boxes about four strides wide, so that they overlap."""
    network = random_network(detector, seed)
    weight, bias = (network.get_parameter(f"head.output.conv.{name}") for name in ("weight", "bias"))
    with torch.no_grad():
        bias[BOX_CHANNELS] = 2.0
        weight[BOX_CHANNELS] *= 0.1
        weight[SCORE_CHANNELS] *= 3.0
        bias[SCORE_CHANNELS] = torch.linspace(-1.0, -2.0, ANCHORS_PER_CELL)
        for stride, scale in zip(STRIDES, (1.0, 1.1, 0.9), strict=True):
            network.get_parameter(f"head.scale.{stride}").fill_(scale)
    return checkpoint_of(network, input_size)


def random_image(size: Size, seed: int = 0, batch: int = 1) -> np.ndarray:
    """float32 [batch, 3, height, width] in the range of a preprocessed photo."""
    shape = (batch, 3, size.height_px, size.width_px)
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
