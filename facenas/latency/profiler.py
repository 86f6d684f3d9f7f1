"""Profile: measure carriers in turns, round after round, and make a LatencyTable of what was read.

A visit to a carrier takes a few runs with the runtime's layer counters, a visit to a calibration network a few runs end
to end. Visits are short and rounds many, so that a burst of disturbance, seconds to a minute long, hits few of a
network's samples. Every visit goes to a journal at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facenas.architecture import Architecture
from facenas.devices.fingerprint import Fingerprint
from facenas.devices.target import Target
from facenas.errors import BusyMachineError, DeviceError, TableError
from facenas.latency.calibration import calibration_by
from facenas.latency.carriers import (
    CARRIERS_ELSEWHERE,
    carriers_elsewhere,
    landmark_carriers,
    published_carriers,
    random_networks,
    space_carriers,
)
from facenas.latency.counted_networks import count_operators
from facenas.latency.input_sizes import Inputs, timed_inputs
from facenas.latency.journal import Journal, Visit
from facenas.latency.operator_times import (
    Network,
    companion_ns,
    end_to_end_samples,
    network_to_visit,
    quiet_so_far_ns,
    undisturbed_visit,
)
from facenas.latency.profile_plan import Plan, default_plan
from facenas.latency.second_looks import REPEAT_ROUND, doubtful_networks, unstable_networks
from facenas.latency.table import WHOLE_NETWORKS, Calibration, LatencyTable, OperatorTime, save_table
from facenas.latency.timed_networks import recover_operators
from facenas.locks import only_one
from facenas.operators import Operator
from facenas.progress import DoneOf
from facenas.quiet import Patience
from facenas.remote.remote_agent import RemoteAgent
from facenas.runtimes.companion import COMPANION
from facenas.runtimes.local_agent import LocalAgent
from facenas.runtimes.runtime import read_fingerprint, require_available, runtime_of
from facenas.spaces.space import Space
from facenas.units import Size, in_seconds

_CALIBRATION_SEED = 1
_DOUBTFUL_ROUNDS = 3
_MAX_FAULTS = 5
"""So many visits in a row that failed of something passing: waiting for its end here is vain."""
_TIMES_AS_LONG = 2.5  # at most, where the error is too large


def networks_to_visit(space: Space, input_size: Size, plan: Plan) -> list[Network]:
    """Carriers of the spaces, of the published detectors and of `plan.also`, and random networks for calibration."""
    carriers: list[Architecture] = []
    calibration: list[Architecture] = []
    spaces = space, *plan.further_spaces
    for each in spaces:
        carriers += space_carriers(each, input_size, carriers_per_operator=plan.carriers_per_operator)
        carriers += landmark_carriers(each, plan.carriers_per_operator)
        calibration += random_networks(each, plan.calibration_networks // len(spaces), seed=_CALIBRATION_SEED)
    carriers += (*(published_carriers() if plan.published else ()), *plan.also)
    sizes = timed_inputs(Inputs(input_size, plan.other_inputs), len(calibration))
    timed = list(zip(calibration, sizes, strict=True))
    visited = [(detector, input_size) for detector in dict.fromkeys(carriers)]
    count = CARRIERS_ELSEWHERE * len(spaces) if plan.other_inputs else 0
    elsewhere = carriers_elsewhere(carriers, input_size, count)
    visited += [(detector, size) for size in plan.other_inputs for detector in elsewhere]
    if not plan.counters:
        visited = [each for each in visited if each not in timed]
    return [network_to_visit(detector, size, layers=plan.counters) for detector, size in visited] + [
        network_to_visit(detector, size, layers=False) for detector, size in timed
    ]


def profile(
    agent: LocalAgent | RemoteAgent,
    space: Space,
    input_size: Size,
    out: Path,
    *,
    plan: Plan | None = None,
    resume: bool = False,
    progress: DoneOf | None = None,
    patience: Patience | None = None,
) -> LatencyTable:
    """Measure the agent's target and write the table to `out`; until then all that was measured is in `<out>.journal`.

    `progress` is told percent done, of 100. `patience`: with other work on this machine.
    Raises InputError or MissingPackageError where the target cannot run here, DeviceError where a device elsewhere fails
    for good, TableError where too little could be measured, BusyMachineError where other work on this machine does not
    end (what was measured is then in the journal) or has spoilt the table (which is then not kept).
    """
    target, here = agent.target, isinstance(agent, LocalAgent)
    if here:
        require_available(target)
    # Other work does not change an estimate.
    patience = Patience(judges=False) if runtime_of(target).estimates else patience or Patience()
    plan = plan or default_plan(target)
    inputs = Inputs(input_size, plan.other_inputs, runtime_of(target).block_px)
    networks = networks_to_visit(space, input_size, plan)
    with only_one(out.with_name(f"{out.name}.lock"), f"a profile into {out}"):
        fingerprint = read_fingerprint(target) if isinstance(agent, LocalAgent) else agent.fingerprint
        described: dict[str, Any] = {
            "device": target.name,
            "space": space.name,
            "input_size": str(input_size),
            "other_inputs": [str(size) for size in plan.other_inputs],
            "fingerprint": fingerprint.to_json(),
            "runs_per_visit": plan.runs_per_visit,
            "companion": COMPANION,
            "networks": [network.key for network in networks],
        }
        journal = Journal(out.with_name(f"{out.name}.journal"), described, resume=resume)
        if journal.words is not None:
            patience.say(journal.words)
        about = _About(networks, agent, fingerprint, space.name, inputs)
        table = _measured_table(journal, about, plan, (patience, progress))
        if here:
            try:
                patience.check(table.calibration.error_percent, f"the profile of {target}")
            except BusyMachineError:
                journal.remove()
                raise
        save_table(table, out)
        journal.remove()
    return table


@dataclass(frozen=True)
class _About:
    """What a table is of."""

    networks: Sequence[Network]
    agent: LocalAgent | RemoteAgent
    fingerprint: Fingerprint
    space: str
    inputs: Inputs


def _measured_table(
    journal: Journal, about: _About, plan: Plan, watched: tuple[Patience, DoneOf | None]
) -> LatencyTable:
    """The table of what is measured; on a restless machine for longer, until its error is small enough or the patience ends."""
    patience = watched[0]
    longest_s = (_TIMES_AS_LONG if isinstance(about.agent, LocalAgent) else 1.0) * plan.seconds
    while True:
        try:
            _measure(journal, about, plan, watched)
        except BusyMachineError as error:
            if journal.visits:
                raise BusyMachineError(f"{error}, with --resume") from error
            journal.remove()
            raise
        table = (_table_by_counters if plan.counters else _table_by_whole_networks)(journal.visits, about)
        error_percent = table.calibration.error_percent
        if patience.accepts(error_percent) or plan.seconds >= longest_s:
            return table
        plan = replace(plan, seconds=min(longest_s, 1.5 * plan.seconds))
        patience.say(
            f"the machine is restless (mean error {error_percent:.0f} %): measuring on, {in_seconds(plan.seconds)} in all"
        )


def _table_by_counters(visits: Sequence[Visit], about: _About) -> LatencyTable:
    """The table of what was measured. Raises TableError where that is nothing or too little."""
    target, runtime = about.agent.target, runtime_of(about.agent.target)
    if not any(visit.sample and visit.sample.layers_ns for visit in visits):
        raise _nothing_measured(visits, target)
    found = count_operators(visits, about.networks, about.inputs)
    note = "the operators' times were corrected by these networks; each was predicted by the others"
    if about.agent.as_graph is not None:
        how = "launched as one CUDA graph" if about.agent.as_graph else "launched kernel by kernel"
        note += f", {how}; {_unattributed_share(visits):.1%} of the layers' time belongs to no layer"
    fitted = found.scale, found.offset_ns
    drift = runtime.session_drift[target.precision]
    calibration = calibration_by(found.held_out_ns, found.samples, fitted, drift, note)
    return _table(visits, about, (found.times, calibration))


def _table_by_whole_networks(visits: Sequence[Visit], about: _About) -> LatencyTable:
    """The table of networks that were timed end to end; its error is that of each predicted by others. Raises TableError where
    that is nothing or too little."""
    target, timed = about.agent.target, end_to_end_samples(visits, about.networks)
    if not timed:
        raise _nothing_measured(visits, target)
    found = recover_operators(timed, about.inputs)
    calibration = calibration_by(
        found.held_out_ns[found.judged],
        found.judged_samples,
        (1.0, found.offset_ns),
        runtime_of(target).session_drift[target.precision],
        "the operators were solved for from whole networks; each of these was predicted by the others",
    )
    table = _table(visits, about, (found.times, calibration))
    return replace(table, method=WHOLE_NETWORKS)


def _nothing_measured(visits: Sequence[Visit], target: Target) -> TableError:
    failures = _failures(visits) or ("no network was measured",)
    return TableError(f"nothing could be measured on {target.name}: {failures[0]}")


def _table(
    visits: Sequence[Visit], about: _About, found: tuple[Mapping[Operator, OperatorTime], Calibration]
) -> LatencyTable:
    target, (operators, calibration) = about.agent.target, found
    return LatencyTable(
        target=target.name,
        provenance="vendor-estimated" if runtime_of(target).estimates else "measured",
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        space=about.space,
        input_size=about.inputs.home,
        fingerprint=about.fingerprint,
        calibration=calibration,
        operators=operators,
        seconds=sum(visit.seconds for visit in visits),
        failures=_failures(visits),
        other_inputs=about.inputs.others,
        block_px=about.inputs.block_px,
        companion_ns=companion_ns(visits),
    )


def _measure(journal: Journal, about: _About, plan: Plan, watched: tuple[Patience, DoneOf | None]) -> None:
    """Rounds over all networks as long as the plan's time lasts, then one over those whose samples are unstable."""
    patience, progress = watched
    networks, agent, inputs = about.networks, about.agent, about.inputs
    lasting = [visit for visit in journal.visits if not visit.passing]
    done = {(visit.round, visit.network) for visit in lasting}
    failed = {visit.network for visit in lasting if visit.sample is None}
    faults: list[str] = []  # passing ones, since the last visit that succeeded

    def one_round(number: int, chosen: Sequence[Network]) -> None:
        for index in np.random.default_rng(number).permutation(len(chosen)):
            network = chosen[index]
            if (number, network.key) in done or network.key in failed:
                continue
            when = number, quiet_so_far_ns(journal.visits)
            visit = _visit(agent, network, when, plan.runs_per_visit, patience)
            journal.add(visit)
            if visit.passing:
                faults.append(visit.failure)
                if len(faults) == _MAX_FAULTS:
                    raise DeviceError(
                        f"{faults[-1]}; what was measured is kept, and gone on with: facenas profile --resume"
                    )
                continue
            faults.clear()
            if visit.sample is None:
                failed.add(network.key)
            if progress is not None:
                progress(_percent_done(journal.visits, networks, plan), 100)

    with agent:
        carriers = [network for network in networks if network.layers]
        calibration = [network for network in networks if not network.layers]
        number = 0
        while number < plan.least_rounds or _another_round_fits(journal.visits, number, plan.seconds):
            one_round(number, carriers[number % 2 :: 2])
            # By themselves: a network runs 1 % slower after a visit that read counters than after a plain one.
            one_round(number, calibration)
            number += 1
        one_round(REPEAT_ROUND, unstable_networks(journal.visits, networks, inputs))
        if not plan.counters:
            doubtful = doubtful_networks(journal.visits, networks, inputs)
            for number in range(REPEAT_ROUND + 1, REPEAT_ROUND + 1 + _DOUBTFUL_ROUNDS):
                one_round(number, doubtful)
    if progress is not None:
        progress(100, 100)


def _another_round_fits(visits: Sequence[Visit], rounds: int, seconds: float) -> bool:
    """Whether `rounds` rounds and one more like the last take less than `seconds`."""
    spent = sum(visit.seconds for visit in visits if visit.round < rounds)
    last = sum(visit.seconds for visit in visits if visit.round == rounds - 1)
    return 0 < last <= seconds - spent


def _percent_done(visits: Sequence[Visit], networks: Sequence[Network], plan: Plan) -> int:
    """Of the rounds; those that repeat what is unstable come after 99 %."""
    a_round = sum(0.5 if network.layers else 1.0 for network in networks)
    visit_share = len(visits) / (plan.least_rounds * a_round)
    time_share = sum(visit.seconds for visit in visits) / plan.seconds if plan.seconds else visit_share
    return min(99, int(100 * min(time_share, visit_share)))


def _visit(
    agent: LocalAgent | RemoteAgent, network: Network, when: tuple[int, int], runs: int, patience: Patience
) -> Visit:
    """A visit in a round, here as soon as the machine is as quiet as in `when`: (round, nanoseconds of the companion)."""
    number, quiet_ns = when
    what = partial(agent.measure, network.detector, network.input_size, runs=runs, layers=network.layers)
    measure = partial(what, quiet_ns=quiet_ns) if isinstance(agent, LocalAgent) else what
    return undisturbed_visit(measure, network, number, patience)


def _failures(visits: Sequence[Visit]) -> tuple[str, ...]:
    """The failures of networks that were never measured, passing ones once."""
    measured = {visit.network for visit in visits if visit.sample is not None}
    failed = (visit for visit in visits if visit.sample is None and not (visit.passing and visit.network in measured))
    return tuple(dict.fromkeys(f"{visit.network}: {visit.failure}" for visit in failed))


def _unattributed_share(visits: Sequence[Visit]) -> float:
    """Of the time that counters told, what belongs to no layer."""
    samples = [visit.sample for visit in visits if visit.sample is not None and visit.sample.layers_ns]
    overhead_ns = sum(sum(sample.overhead_ns) for sample in samples)
    layers_ns = sum(sum(map(sum, sample.layers_ns.values())) for sample in samples)
    return overhead_ns / (overhead_ns + layers_ns) if layers_ns else 0.0
