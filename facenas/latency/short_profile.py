"""A short profile: half a minute in context that makes a table this machine's.

Every operator of the space is counted in at least one carrier, networks of the space are timed end to end, both in turns
as in a long profile (facenas/latency/profiler.py); what a table of another machine says is evidence beside it, and all
there is for operators that the space does not hold (facenas/latency/operator_fit.py). The calibration's error is from
predicting each network that was timed end to end by all that is known without it,

    interval = latency * (1 -+ t * rms error),   t: 95th percentile of Student's distribution for so many networks,

and the ratios of its 50th and 90th percentile to the 20th are those of the runs of all these networks.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import numpy as np

from facenas.devices.target import Target
from facenas.errors import TableError
from facenas.latency.calibration import MIN_NETWORKS
from facenas.latency.carriers import random_networks, space_carriers
from facenas.latency.journal import Visit
from facenas.latency.operator_fit import (
    CONTEXT_DOUBT,
    Fit,
    FloatVector,
    Time,
    WholeNetworks,
    carried_over,
    fit_networks,
    held_out_ns,
    joined,
)
from facenas.latency.operator_times import (
    Network,
    Samples,
    end_to_end_samples,
    halves_ns,
    network_to_visit,
    operator_time,
    quiet_limit_ns,
    samples_by_operator,
    undisturbed_visit,
)
from facenas.latency.table import Calibration, LatencyTable, OperatorTime, ShortProfile
from facenas.operators import Operator
from facenas.quiet import Patience
from facenas.runtimes.local_agent import LocalAgent
from facenas.runtimes.runtime import read_fingerprint, require_available
from facenas.runtimes.timing import low_quantile
from facenas.spaces.space import Space
from facenas.units import Size, significant

_SEED = 3
_POOL = 200
_MAX_TIMES_AS_LONG = 5.0  # where other tenants keep the machine busy
_MIN_VISITS = 10  # before it is known how quiet the machine can be
_MIN_MEASURING_DOUBT = 0.02

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ShortPlan:
    """Rounds over all networks as long as another fits into `seconds`, at least `least_rounds`."""

    seconds: float = 26.0
    least_rounds: int = 2
    end_to_end_networks: int = 20
    counted_runs: int = 3
    end_to_end_runs: int = 5


def short_profile(
    target: Target,
    space: Space,
    input_size: Size,
    prior: LatencyTable | None,
    *,
    plan: ShortPlan = ShortPlan(),
    patience: Patience | None = None,
    agent: LocalAgent | None = None,
    progress: Progress = lambda done, total: None,
) -> LatencyTable:
    """The table of `target` for networks of `space` on this machine, now; `prior`: a table of another machine or time.

    `progress` is told hundredths done. Raises InputError or MissingPackageError where the target cannot run here,
    BusyMachineError where other work does not end or has spoilt the table, TableError where too little could be measured.
    """
    require_available(target)
    networks = _networks(space, input_size, plan)
    patience = patience or Patience()
    visits = _measure(networks, agent or LocalAgent(target), input_size, plan, patience, progress)
    places = samples_by_operator(visits, networks)
    timed = end_to_end_samples(visits, networks)
    failures = tuple(f"{visit.network}: {visit.failure}" for visit in visits if visit.sample is None)
    if len(timed) < MIN_NETWORKS or not places:
        raise TableError(f"too little could be measured on {target}: {(*failures, 'no network ran')[0]}")
    times = _operator_times(places, prior)
    corrected, calibration = _calibrated(times, timed)
    doubts = [time.doubt for operator, time in times.items() if operator not in places]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    table = LatencyTable(
        target=target.name,
        provenance="measured",
        date=now,
        space=space.name,
        input_size=input_size,
        fingerprint=read_fingerprint(target),
        calibration=calibration,
        operators={
            operator: _rounded(operator_time(places[operator]) if operator in places else None, time_ns)
            for operator, time_ns in corrected.items()
        },
        seconds=sum(visit.seconds for visit in visits),
        failures=failures,
        short_profile=ShortProfile(
            "" if prior is None else prior.date,
            "" if prior is None else prior.fingerprint.cpu,
            len(doubts),
            significant(max(doubts, default=0.0)),
        ),
    )
    patience.check(calibration.error_percent, f"the short profile of {target}")
    return table


def _networks(space: Space, input_size: Size, plan: ShortPlan) -> list[Network]:
    """Carriers that hold every operator of the space, and networks from its cheapest to its dearest to time end to end."""
    carriers = space_carriers(space, input_size, carriers_per_operator=1)
    pool = [
        network_to_visit(detector, input_size, layers=False) for detector in random_networks(space, _POOL, seed=_SEED)
    ]
    pool.sort(key=lambda network: (sum(operator.macs for operator in network.graph.operators), network.key))
    places = np.unique(np.linspace(0, len(pool) - 1, plan.end_to_end_networks).round().astype(int))
    return [network_to_visit(detector, input_size, layers=True) for detector in carriers] + [pool[i] for i in places]


def _measure(
    networks: Sequence[Network],
    agent: LocalAgent,
    input_size: Size,
    plan: ShortPlan,
    patience: Patience,
    progress: Progress,
) -> list[Visit]:
    """Visits to all networks in turns: first all carriers, then all others, in an order drawn anew each round.

    Networks that were visited while another tenant slowed the machine are visited more often, also when time is over.
    """
    visits: list[Visit] = []
    start, rounds, round_seconds = time.monotonic(), 0, 0.0
    with agent:
        while True:
            spent = time.monotonic() - start
            in_time = rounds < plan.least_rounds or spent + round_seconds <= plan.seconds
            wanted = _lacking(networks, visits, rounds + 1 if in_time else plan.least_rounds)
            if not in_time and (not wanted or spent > _MAX_TIMES_AS_LONG * plan.seconds):
                break
            order = np.random.default_rng(rounds).permutation(len(wanted))
            for network in sorted((wanted[place] for place in order), key=lambda network: not network.layers):
                quiet_ns = int(quiet_limit_ns(visits)) if len(visits) >= _MIN_VISITS else 0
                visits.append(_visit(agent, network, (rounds, quiet_ns), input_size, plan, patience))
                visit_share = len(visits) / (plan.least_rounds * len(networks))
                time_share = (time.monotonic() - start) / plan.seconds if plan.seconds else visit_share
                progress(min(99, int(100 * min(visit_share, time_share))), 100)
            rounds, round_seconds = rounds + 1, time.monotonic() - start - spent
    progress(100, 100)
    return visits


def _lacking(networks: Sequence[Network], visits: Sequence[Visit], count: int) -> list[Network]:
    """Networks with fewer than `count` visits to a quiet machine, carriers first; those that cannot run left out."""
    limit_ns = quiet_limit_ns(visits)
    quiet = Counter(visit.network for visit in visits if visit.sample and visit.sample.reference_ns <= limit_ns)
    failed = {visit.network for visit in visits if visit.sample is None}
    return [network for network in networks if network.key not in failed and quiet[network.key] < count]


def _visit(
    agent: LocalAgent, network: Network, when: tuple[int, int], input_size: Size, plan: ShortPlan, patience: Patience
) -> Visit:
    """A visit in a round, as soon as the machine is as quiet as in `when`: (round, nanoseconds of the reference)."""
    number, quiet_ns = when
    measure = partial(
        agent.measure,
        network.detector,
        input_size,
        runs=plan.counted_runs if network.layers else plan.end_to_end_runs,
        layers=network.layers,
        quiet_ns=quiet_ns,
    )
    return undisturbed_visit(measure, network, number, patience)


def _operator_times(places: Mapping[Operator, Sequence[Samples]], prior: LatencyTable | None) -> dict[Operator, Time]:
    """Every operator's time, by counters here and by the other table."""
    measured = {operator: _measured(samples) for operator, samples in places.items()}
    if prior is None:
        return measured
    there_ns = {operator: float(time.low_ns) for operator, time in prior.operators.items()}
    times = carried_over(there_ns, measured)
    for operator, time_here in measured.items():
        both = operator in times and times[operator].time_ns > 0 < time_here.time_ns
        times[operator] = joined(times[operator], time_here) if both else time_here
    return times


def _measured(places: Sequence[Samples]) -> Time:
    """What the counters say; its doubt is that of a mean of two halves which differ by so much."""
    early, late = halves_ns(places)
    time_ns = float(operator_time(places).low_ns)
    if not time_ns:
        return Time(0.0, 0.0)
    return Time(time_ns, max(_MIN_MEASURING_DOUBT, abs(late - early) / (2 * time_ns)))


def _calibrated(
    times: Mapping[Operator, Time], timed: Sequence[tuple[Network, Samples]]
) -> tuple[dict[Operator, float], Calibration]:
    """The operators' nanoseconds corrected by the networks that were timed end to end, and the calibration by these."""
    columns = {operator: index for index, operator in enumerate(times)}
    known = [
        (network, samples) for network, samples in timed if all(entry in times for entry in network.graph.operators)
    ]
    if len(known) < MIN_NETWORKS:
        raise TableError(f"only {len(known)} networks could be measured, {MIN_NETWORKS} are needed to calibrate")
    counts = np.zeros((len(known), len(columns)))
    for row, (network, _) in enumerate(known):
        for operator in network.graph.operators:
            counts[row, columns[operator]] += 1
    networks = WholeNetworks(counts, np.array([low_quantile(samples) for _, samples in known]))
    times_ns = np.array([time.time_ns for time in times.values()])
    doubts = np.hypot([time.doubt for time in times.values()], CONTEXT_DOUBT)
    result = fit_networks(times_ns, doubts, networks)
    left_out_ns = held_out_ns(times_ns, doubts, networks)
    corrected = {operator: float(time_ns) for operator, time_ns in zip(times, result.times_ns, strict=True)}
    ratios = np.concatenate([samples / low_quantile(samples) for _, samples in known])
    return corrected, _calibration(result, left_out_ns, networks.latencies_ns, ratios)


def _calibration(fit: Fit, left_out_ns: FloatVector, latencies_ns: FloatVector, ratios: FloatVector) -> Calibration:
    """`ratios`: every run of every network over its network's latency."""
    from scipy.stats import t

    count = len(latencies_ns)
    errors = left_out_ns / latencies_ns - 1
    half_width = float(t.ppf(0.95, count - 1) * np.sqrt(np.mean(errors**2)))
    pairs_ms = np.column_stack([left_out_ns, latencies_ns]).round(-2) / 1e6
    return Calibration(
        scale=fit.scale,
        offset_ns=fit.offset_ns,
        low_ratio=max(0.0, 1 - half_width),
        high_ratio=1 + half_width,
        error_percent=float(100 * np.abs(errors).mean()),
        worst_percent=float(100 * np.abs(errors).max()),
        networks=count,
        note="measured here in a short profile",
        pairs_ms=tuple((float(predicted), float(measured)) for predicted, measured in pairs_ms),
        p50_ratio=float(np.quantile(ratios, 0.5)),
        p90_ratio=float(np.quantile(ratios, 0.9)),
    ).rounded()


def _rounded(counted: OperatorTime | None, time_ns: float) -> OperatorTime:
    """An operator's time as the table holds it: what was counted beside it, no samples where it is carried over."""
    if counted is None:
        return OperatorTime(0, round(time_ns), round(time_ns), 0, stable=True)
    return replace(counted, low_ns=round(time_ns))
