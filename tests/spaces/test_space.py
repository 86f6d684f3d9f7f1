"""Search spaces: their size is what counting gives, and what they draw lies in them."""

from dataclasses import replace
from itertools import islice, pairwise, product

import numpy as np
import pytest

from facenas.architecture import Architecture, Backbone, NeckAndHead, parse_stage, published_detector
from facenas.errors import InputError
from facenas.graph import inventory
from facenas.spaces.space import Space
from facenas.units import Size

SIZE = Size(96, 64)
NECKS = ((0, NeckAndHead(8, 8, 1, depthwise=True)), (16, NeckAndHead(16, 8, 1, depthwise=True)))


def small_space() -> Space:
    """Some chains of it end before the fifth stage."""
    texts = (
        ("SuperConvK3BNRELU(3,8,2,1)", "SuperConvK3BNRELU(3,16,2,1)", "SuperConvK3BNRELU(3,24,2,1)"),
        ("SuperResK3K3(8,8,2,8,1)", "SuperResIDWE1K3(8,16,2,8,1)", "SuperConvK5BNRELU(16,16,2,1)"),
        ("SuperResK3K3(8,8,2,8,1)", "SuperResK3K3(16,16,2,8,1)", "SuperResK3K3(16,24,2,8,1)"),
        ("SuperResK3K3(8,16,2,8,1)", "SuperResK1K3K1(16,16,2,8,2)"),
        ("SuperResK3K3(16,16,2,8,1)", "SuperResK3K3(16,32,2,8,1)", "SuperResK3K3(32,32,2,8,1)"),
    )
    return Space("small", tuple(tuple(map(parse_stage, choices)) for choices in texts), NECKS)


def all_backbones(space: Space) -> list[Backbone]:
    chains = product(*space.stages)
    return [
        Backbone(chain)
        for chain in chains
        if chain[0].in_channels == 3 and all(a.out_channels == b.in_channels for a, b in pairwise(chain))
    ]


def all_detectors(space: Space) -> list[Architecture]:
    return [
        Architecture(backbone, end)
        for backbone in all_backbones(space)
        for end in space.ends(backbone.stages[2].out_channels)
    ]


def test_the_size_is_the_number_of_networks() -> None:
    assert small_space().size == len(all_backbones(small_space())) == 6


def test_random_detectors_lie_in_the_space_and_reach_all_of_it() -> None:
    space = small_space()
    drawn = list(islice(space.random_detectors(np.random.default_rng(1)), 300))
    assert {detector.backbone for detector in drawn} == set(all_backbones(space))
    assert drawn[:20] == list(islice(space.random_detectors(np.random.default_rng(1)), 20))


def test_the_neck_follows_the_width_of_stage_3() -> None:
    space = small_space()
    assert [space.ends(width)[0].neck_channels for width in (1, 8, 15, 16, 400)] == [8, 8, 8, 16, 16]
    assert not space.chooses_ends
    for detector in all_detectors(space):
        assert space.holds(detector)
        other = next(design for _, design in NECKS if design != detector.neck_and_head)
        assert not space.holds(replace(detector, neck_and_head=other))
        assert not space.holds(replace(detector, landmarks=True))
        assert not space.holds(replace(detector, backbone=published_detector("damofd-0.5g").backbone))


def test_designs_of_one_least_width_are_choices() -> None:
    space = replace(small_space(), necks_and_heads=(*NECKS, (16, NeckAndHead(24, 16, 2, depthwise=True))))
    detectors = all_detectors(space)
    assert space.chooses_ends
    assert space.size == len(detectors) > len(all_backbones(space))
    assert all(map(space.holds, detectors))
    assert set(islice(space.random_detectors(np.random.default_rng(2)), 300)) == set(detectors)
    assert space.operators(SIZE) == {operator for detector in detectors for operator in inventory(detector, SIZE)}


def test_the_operators_of_a_space_are_those_of_all_its_networks() -> None:
    space = small_space()
    needed = {operator for detector in all_detectors(space) for operator in inventory(detector, SIZE)}
    assert space.operators(SIZE) == needed


def test_a_space_without_any_network_is_refused() -> None:
    stages = list(small_space().stages)
    stages[3] = (parse_stage("SuperResK3K3(12,16,2,8,1)"),)
    with pytest.raises(InputError, match="space 'broken' holds no network"):
        Space("broken", tuple(stages), NECKS)
    with pytest.raises(InputError, match="space 'short' lists 4 stages, needs 5"):
        Space("short", tuple(stages[:4]), NECKS)
