"""The comparison on recorded noise: a planted slowdown is caught, an equal build is not accused."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from facenas.bench.gate import LOOKS, QUICK
from facenas.bench.record import Timing
from facenas.bench.regression import Comparison, compare_timings
from facenas.errors import InputError

# Visits to unchanged workloads on two busy cores, in the order in which they were taken.
NOISE = {
    name: Timing(tuple(value["samples_ns"]), tuple(value["reference_ns"]))
    for name, value in json.loads((Path(__file__).parent / "recorded_noise.json").read_text()).items()
}
TRIALS = 20


# Quick sessions of one unchanged build, half an hour long, while the machine went from quiet to busy and back.
STATES = [
    {name: Timing(tuple(value["samples_ns"]), tuple(value["reference_ns"])) for name, value in session.items()}
    for session in json.loads((Path(__file__).parent / "recorded_states.json").read_text())
]


def session(noise: Timing, generator: np.random.Generator, slowdown: float = 1.0) -> Timing:
    """As many successive visits as a quick session makes, from anywhere in the recording."""
    start = int(generator.integers(len(noise.samples_ns) - QUICK.visits))
    part = slice(start, start + QUICK.visits)
    return slower(Timing(noise.samples_ns[part], noise.reference_ns[part]), slowdown)


def slower(timing: Timing, slowdown: float) -> Timing:
    return Timing(tuple(round(slowdown * sample) for sample in timing.samples_ns), timing.reference_ns)


def verdict(before: Timing, sessions: Iterator[Timing]) -> Comparison:
    """As facenas/bench/gate.py comes to it with a baseline's record."""
    after = next(sessions)
    for _ in range(1, LOOKS):
        if not compare_timings("it", before, after).suspicious:
            break
        after += next(sessions)
    return compare_timings("it", before, after)


def accused(noise: Timing, slowdown: float, generator: np.random.Generator) -> bool:
    """The verdict on visits from anywhere in the recording; a baseline holds quiet visits, as a session waits for them."""
    before = session(noise, generator) + session(noise, generator) + session(noise, generator)
    return verdict(before, (session(noise, generator, slowdown) for _ in range(LOOKS))).regression


@pytest.mark.parametrize("name", NOISE)
def test_a_fifth_slower_is_caught_and_equal_builds_are_not_accused(name: str) -> None:
    generator = np.random.default_rng(0)
    caught = sum(accused(NOISE[name], 1.2, generator) for _ in range(5 * TRIALS))
    false = sum(accused(NOISE[name], 1.0, generator) for _ in range(5 * TRIALS))
    assert caught >= 0.95 * 5 * TRIALS
    assert false == 0


@pytest.mark.parametrize("name", STATES[0])
def test_on_a_machine_of_two_states_a_verdict_is_right_or_there_is_none(name: str) -> None:
    generator = np.random.default_rng(3)
    drawn = [STATES[index][name] for index in generator.integers(len(STATES), size=400)]
    counts: Counter[tuple[float, str]] = Counter()
    for slowdown in (1.0, 1.2):
        for start in range(0, len(drawn), LOOKS + 1):
            sessions = iter([slower(timing, slowdown) for timing in drawn[start + 1 : start + 1 + LOOKS]])
            counts[slowdown, verdict(drawn[start], sessions).verdict] += 1
    trials = len(drawn) // (LOOKS + 1)
    judged = trials - counts[1.2, "not judged"]
    assert judged >= trials / 2
    assert counts[1.2, "SLOWER"] >= 0.95 * judged
    assert counts[1.0, "SLOWER"] == 0
    assert counts[1.0, "faster"] <= 0.05 * trials


def test_what_slows_the_whole_machine_a_little_is_no_regression() -> None:
    noise = NOISE["inference: shipped detector"]
    before = Timing(noise.samples_ns, noise.reference_ns)
    clocked = Timing(
        *(tuple(round(1.05 * value) for value in values) for values in (before.samples_ns, before.reference_ns))
    )
    comparison = compare_timings("it", before, clocked)
    assert comparison.decided
    assert comparison.ratio == pytest.approx(1, abs=0.03)
    assert not comparison.regression


def test_sessions_of_different_states_are_not_judged_unless_they_were_one() -> None:
    """As in the whole recording, where a busy machine takes 1.3 times as long for the reference, 1.6 for the work."""
    quiet = Timing((100,) * 20, (10,) * 20)
    busy = Timing((160,) * 20, (13,) * 20)
    later, earlier = compare_timings("it", quiet, busy), compare_timings("it", busy, quiet)
    assert (later.verdict, later.suspicious) == ("not judged", True)
    assert (earlier.verdict, earlier.suspicious) == ("not judged", False)
    assert compare_timings("it", quiet, busy + quiet).verdict == "no change beyond noise"
    assert compare_timings("it", quiet + busy, slower(quiet + busy, 1.2), in_turns=True).regression
    assert compare_timings("it", quiet, slower(busy, 1.2), in_turns=True).decided


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
