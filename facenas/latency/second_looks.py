"""Which networks a profile visits again when its time is over: those whose samples disagree with one another, or with what
all other networks say."""

from collections.abc import Sequence

import numpy as np

from facenas.latency.input_sizes import Inputs
from facenas.latency.journal import Visit
from facenas.latency.operator_times import (
    UNSTABLE_PERCENT,
    Network,
    end_to_end_samples,
    is_stable,
    samples_by_network,
    samples_by_operator,
)
from facenas.latency.timed_networks import recover_operators
from facenas.runtimes.timing import halves_differ_percent

REPEAT_ROUND = 1_000_000
"""The round of the repeated visits; those that follow it, too."""

_DOUBTFUL = 0.04


def unstable_networks(visits: Sequence[Visit], networks: Sequence[Network], inputs: Inputs) -> list[Network]:
    """Networks to visit again: the first carrier of each operator that is unstable at home, and those unstable end to end.

    Visits of the repeating round itself are not looked at, so that a resumed profile chooses the same.
    """
    earlier = [visit for visit in visits if visit.round < REPEAT_ROUND]
    by_network = samples_by_network(earlier)
    places = samples_by_operator(earlier, networks, inputs, inputs.home)
    unstable = {operator for operator, samples in places.items() if not is_stable(samples)}
    chosen: list[Network] = []
    for network in networks:
        if network.layers:
            found = unstable & set(network.graph.operators) if network.input_size == inputs.home else set()
            unstable -= found
            if found:
                chosen.append(network)
        elif samples := by_network.get(network.key):
            end_to_end = np.concatenate([sample.end_to_end_ns for sample in samples])
            if halves_differ_percent(end_to_end) > UNSTABLE_PERCENT:
                chosen.append(network)
    return chosen


def doubtful_networks(visits: Sequence[Visit], networks: Sequence[Network], inputs: Inputs) -> list[Network]:
    """Those that took otherwise than all others say: most were disturbed. As in `unstable_networks`, a resumed profile
    chooses the same."""
    timed = end_to_end_samples([visit for visit in visits if visit.round < REPEAT_ROUND + 1], networks)
    if not timed:
        return []
    found = recover_operators(timed, inputs)
    off = np.abs(found.held_out_ns / found.timed.whole.latencies_ns - 1)
    return [found.timed.networks[index] for index in np.flatnonzero((off > _DOUBTFUL) & found.judged)]
