"""FLOPs and parameters as the DamoFD release counts them: the backbone alone, at its own resolution.

The release's budgets (65 MFLOPs for 0.5G) are in this accounting, so comparing a search with the release's needs it:

    flops  = sum over convolutions of (multiply-accumulates + output values),
             a projection shortcut as if its output side were divided by its stride once more
    params = sum over convolutions of (weights + output channels)

The output values and output channels stand for the batch norm after every convolution; no bias is counted. The rule
gives the released figures of five nets to the last digit. It is not what a runtime computes: that is `facenas.cost`.
"""

from collections.abc import Iterable

from facenas.architecture import Backbone
from facenas.graph import Layer, stage_layers
from facenas.scoring.ddsar import DEFAULT_RESOLUTION_PX
from facenas.units import Size

RELEASED_SIZE = Size(DEFAULT_RESOLUTION_PX, DEFAULT_RESOLUTION_PX)


def released_flops_of(layers: Iterable[Layer]) -> int:
    """FLOPs of backbone layers as the release counts them."""
    total = 0
    for layer in layers:
        counted = layer.operator.macs + layer.operator.out_values
        total += counted // layer.operator.stride**2 if layer.name.endswith(".shortcut") else counted
    return total


def released_flops(backbone: Backbone) -> int:
    """FLOPs of a backbone at 224x224 as the release counts them."""
    return released_flops_of(_layers(backbone))


def _layers(backbone: Backbone) -> list[Layer]:
    return [
        layer
        for position, stage in enumerate(backbone.stages)
        for layer in stage_layers(stage, position, RELEASED_SIZE)
    ]
