"""The comparison on recorded noise: a planted slowdown is caught, an equal build is not accused."""

import json
from pathlib import Path

import numpy as np
import pytest

from facenas.bench.comparison import compare_timings
from facenas.bench.gate import LOOKS, QUICK
from facenas.bench.record import Timing
from facenas.errors import InputError

# Visits to unchanged workloads on two busy cores, in the order in which they were taken.
NOISE = {
    name: Timing(tuple(value["samples_ns"]), tuple(value["reference_ns"]))
    for name, value in json.loads((Path(__file__).parent / "recorded_noise.json").read_text()).items()
}
TRIALS = 20


def session(noise: Timing, generator: np.random.Generator, slowdown: float = 1.0) -> Timing:
    """As many successive visits as a quick session makes, from anywhere in the recording."""
    start = int(generator.integers(len(noise.samples_ns) - QUICK.visits))
    part = slice(start, start + QUICK.visits)
    return Timing(tuple(round(slowdown * sample) for sample in noise.samples_ns[part]), tuple(noise.reference_ns[part]))


def accused(noise: Timing, slowdown: float, generator: np.random.Generator) -> bool:
    """The gate's verdict, as facenas/bench/gate.py comes to it with a baseline's record."""
    before, after = session(noise, generator), session(noise, generator, slowdown)
    for _ in range(1, LOOKS):
        if not compare_timings("it", before, after).suspicious:
            break
        after += session(noise, generator, slowdown)
    return compare_timings("it", before, after).regression


@pytest.mark.parametrize("name", NOISE)
def test_a_fifth_slower_is_caught_and_equal_builds_are_not_accused(name: str) -> None:
    generator = np.random.default_rng(0)
    caught = sum(accused(NOISE[name], 1.2, generator) for _ in range(5 * TRIALS))
    false = sum(accused(NOISE[name], 1.0, generator) for _ in range(5 * TRIALS))
    assert caught >= 0.95 * 5 * TRIALS
    assert false == 0


def test_what_slows_the_whole_machine_is_no_regression() -> None:
    noise = NOISE["inference: shipped detector"]
    before = session(noise, np.random.default_rng(1))
    doubled = Timing(tuple(2 * value for value in before.samples_ns), tuple(2 * value for value in before.reference_ns))
    comparison = compare_timings("it", before, doubled)
    assert comparison.ratio == pytest.approx(1)
    assert not comparison.regression


def test_ratio_and_interval_of_a_known_slowdown() -> None:
    generator = np.random.default_rng(2)
    samples = np.exp(generator.normal(15, 0.02, (2, 40)))
    samples[1] *= 1.5
    before, after = (Timing(tuple(map(round, row)), (1_000_000,) * 40) for row in samples)
    comparison = compare_timings("it", before, after)
    assert comparison.low < 1.5 < comparison.high
    assert comparison.ratio == pytest.approx(1.5, rel=0.02)
    assert comparison.regression
    assert comparison.verdict == "SLOWER"
    assert compare_timings("it", after, before).verdict == "faster"


def test_too_few_visits_are_refused() -> None:
    few = Timing((1, 2, 3), (1, 1, 1))
    with pytest.raises(InputError, match="'it' was visited 3 times; a comparison needs 10"):
        compare_timings("it", few, few)
