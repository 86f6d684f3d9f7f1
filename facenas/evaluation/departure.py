"""Where do two networks part? The first layer, in the order of execution, whose output is not the reference's.

Every layer of the reference and of the artefact becomes an output, both run on one photo, and each layer's

    relative difference = |artefact - reference| / |reference|        (Euclidean norms over the whole feature map)

is compared with the limit. All exported graphs keep the layers' names (facenas.graph.Layer.name) as names of tensors.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from facenas.arrays import FloatArray
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.evaluation.parity import relative_difference
from facenas.exporters.formats import description_of, format_of
from facenas.exporters.onnx import with_layers
from facenas.graph import IMAGE, build_graph
from facenas.runtimes.runtime import Load, load_model

RunLayers = Callable[[FloatArray], dict[str, FloatArray]]


@dataclass(frozen=True)
class Departure:
    """The first layer that departs, by how much, and what was allowed; `layer` is None where every layer agrees."""

    layer: str | None
    relative: float
    limit: float

    def __str__(self) -> str:
        if self.layer is None:
            return f"no layer departs: all agree within {self.relative:.2g} (limit {self.limit:.2g})"
        what = "the network's input (colours, mean, scale)" if self.layer == IMAGE else f"layer '{self.layer}'"
        return f"first departs at {what}: relative difference {self.relative:.2g}, limit {self.limit:.2g}"


def first_departure(
    expected: tuple[FloatArray, RunLayers],
    found: tuple[FloatArray, RunLayers],
    order: Sequence[str],
    limit: float,
    *,
    scaled_channels: bool = False,
) -> Departure:
    """The first of `order` that departs; a network comes as its input for one photo and the function that gives layers.

    Layers that one of them lacks (a runtime may have merged them away) are passed over. `scaled_channels`: a channel that
    differs by a factor alone does not depart (`facenas.exporters.int8_equalise`).
    """
    image, run = expected
    found_image, found_run = found
    largest = relative_difference(image, found_image)
    if not largest <= limit:
        return Departure(IMAGE, largest, limit)
    layers, found_layers = run(image), found_run(found_image)
    for name in order:
        if name in layers and name in found_layers:
            found_layer = found_layers[name]
            if scaled_channels:
                found_layer = _rescaled(layers[name], found_layer)
            difference = relative_difference(layers[name], found_layer)
            if not difference <= limit:
                return Departure(name, difference, limit)
            largest = max(largest, difference)
    return Departure(None, largest, limit)


def _rescaled(expected: FloatArray, found: FloatArray) -> FloatArray:
    """`found` with each channel times the positive factor that brings it nearest to the expected one."""
    if expected.shape != found.shape:
        return found
    along = (0, 2, 3)
    products = (expected * found).sum(along, keepdims=True), (found * found).sum(along, keepdims=True)
    factors = np.maximum(products[0], 0) / np.maximum(products[1], np.finfo(np.float32).tiny)
    return np.asarray(found * factors, np.float32)


def layer_names(path: Path) -> tuple[str, ...]:
    """The layers of an exported file's architecture, in the order of execution."""
    description = description_of(path)
    return tuple(layer.name for layer in build_graph(description.detector, description.input_size).layers)


def layer_runner(path: Path, target: Target, names: Sequence[str], load: Load = load_model) -> RunLayers | None:
    """The function that gives the outputs of all layers of an exported file, None where its format keeps them inside."""
    copy_with_layers = format_of(path).with_layers
    if copy_with_layers is None:
        return None
    with tempfile.TemporaryDirectory(prefix="facenas-") as folder:
        return load(copy_with_layers(path, names, Path(folder)), target).run


def onnx_layer_runner(model: onnx.ModelProto, names: Sequence[str]) -> RunLayers:
    """The same for an fp32 ONNX model, in ONNX Runtime."""
    return load_model(with_layers(model, names).SerializeToString(), resolve_target("cpu")).run
