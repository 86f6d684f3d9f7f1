"""From visits to networks to the times of operators: an operator's samples are those of all its places in all carriers."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from facenas.architecture import Architecture
from facenas.arrays import IntArray
from facenas.errors import AgentError, PassingFaultError
from facenas.graph import Graph, build_graph
from facenas.latency.input_sizes import Inputs
from facenas.latency.journal import Visit
from facenas.latency.operator_fit import Time
from facenas.latency.table import OperatorTime
from facenas.operators import Operator
from facenas.quiet import QUIET, Patience
from facenas.runtimes.companion import usual_ns
from facenas.runtimes.local_agent import Measurement
from facenas.runtimes.timing import low_quantile
from facenas.units import Size

UNSTABLE_PERCENT = 10.0
# Counters resolve microseconds, so two samples of a short operator may differ by that without being disturbed.
COUNTER_RESOLUTION_NS = 2000
MIN_MEASURING_DOUBT = 0.02
_MIN_VISITS = 10  # before it is known how quiet the machine can be


@dataclass(frozen=True)
class Network:
    """A network to visit at an input. `layers`: its layer counters are read (a carrier), else it is timed end to end."""

    key: str
    detector: Architecture
    input_size: Size
    graph: Graph
    layers: bool


def network_to_visit(detector: Architecture, input_size: Size, *, layers: bool) -> Network:
    """A detector as a network to visit, by a name that tells all that it is."""
    landmarks, how = " with landmarks" if detector.landmarks else "", "" if layers else " end to end"
    key = f"{detector}{landmarks} at {input_size}{how}"
    return Network(key, detector, input_size, build_graph(detector, input_size), layers)


def undisturbed_visit(measure: Callable[[], Measurement], network: Network, number: int, patience: Patience) -> Visit:
    """The visit of a round to a network, measured again where other work disturbed it; a failure is a visit, too.

    Raises BusyMachineError where the patience ends.
    """
    start = time.monotonic()
    try:
        while True:
            sample = measure()
            if not patience.again(sample.waited_share):
                return Visit(number, network.key, time.monotonic() - start, sample)
    except AgentError as error:
        passing = isinstance(error, PassingFaultError)
        return Visit(number, network.key, time.monotonic() - start, None, str(error), passing)


def samples_by_network(visits: Sequence[Visit]) -> dict[str, list[Measurement]]:
    """The samples of a network's visits by its key, in their order: those taken while the machine was quiet.

    A network that was never visited then has those of its quietest visit.
    """
    found: dict[str, list[Measurement]] = {}
    for visit in visits:
        if visit.sample is not None:
            found.setdefault(visit.network, []).append(visit.sample)
    limit_ns = quiet_limit_ns(visits)
    return {
        key: [sample for sample in samples if sample.companion_ns <= limit_ns]
        or [min(samples, key=lambda sample: sample.companion_ns)]
        for key, samples in found.items()
    }


def quiet_limit_ns(visits: Sequence[Visit]) -> float:
    """The longest time of the companion in a visit to a quiet machine: `QUIET` times the least that was seen."""
    return QUIET * min((visit.sample.companion_ns for visit in visits if visit.sample is not None), default=0)


def companion_ns(visits: Sequence[Visit]) -> int:
    """What the companion usually took beside the visits to a quiet machine; 0 where none ran."""
    return usual_ns([visit.sample.companion_ns for visit in visits if visit.sample is not None])


def quiet_so_far_ns(visits: Sequence[Visit]) -> int:
    """What the companion may take before a visit, as far as earlier ones tell; 0 while they are too few."""
    return int(quiet_limit_ns(visits)) if len(visits) >= _MIN_VISITS else 0


def end_to_end_samples(visits: Sequence[Visit], networks: Sequence[Network]) -> list[tuple[Network, IntArray]]:
    """The networks that were timed end to end, each with the nanoseconds of all its runs in the order of the visits."""
    by_network = samples_by_network(visits)
    return [
        (network, np.concatenate([sample.end_to_end_ns for sample in by_network[network.key]]).astype(np.int64))
        for network in networks
        if not network.layers and network.key in by_network
    ]


def samples_by_operator(
    visits: Sequence[Visit], networks: Sequence[Network], inputs: Inputs, input_size: Size
) -> dict[Operator, list[IntArray]]:
    """For every operator (as at home), for each place where it was counted at an input, its nanoseconds in the order of
    rounds."""
    by_network = samples_by_network(visits)
    places: dict[Operator, list[IntArray]] = {}
    for network in networks:
        samples = by_network.get(network.key)
        if network.layers and network.input_size == input_size and samples:
            for layer in network.graph.layers:
                # A layer that the runtime removed or merged has no counter of its own: it costs nothing there.
                taken = np.concatenate([sample.layers_ns.get(layer.name, [0]) for sample in samples])
                places.setdefault(inputs.at_home(layer.operator, input_size), []).append(taken.astype(np.int64))
    return places


def operator_time(places: Sequence[IntArray]) -> OperatorTime:
    """Over all places: the median of their low quantiles, and median and spread of all samples."""
    everything = np.concatenate(places)
    quarter, middle, three_quarters = np.quantile(everything, (0.25, 0.5, 0.75))
    return OperatorTime(
        samples=len(everything),
        low_ns=round(median(map(low_quantile, places))),
        median_ns=round(float(middle)),
        spread_ns=round(float(three_quarters - quarter)),
        stable=is_stable(places),
    )


def is_stable(places: Sequence[IntArray]) -> bool:
    """Whether the early and the late halves of the samples agree, in the median over places."""
    early, late = halves_ns(places)
    difference = abs(late - early)
    return difference <= COUNTER_RESOLUTION_NS or difference <= min(early, late) * UNSTABLE_PERCENT / 100


def halves_ns(places: Sequence[IntArray]) -> tuple[float, float]:
    """Low quantiles of the early and of the late half of the samples, in the median over places."""
    early = median(low_quantile(samples[: (len(samples) + 1) // 2]) for samples in places)
    return early, median(low_quantile(samples[len(samples) // 2 :]) for samples in places)


def measured_times(places: Mapping[Operator, Sequence[IntArray]]) -> dict[Operator, Time]:
    """What the counters say, with the doubt of it."""
    return {operator: _measured(samples) for operator, samples in places.items()}


def _measured(places: Sequence[IntArray]) -> Time:
    """The doubt is that of a mean of two halves which differ by so much."""
    early, late = halves_ns(places)
    time_ns = float(operator_time(places).low_ns)
    if not time_ns:
        return Time(0.0, 0.0)
    return Time(time_ns, max(MIN_MEASURING_DOUBT, abs(late - early) / (2 * time_ns)))
