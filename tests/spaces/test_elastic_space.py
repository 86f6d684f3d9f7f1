"""The elastic space: its members, how many there are, and what is refused as none."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from helpers.tiny_elastic import TINY_SPACE

from facenas.architecture import Architecture, Backbone, parse_architecture, published_detector
from facenas.cost import detector_costs
from facenas.errors import InputError
from facenas.graph import inventory
from facenas.spaces.elastic_space import ElasticSpace, StageChoices, elastic_space
from facenas.units import Size

EDGE = elastic_space("facenas-elastic")
SIZE = Size(640, 480)


def all_members(space: ElasticSpace) -> set[Architecture]:
    """Every combination of the choices that the space does not refuse."""
    members = set()
    lists = [
        [
            (width, inner, depth)
            for width in stage.widths
            for inner in stage.inner_widths or (0,)
            for depth in stage.depths
        ]
        for stage in space.stages
    ]
    for combination in product(*lists):
        ins = [3, *(width for width, _, _ in combination[:-1])]
        stages = tuple(
            choices.stage(channels, *chosen)
            for choices, channels, chosen in zip(space.stages, ins, combination, strict=True)
        )
        detector = Architecture(Backbone(stages), space.ends[0])
        try:
            space.require(detector)
        except InputError:
            continue
        members |= {replace(detector, neck_and_head=end) for end in space.ends}
    return members


def test_its_size_is_the_number_of_its_members() -> None:
    assert TINY_SPACE.size == len(all_members(TINY_SPACE))


def test_random_members_are_members_and_reach_every_choice() -> None:
    generator = np.random.default_rng(0)
    drawn = [EDGE.random_member(generator) for _ in range(400)]
    for detector in drawn:
        EDGE.require(detector)
        assert parse_architecture(str(detector)) == detector
    for position, choices in enumerate(EDGE.stages):
        stages = [detector.backbone.stages[position] for detector in drawn]
        assert {stage.out_channels for stage in stages} == set(choices.widths)
        assert {stage.sublayers for stage in stages} == set(choices.depths)
        assert {stage.bottleneck_channels for stage in stages} == set(choices.inner_widths or (0,))
    assert {detector.neck_and_head for detector in drawn} == set(EDGE.ends)


def test_equal_seeds_draw_equal_members() -> None:
    first, second = (
        [EDGE.random_member(generator) for _ in range(20)] for generator in map(np.random.default_rng, (5, 5))
    )
    assert first == second


def test_every_member_is_a_slice_of_the_largest() -> None:
    """No tensor of a member is larger than the largest network's of the same name."""
    generator = np.random.default_rng(1)
    for member in [EDGE.smallest, EDGE.middle, *(EDGE.random_member(generator) for _ in range(50))]:
        for stage, largest in zip(member.backbone.stages, EDGE.largest.backbone.stages, strict=True):
            assert stage.in_channels <= largest.in_channels
            assert stage.out_channels <= largest.out_channels
            assert stage.bottleneck_channels <= largest.bottleneck_channels
            assert stage.sublayers <= largest.sublayers


def test_the_default_space_is_large_and_its_supernet_small() -> None:
    assert EDGE.size >= 100_000_000
    assert detector_costs(EDGE.largest, SIZE).params <= 4_500_000


def test_its_digest_is_of_the_choices_and_not_of_the_name() -> None:
    assert replace(EDGE, name="other").digest == EDGE.digest
    assert replace(EDGE, head_channels=(32, 48)).digest != EDGE.digest
    first, *others = EDGE.stages
    assert replace(EDGE, stages=(replace(first, widths=(16,)), *others)).digest != EDGE.digest


SMALLEST = str(EDGE.smallest)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            SMALLEST.replace("(8,24,2,1)", "(8,40,2,1)").replace("(24,32", "(40,32"),
            "stage 2 with width 40; .* has 24, 32",
        ),
        (SMALLEST.replace("(32,48,2,16,1)", "(32,48,2,24,1)"), "stage 4 with inner width 24; .* has 16, 32"),
        (SMALLEST.replace("(32,48,2,16,1)", "(32,48,2,16,9)"), "stage 4 with depth 9; .* has 1, 2, 3, 4$"),
        (
            SMALLEST.replace("SuperResK3K3(32,48", "SuperResK5K3(32,48"),
            "stage 4 of .* is 'SuperResK5K3.*it is 3x3-3x3 residuals",
        ),
        (SMALLEST.replace("(32,48,2,16,1)", "(32,128,2,16,1)").replace("(48,64", "(128,128"), "a quarter to twice"),
        (SMALLEST.replace("PAFPN(16)", "PAFPN(24)"), "a neck of width 24; .* has 16, 32, 48"),
        (SMALLEST.replace("HeadDW(32,1)", "HeadDW(32,4)"), "a head of depth 4"),
        (SMALLEST.replace("HeadDW", "Head"), "has a head of plain convolutions"),
        (SMALLEST.replace("SuperResK3K3(24,32,2,16,1)", "SuperConvK3BNRELU(24,32,2,1)"), "it is 3x3-3x3 residuals"),
        (
            SMALLEST.replace("SuperConvK3BNRELU(8,24,2,1)", "SuperConvK3BNRELU(8,24,2,2)"),
            "stage 2 with depth 2; .* has 1$",
        ),
        (str(published_detector("damofd-0.5g")), "stage 1 with width 32"),
    ],
)
def test_what_is_no_member_is_refused_by_the_choice_that_makes_it_none(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        EDGE.require(parse_architecture(text))


def test_landmarks_are_refused() -> None:
    with pytest.raises(InputError, match="has landmarks"):
        EDGE.require(replace(EDGE.smallest, landmarks=True))


def test_a_space_whose_largest_network_is_no_member_is_refused() -> None:
    stages = (*TINY_SPACE.stages[:4], StageChoices((8,), (8,)))
    with pytest.raises(InputError, match="no stage narrows"):
        replace(TINY_SPACE, stages=stages)


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"no elastic space 'facenas-edge'.*there is facenas-elastic"):
        elastic_space("facenas-edge")


def test_few_operators_are_needed_for_all_members() -> None:
    """Latency tables hold every operator; one more value in a list must not make them thousands."""
    generator = np.random.default_rng(2)
    seen: set[object] = set()
    for _ in range(300):
        seen |= set(inventory(EDGE.random_member(generator), SIZE))
    assert len(seen) <= 600
