from collections import Counter

import pytest
from helpers.tiny_tables import TINY_INPUT, tiny_space

from facenas.architecture import PUBLISHED_NAMES, published_detector
from facenas.graph import inventory
from facenas.latency.carriers import landmark_carriers, published_carriers, random_networks, space_carriers
from facenas.spaces.named import load_space
from facenas.units import Size


@pytest.mark.parametrize("wanted", [1, 2])
def test_every_operator_of_the_space_has_its_carriers(wanted: int) -> None:
    space, size = load_space("facenas-edge"), Size(640, 480)
    carriers = space_carriers(space, size, carriers_per_operator=wanted)
    counts = Counter(operator for carrier in carriers for operator in set(inventory(carrier, size)))
    operators = space.operators(size)
    assert all(counts[operator] for operator in operators)
    # An operator that only one detector of the pool holds has but that carrier.
    assert sum(counts[operator] < wanted for operator in operators) <= 0.05 * len(operators)
    assert len(carriers) < 200 * wanted


def test_equal_arguments_give_equal_carriers() -> None:
    assert space_carriers(tiny_space(), TINY_INPUT) == space_carriers(tiny_space(), TINY_INPUT)


def test_short_published_carriers_hold_all_operators_of_the_published_detectors() -> None:
    size = Size(640, 480)
    held = {operator for carrier in published_carriers() for operator in inventory(carrier, size)}
    for name in PUBLISHED_NAMES:
        assert set(inventory(published_detector(name), size)) <= held


def test_landmark_carriers_have_every_head_of_the_space() -> None:
    space = load_space("facenas-edge")
    carriers = landmark_carriers(space, 2)
    assert all(carrier.landmarks for carrier in carriers)
    assert {carrier.neck_and_head for carrier in carriers} == {design for _, design in space.necks_and_heads}


def test_random_networks_differ_and_end_with_the_space() -> None:
    networks = random_networks(tiny_space(), 100, seed=0)
    assert len(networks) == len(set(networks)) == tiny_space().size
