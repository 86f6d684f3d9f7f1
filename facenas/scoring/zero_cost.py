r"""Rerankers: what two other training-free measures say of a search's best candidates, to judge DDSAR's worth beside them.

Both look at an untrained backbone, the part that is searched, on a square input of Gaussian noise, batch norms with the
statistics of the batch. They are no sums over stages, so they cannot lead the exact search; they put its list in order.

NASWOT (Mellor et al., Neural Architecture Search without Training, ICML 2021): every input i of a batch leaves a binary
code c_i, which of the N_A ReLUs it switches on. The more the codes differ, the larger

    ln |det K|,   K_ij = N_A - hamming(c_i, c_j)

Zen-score (Lin et al., Zen-NAS, ICCV 2021): how much the last feature map f moves under a small change of the input, with
residual links removed, all weights drawn from N(0, 1), and what batch norm l divides by, sigma_l, multiplied back in:

    ln E ||f(x) - f(x + 0.01 e)|| + sum_l ln sigma_l,   sigma_l^2 = mean over channels of the batch variance

The norm is over everything that one input yields. Equal seeds give equal values.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from statistics import fmean
from typing import TYPE_CHECKING

from facenas.architecture import IMAGE_CHANNELS, Architecture
from facenas.errors import MissingPackageError
from facenas.graph import IMAGE, Layer, backbone_layers, build_graph
from facenas.units import Size

if TYPE_CHECKING:
    from torch import Tensor, nn

NASWOT_INPUTS = 64
ZEN_INPUTS = 16
ZEN_STEP = 0.01
ZEN_REPEATS = 4


class ZeroCostProxy(StrEnum):
    """What puts the best candidates in a new order."""

    NASWOT = "naswot"
    ZEN = "zen"


def require_torch() -> None:
    """Raises MissingPackageError where torch is not installed, before anything is searched."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingPackageError(
            "--rerank builds the networks in torch, which is not installed: pip install 'facenas[train]'"
        )


def naswot_score(detector: Architecture, side_px: int, seed: int) -> float:
    """ln |det K| of the activation codes of NASWOT_INPUTS inputs; seeds differ by about 0.02 of some 870."""
    import torch

    with _seeded(seed):
        convolutions, layers = _convolutions(detector), _backbone_layers(detector, side_px)
        kernel = torch.zeros(NASWOT_INPUTS, NASWOT_INPUTS, dtype=torch.float64)
        for layer, _, output in _activations(layers, convolutions, _noise(NASWOT_INPUTS, side_px)):
            if layer.operator.relu:
                code = (output > 0).flatten(1).float()  # float32 counts exactly up to 2**24
                switched_on = code.sum(dim=1)
                equal = code.shape[1] - switched_on[:, None] - switched_on + 2 * code @ code.T
                kernel += equal
        return float(torch.linalg.slogdet(kernel).logabsdet)


def zen_score(detector: Architecture, side_px: int, seed: int) -> float:
    """The Zen-score over ZEN_INPUTS inputs, mean of ZEN_REPEATS drawings of weights and inputs; seeds differ by 0.1."""
    import torch

    values = []
    with _seeded(seed):
        for _ in range(ZEN_REPEATS):
            convolutions, layers = _convolutions(detector), _without_residuals(_backbone_layers(detector, side_px))
            for convolution in convolutions.values():
                torch.nn.init.normal_(convolution.weight)
            images = _noise(ZEN_INPUTS, side_px)
            moved = images + ZEN_STEP * torch.randn_like(images)
            scales, features = _zen_pass(layers, convolutions, images)
            _, moved_features = _zen_pass(layers, convolutions, moved)
            difference = (features - moved_features).flatten(1).norm(dim=1).mean()
            values.append(float(difference.log()) + scales)
    return fmean(values)


def _zen_pass(
    layers: Sequence[Layer], convolutions: Mapping[str, "nn.Conv2d"], images: "Tensor"
) -> tuple[float, "Tensor"]:
    """The sum of ln sigma_l, and the last feature map."""
    scales, features = 0.0, images
    for activation in _activations(layers, convolutions, images):
        _, variance, features = activation
        scales += float(variance.mean().sqrt().log())
    return scales, features


def _noise(count: int, side_px: int) -> "Tensor":
    """Gaussian images [count, 3, side, side], laid out as the CPU computes fastest."""
    import torch

    return torch.randn(count, IMAGE_CHANNELS, side_px, side_px).contiguous(memory_format=torch.channels_last)


def _convolutions(detector: Architecture) -> dict[str, "nn.Conv2d"]:
    """An untrained network's convolutions by the name of their weight."""
    from torch import nn

    from facenas.networks.network import DetectorNetwork

    modules = DetectorNetwork(detector).named_modules()
    return {name: module for name, module in modules if isinstance(module, nn.Conv2d)}


def _backbone_layers(detector: Architecture, side_px: int) -> list[Layer]:
    return backbone_layers(build_graph(detector, Size(side_px, side_px)).layers)


def _without_residuals(layers: Sequence[Layer]) -> list[Layer]:
    """The one chain of layers from the image to the end, shortcuts and their additions left out."""
    by_name, chain = {layer.name: layer for layer in layers}, [layers[-1]]
    while chain[-1].inputs[0] != IMAGE:
        chain.append(by_name[chain[-1].inputs[0]])
    return [replace(layer, inputs=layer.inputs[:1]) for layer in reversed(chain)]


def _activations(
    layers: Sequence[Layer], convolutions: Mapping[str, "nn.Conv2d"], images: "Tensor"
) -> Iterator[tuple[Layer, "Tensor", "Tensor"]]:
    """Each layer with its channels' variance over the batch [channels], before its norm, and its output."""
    from torch.nn.functional import batch_norm, relu

    last_use = {name: number for number, layer in enumerate(layers) for name in layer.inputs}
    values = {IMAGE: images}
    for number, layer in enumerate(layers):
        y = convolutions[layer.weight](values[layer.inputs[0]])
        variance = y.var((0, 2, 3), correction=0)
        y = batch_norm(y, None, None, training=True)
        if len(layer.inputs) > 1:
            y = y + values[layer.inputs[1]]
        y = relu(y) if layer.operator.relu else y
        values = {name: value for name, value in values.items() if last_use[name] > number} | {layer.name: y}
        yield layer, variance, y


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch without gradients, on one thread (its sums depend on their number), drawing by `seed`; then as before."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
