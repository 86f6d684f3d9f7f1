"""A short profile: about a minute in context that makes a table this machine's.

Every operator of the space is counted in at least one carrier, networks of the space are timed end to end, both in turns
as in a long profile (facenas/latency/profiler.py); what a table of another machine says is evidence beside it, and all
there is for operators that the space does not hold (facenas/latency/operator_fit.py). The calibration's error is from
predicting each network that was timed end to end by all that is known without it,

    interval = latency * (1 -+ sqrt((t * rms error)^2 + s^2)),

with t the 95th percentile of Student's distribution for so many networks and s a shift of all networks alike from one minute
to another: .7 and 1.0 % in two measurements right after. The ratios of its 50th and 90th percentile to the 20th are those of
the runs of all these networks. Where the runtime tells no times of layers the same networks are all timed end to end
(facenas/latency/whole_networks.py).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import numpy as np

from facenas.arrays import Float64Array, IntArray
from facenas.devices.target import Target
from facenas.errors import TableError
from facenas.latency.calibration import MIN_NETWORKS
from facenas.latency.carriers import carriers_elsewhere, space_carriers, spread_networks
from facenas.latency.counted_networks import count_operators
from facenas.latency.input_sizes import Inputs, timed_inputs
from facenas.latency.journal import Visit
from facenas.latency.operator_times import (
    Network,
    companion_ns,
    end_to_end_samples,
    network_to_visit,
    quiet_limit_ns,
    quiet_so_far_ns,
    undisturbed_visit,
)
from facenas.latency.table import (
    COUNTERS,
    WHOLE_NETWORKS,
    Calibration,
    LatencyTable,
    OperatorTime,
    ShortProfile,
)
from facenas.latency.timed_networks import recover_operators
from facenas.operators import Operator
from facenas.progress import DoneOf
from facenas.quiet import Patience
from facenas.runtimes.local_agent import LocalAgent
from facenas.runtimes.runtime import read_fingerprint, require_available, runtime_of
from facenas.runtimes.timing import low_quantile
from facenas.spaces.space import Space
from facenas.units import Size, in_seconds, significant

_SEED = 3
_SHIFT = 0.012  # of a latency
_WITHOUT_COUNTERS = 60
"""Networks to time end to end where that is all there is; they are at the other inputs, too."""

# Where other tenants keep the machine busy: so many times as long for visits to a quiet machine, and in all until the error
# is small enough. Twelve visits to each network on a restless host had 3.7 % where three had 7 to 12 %.
_TIMES_AS_LONG_FOR_QUIET, _MAX_TIMES_AS_LONG = 2.0, 8.0


@dataclass(frozen=True)
class ShortPlan:
    """Rounds over all networks as long as another fits into `seconds`, at least `least_rounds`. `other_inputs`: where
    some carriers are counted beside the input that is asked for."""

    seconds: float = 26.0
    least_rounds: int = 2
    end_to_end_networks: int = 20
    counted_runs: int = 3
    end_to_end_runs: int = 5
    other_inputs: tuple[Size, ...] = ()


def short_profile(
    target: Target,
    space: Space,
    input_size: Size,
    prior: LatencyTable | None,
    *,
    plan: ShortPlan = ShortPlan(),
    patience: Patience | None = None,
    agent: LocalAgent | None = None,
    progress: DoneOf = lambda done, total: None,
) -> LatencyTable:
    """The table of `target` for networks of `space` on this machine, now; `prior`: a table of another machine or time.

    `progress` is told hundredths done. Raises InputError or MissingPackageError where the target cannot run here,
    BusyMachineError where other work does not end or has spoilt the table, TableError where too little could be measured.
    """
    require_available(target)
    inputs = Inputs(input_size, plan.other_inputs)
    counters = runtime_of(target).tells_layers
    if not counters:
        plan = replace(plan, end_to_end_networks=_WITHOUT_COUNTERS, end_to_end_runs=plan.counted_runs)
    networks = _networks(space, inputs, plan, counters=counters)
    patience = patience or Patience()

    def solve(visits: Sequence[Visit]) -> _Found:
        if len(end_to_end_samples(visits, networks)) < MIN_NETWORKS or (counters and not _any_counted(visits)):
            raise TableError(f"too little could be measured on {target}: {(*_failures(visits), 'no network ran')[0]}")
        return (_by_counters if counters else _by_whole_networks)(visits, networks, inputs, prior)

    visits, found = _measure(networks, agent or LocalAgent(target), plan, (patience, progress), solve)
    table = LatencyTable(
        target=target.name,
        provenance="measured",
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        space=space.name,
        input_size=input_size,
        fingerprint=read_fingerprint(target),
        calibration=found.calibration,
        operators=found.operators,
        seconds=sum(visit.seconds for visit in visits),
        failures=_failures(visits),
        short_profile=ShortProfile(
            "" if prior is None else prior.date,
            "" if prior is None else prior.fingerprint.cpu,
            len(found.carried_over),
            significant(max(found.carried_over, default=0.0)),
        ),
        other_inputs=inputs.others,
        method=COUNTERS if counters else WHOLE_NETWORKS,
        companion_ns=companion_ns(visits),
    )
    patience.check(found.calibration.error_percent, f"the short profile of {target}")
    return table


@dataclass(frozen=True)
class _Found:
    """The operators' times, the calibration that goes with them, and the doubt of each operator that was not measured."""

    operators: Mapping[Operator, OperatorTime]
    calibration: Calibration
    carried_over: Sequence[float]


def _by_counters(
    visits: Sequence[Visit], networks: Sequence[Network], inputs: Inputs, prior: LatencyTable | None
) -> _Found:
    found = count_operators(visits, networks, inputs, prior)
    calibration = _calibration(found.scale, found.offset_ns, found.held_out_ns, found.samples)
    return _Found(found.times, calibration, found.carried_over)


def _by_whole_networks(
    visits: Sequence[Visit], networks: Sequence[Network], inputs: Inputs, prior: LatencyTable | None
) -> _Found:
    found = recover_operators(end_to_end_samples(visits, networks), inputs, prior)
    calibration = _calibration(1.0, found.offset_ns, found.held_out_ns[found.judged], found.judged_samples)
    carried_over = [found.doubts[operator] for operator, time in found.times.items() if not time.samples]
    return _Found(found.times, calibration, carried_over)


def _networks(space: Space, inputs: Inputs, plan: ShortPlan, *, counters: bool) -> list[Network]:
    """Carriers that hold every operator of the space, some of them at the other inputs, too, and networks from its cheapest
    to its dearest to time end to end; where there are no `counters`, all are."""
    carriers = space_carriers(space, inputs.home, carriers_per_operator=1)
    counted = [(detector, inputs.home) for detector in carriers]
    if counters:
        counted += [
            (detector, size) for size in inputs.others for detector in carriers_elsewhere(carriers, inputs.home)
        ]
    sizes = timed_inputs(inputs, plan.end_to_end_networks)
    timed = spread_networks(space, inputs.home, sizes, seed=_SEED)
    further = [each for each in dict.fromkeys(timed) if counters or each not in counted]
    return [network_to_visit(detector, size, layers=counters) for detector, size in counted] + [
        network_to_visit(detector, size, layers=False) for detector, size in further
    ]


def _measure(
    networks: Sequence[Network],
    agent: LocalAgent,
    plan: ShortPlan,
    watched: tuple[Patience, DoneOf],
    solve: Callable[[Sequence[Visit]], _Found],
) -> tuple[list[Visit], _Found]:
    """Visits to all networks in turns, and what they amount to: first all carriers, then all others, in an order drawn anew
    each round.

    Networks that were visited while another tenant slowed the machine are visited more often, also when time is over; and
    where the error is then too large, all are, until it is not or the patience ends.
    """
    patience, progress = watched
    visits: list[Visit] = []
    start, rounds, round_seconds, told = patience.clock(), 0, 0.0, False
    with agent:
        while True:
            spent = patience.clock() - start
            in_time = rounds < plan.least_rounds or spent + round_seconds <= plan.seconds
            wanted = _lacking(networks, visits, rounds + 1 if in_time else plan.least_rounds)
            if not in_time and (not wanted or spent > _TIMES_AS_LONG_FOR_QUIET * plan.seconds):
                found = solve(visits)
                if spent > _MAX_TIMES_AS_LONG * plan.seconds or patience.accepts(found.calibration.error_percent):
                    break
                if not told:
                    told = True
                    patience.say(
                        f"the machine is restless (mean error {found.calibration.error_percent:.0f} %): measuring on, for "
                        f"{in_seconds(_MAX_TIMES_AS_LONG * plan.seconds - spent)} at most"
                    )
                wanted = _lacking(networks, visits, len(visits))
            order = np.random.default_rng(rounds).permutation(len(wanted))
            for network in sorted((wanted[place] for place in order), key=lambda network: not network.layers):
                when = rounds, quiet_so_far_ns(visits)
                visits.append(_visit(agent, network, when, plan, patience))
                visit_share = len(visits) / (plan.least_rounds * len(networks))
                time_share = (patience.clock() - start) / plan.seconds if plan.seconds else visit_share
                progress(min(99, int(100 * min(visit_share, time_share))), 100)
            rounds, round_seconds = rounds + 1, patience.clock() - start - spent
    progress(100, 100)
    return visits, found


def _failures(visits: Sequence[Visit]) -> tuple[str, ...]:
    return tuple(f"{visit.network}: {visit.failure}" for visit in visits if visit.sample is None)


def _any_counted(visits: Sequence[Visit]) -> bool:
    return any(visit.sample and visit.sample.layers_ns for visit in visits)


def _lacking(networks: Sequence[Network], visits: Sequence[Visit], count: int) -> list[Network]:
    """Networks with fewer than `count` visits to a quiet machine, carriers first; those that cannot run left out."""
    limit_ns = quiet_limit_ns(visits)
    quiet = Counter(visit.network for visit in visits if visit.sample and visit.sample.companion_ns <= limit_ns)
    failed = {visit.network for visit in visits if visit.sample is None}
    return [network for network in networks if network.key not in failed and quiet[network.key] < count]


def _visit(agent: LocalAgent, network: Network, when: tuple[int, int], plan: ShortPlan, patience: Patience) -> Visit:
    """A visit in a round, as soon as the machine is as quiet as in `when`: (round, nanoseconds of the companion)."""
    number, quiet_ns = when
    measure = partial(
        agent.measure,
        network.detector,
        network.input_size,
        runs=plan.counted_runs if network.layers else plan.end_to_end_runs,
        layers=network.layers,
        quiet_ns=quiet_ns,
    )
    return undisturbed_visit(measure, network, number, patience)


def _calibration(scale: float, offset_ns: float, left_out_ns: Float64Array, taken: Sequence[IntArray]) -> Calibration:
    """`left_out_ns`: every network's latency as the others have it."""
    from scipy.stats import t

    latencies_ns, count = np.array([low_quantile(samples) for samples in taken]), len(left_out_ns)
    ratios = np.concatenate([samples / low_quantile(samples) for samples in taken])
    errors = left_out_ns / latencies_ns - 1
    half_width = float(np.hypot(t.ppf(0.95, count - 1) * np.sqrt(np.mean(errors**2)), _SHIFT))
    pairs_ms = np.column_stack([left_out_ns, latencies_ns]).round(-2) / 1e6
    return Calibration(
        scale=scale,
        offset_ns=offset_ns,
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
