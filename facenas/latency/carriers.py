"""Carriers: whole networks in which the operators of a space are timed in context.

An operator timed alone pays for layout changes and calls that it does not cause inside a network, and finds the caches
in another state; so it is timed where it lives. Carriers are detectors of the space itself, chosen greedily from a
large pool: next comes the detector that gives the most operators that still lack carriers for its multiply-accumulates,

    gain(d) = |operators of d that have fewer than N carriers| / (macs(d) + typical macs).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from facenas.architecture import PUBLISHED_NAMES, Architecture, Backbone, NeckAndHead, published_detector
from facenas.graph import inventory
from facenas.operators import Operator
from facenas.spaces.space import Space
from facenas.units import Size

CARRIERS_PER_OPERATOR = 2
CARRIERS_ELSEWHERE = 12
"""At each further input: enough to tell how costs change with the size, for an operator by its kind, kernel and channels."""

_RANDOM_POOL = 1500
_SPREAD_POOL = 200
_GOLDEN = (5**0.5 - 1) / 2


def space_carriers(
    space: Space, input_size: Size, *, carriers_per_operator: int = CARRIERS_PER_OPERATOR
) -> tuple[Architecture, ...]:
    """Detectors of the space such that every operator it can hold is in `carriers_per_operator` of them.

    An operator that fewer detectors of the pool hold is in all of those. Equal arguments give equal carriers.
    """
    generator = np.random.default_rng(0)
    random = [detector for _, detector in zip(range(_RANDOM_POOL), space.random_detectors(generator), strict=False)]
    pool = list(dict.fromkeys([*random, *space.covering_detectors()]))
    inventories = [frozenset(inventory(detector, input_size)) for detector in pool]
    macs = np.array([sum(operator.macs for operator in operators) for operators in inventories], np.float64)
    return tuple(pool[index] for index in _cover(inventories, macs, carriers_per_operator))


def _cover(inventories: Sequence[frozenset[Operator]], macs: np.ndarray, carriers_per_operator: int) -> list[int]:
    """Indices of the chosen sets, in the order of choice."""
    columns = {operator: index for index, operator in enumerate(sorted(frozenset().union(*inventories)))}
    holds = np.zeros((len(inventories), len(columns)), np.float32)
    for row, operators in enumerate(inventories):
        holds[row, [columns[operator] for operator in operators]] = 1
    lacking = np.minimum(holds.sum(0), carriers_per_operator)
    cost = macs + np.median(macs)
    chosen: list[int] = []
    while lacking.any():
        best = int(np.argmax(holds @ (lacking > 0) / cost))
        chosen.append(best)
        lacking = np.maximum(lacking - holds[best], 0)
        holds[best] = 0
    return chosen


def published_carriers() -> tuple[Architecture, ...]:
    """The published detectors with at most two sub-layers a stage: all their operators, in less time.

    Two, because the first differs from the second (stride, projection) and all that follow are like the second.
    """
    carriers = []
    for name in PUBLISHED_NAMES:
        detector = published_detector(name)
        stages = tuple(replace(stage, sublayers=min(stage.sublayers, 2)) for stage in detector.backbone.stages)
        carriers.append(replace(detector, backbone=Backbone(stages)))
    return tuple(carriers)


def landmark_carriers(space: Space, count: int) -> tuple[Architecture, ...]:
    """For every width of the head, which is what the outputs read, `count` small detectors with five landmarks."""
    carriers: list[Architecture] = []
    first_of_width: dict[int, NeckAndHead] = {}
    for _, design in space.necks_and_heads:
        first_of_width.setdefault(design.head_channels, design)
    for design in first_of_width.values():
        fitting = [detector for detector in space.covering_detectors() if detector.neck_and_head == design]
        carriers += [replace(detector, landmarks=True) for detector in fitting[:count]]
    return tuple(carriers)


def random_networks(space: Space, count: int, *, seed: int) -> tuple[Architecture, ...]:
    """Different random detectors of the space, for calibration and for tests of predictions."""
    generator = np.random.default_rng(seed)
    found: dict[Architecture, None] = {}
    for detector in space.random_detectors(generator):
        found[detector] = None
        if len(found) == min(count, space.size):
            break
    return tuple(found)


def carriers_elsewhere(
    carriers: Sequence[Architecture], input_size: Size, count: int = CARRIERS_ELSEWHERE
) -> list[Architecture]:
    """`count` of the carriers at home that are counted at other inputs, too: next comes the one with most multiply-accumulates
    in operators that none before it holds, so that what is dear is measured and what is between is carried over."""
    inventories = {carrier: frozenset(inventory(carrier, input_size)) for carrier in carriers}
    held: set[Operator] = set()
    chosen: list[Architecture] = []
    while len(chosen) < min(count, len(inventories)):
        left = [carrier for carrier in inventories if carrier not in chosen]
        chosen.append(max(left, key=lambda carrier: sum(operator.macs for operator in inventories[carrier] - held)))
        held |= inventories[chosen[-1]]
    return chosen


def spread_networks(
    space: Space, input_size: Size, sizes: Sequence[Size], *, seed: int
) -> list[tuple[Architecture, Size]]:
    """One random network for each of `sizes`, in all from the cheapest to the dearest of the space (by FLOPs at
    `input_size`) and at equal sizes far apart."""
    pool = sorted(
        random_networks(space, _SPREAD_POOL, seed=seed),
        key=lambda detector: (sum(operator.macs for operator in inventory(detector, input_size)), str(detector)),
    )
    # The golden ratio's multiples, modulo one, lie evenly however many of them there are.
    places = [index * _GOLDEN % 1 for index in range(len(sizes))]
    return [(pool[int(place * len(pool))], size) for place, size in zip(places, sizes, strict=True)]
