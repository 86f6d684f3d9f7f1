"""The trainable detector: a torch module that walks `facenas.graph`, so it cannot differ from what is counted and exported.

    outputs = DetectorNetwork(detector)(images)        # one [n, channels, height/stride, width/stride] a level

Parameter names are those of the graph (`backbone.stage1.0.conv.weight`), which makes a checkpoint readable without torch.
"""

import math
from collections.abc import Callable
from operator import attrgetter
from typing import cast

import torch
from torch import Tensor, nn

from facenas.architecture import Architecture
from facenas.graph import BOX_CHANNELS, IMAGE, NORM_EPSILON, SCORE_CHANNELS, Layer, build_graph
from facenas.operators import Kind
from facenas.pipeline.preprocess import MEAN, STANDARD_DEVIATION
from facenas.units import Size

PRIOR_FACE_PROBABILITY = 0.01


class DetectorNetwork(nn.Module):
    """The network of one detector; works at any input size that is a multiple of 32.

    Input: float [n, 3, height, width], preprocessed. Output: a tuple of raw maps for strides 8, 16 and 32, channels as in
    `facenas.graph.output_channels`.
    """

    def __init__(self, detector: Architecture, norm_type: Callable[..., nn.BatchNorm2d] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.detector, self._norm_type = detector, norm_type
        graph = build_graph(detector, Size(64, 64))  # parameters do not depend on the size
        self._layers = graph.layers
        self._outputs = graph.outputs
        self._modules_of = {layer.name: self._create(layer) for layer in graph.layers}
        self._initialise()

    def _create(self, layer: Layer) -> tuple[nn.Conv2d | None, nn.BatchNorm2d | None]:
        """The layer's modules, registered below their graph names; convolutions shared by levels are made once."""
        if not layer.weight:
            return None, None
        operator = layer.operator
        conv = _find(self, layer.weight)
        if conv is None:
            groups = operator.in_channels if operator.kind is Kind.DEPTHWISE else 1
            conv = nn.Conv2d(
                operator.in_channels,
                operator.out_channels,
                operator.kernel_size,
                operator.stride,
                operator.kernel_size // 2,
                groups=groups,
                bias=layer.bias,
            )
            _attach(self, layer.weight, conv)
        norm = None
        if layer.norm:
            norm = self._norm_type(operator.out_channels, eps=NORM_EPSILON, momentum=0.03)
            _attach(self, layer.norm, norm)
        if layer.scale:
            parent, _, name = layer.scale.rpartition(".")
            _container(self, parent).register_parameter(name, nn.Parameter(torch.tensor(1.0)))
        return cast(nn.Conv2d, conv), norm

    def _initialise(self) -> None:
        if next(self.parameters()).is_meta:
            return  # only the layers are wanted, for a supernet's tensors
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        output = cast(nn.Conv2d, _find(self, "head.output.conv"))
        nn.init.normal_(output.weight, std=0.01)
        assert output.bias is not None
        with torch.no_grad():
            # Nearly every cell is background: without this the first steps drown in false faces.
            output.bias[SCORE_CHANNELS] = -math.log((1 - PRIOR_FACE_PROBABILITY) / PRIOR_FACE_PROBABILITY)
            output.bias[BOX_CHANNELS] = 1.0

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Raw output maps, finest level first."""
        values = {IMAGE: images}
        for layer in self._layers:
            conv, norm = self._modules_of[layer.name]
            x = values[layer.inputs[0]]
            if conv is None:
                values[layer.name] = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
                continue
            if layer.operator.kernel_size == 1 and layer.operator.stride > 1:
                # The same result as a strided 1x1 convolution. oneDNN's own corrupts the heap in its backward pass when
                # it has fewer than 16 channels_last inputs (uxlfoundation/oneDNN issue 6035).
                x = x[:, :, :: layer.operator.stride, :: layer.operator.stride]
                y = nn.functional.conv2d(x, conv.weight, conv.bias, groups=conv.groups)
            else:
                y = conv(x)
            if norm is not None:
                y = norm(y)
            if layer.operator.add:
                y = y + values[layer.inputs[1]]
            if layer.operator.relu:
                y = nn.functional.relu(y)
            if layer.scale:
                scale = attrgetter(layer.scale)(self)  # looked up each time: a supernet calls this with other tensors
                score, box, landmark = y.tensor_split((BOX_CHANNELS.start, BOX_CHANNELS.stop), dim=1)
                y = torch.cat([score, box * scale, landmark], dim=1)
            values[layer.name] = y
        return tuple(values[name] for name in self._outputs)


def preprocessed(images: Tensor) -> Tensor:
    """What a network takes, float [n, 3, height, width] with channels last in memory, of pixels uint8 [n, h, w, 3]."""
    planes = images.permute(0, 3, 1, 2).float().sub_(MEAN).div_(STANDARD_DEVIATION)
    return planes.contiguous(memory_format=torch.channels_last)


def _container(root: nn.Module, path: str) -> nn.Module:
    """The module at a dotted path below `root`; containers are created on the way."""
    module = root
    for name in filter(None, path.split(".")):
        child = module._modules.get(name)
        if child is None:
            child = nn.Module()
            module.add_module(name, child)
        module = child
    return module


def _attach(root: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    _container(root, parent).add_module(name, module)


def _find(root: nn.Module, path: str) -> nn.Module | None:
    module: nn.Module | None = root
    for name in path.split("."):
        module = module._modules.get(name) if module is not None else None
    return module
