"""How much a long profile measures (facenas/latency/profiler.py): which networks, for how long."""

from dataclasses import dataclass, replace

from facenas.architecture import Architecture
from facenas.devices.target import Target
from facenas.runtimes.runtime import runtime_of
from facenas.spaces.space import Space
from facenas.units import Size

_SECONDS_OF_ALL = 240.0  # of a profile at several inputs


@dataclass(frozen=True)
class Plan:
    """How much to measure: rounds until `seconds` are over, but at least `least_rounds` on slow devices.

    A round visits every other carrier and all calibration networks. The table holds the operators of the space and of
    `further_spaces`, which share the calibration networks, those of the published detectors where `published`, and those of
    the detectors in `also`. `other_inputs`: where some carriers are counted, too (facenas/latency/input_sizes.py). Without
    `counters` all networks are timed end to end, and the operators' times are solved for (facenas/latency/whole_networks.py).
    """

    carriers_per_operator: int = 2
    calibration_networks: int = 60
    seconds: float = 150.0
    least_rounds: int = 6
    runs_per_visit: int = 3
    published: bool = True
    also: tuple[Architecture, ...] = ()
    further_spaces: tuple[Space, ...] = ()
    other_inputs: tuple[Size, ...] = ()
    counters: bool = True


# A compiler's estimate is the same each time, so each carrier is visited once (two rounds) and there can be more of them:
# an operator's estimate depends a little on its neighbours.
ESTIMATES = Plan(carriers_per_operator=4, seconds=0.0, least_rounds=2, runs_per_visit=1)


# One carrier an operator and fewer networks to calibrate by: less sure, in a third of the time.
QUICK = Plan(carriers_per_operator=1, calibration_networks=16, seconds=30.0, least_rounds=4, published=False)


def default_plan(target: Target, other_inputs: tuple[Size, ...] = ()) -> Plan:
    """How much to measure on a target where nobody says otherwise."""
    if runtime_of(target).estimates:
        return replace(ESTIMATES, other_inputs=other_inputs)
    seconds = _SECONDS_OF_ALL if other_inputs else Plan.seconds
    return replace(Plan(), other_inputs=other_inputs, seconds=seconds, counters=runtime_of(target).tells_layers)
