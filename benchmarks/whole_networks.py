"""Do tables need counters? A target profiled with and without them in one run, judged on networks that took no part.

    python benchmarks/whole_networks.py --device cpu [--networks 60] [--seconds 120] [--out F]

All visits are taken in turns: carriers by their counters (where the runtime tells them), the same carriers and random networks
end to end, and the unseen networks end to end. Three tables come of it: by counters, corrected by the random networks, as
`facenas profile` does; by whole networks alone; and by both, the counters' times corrected by all whole networks. Exit
code 1 where the one by whole networks misses a bar.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from prediction_figures import accuracy
from script import about_this_run, run_script

from facenas.arrays import Float64Array, IntArray
from facenas.cli.bar import progress_bar
from facenas.cli.output import note, print_table
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.files import write_json
from facenas.latency.carriers import random_networks, space_carriers
from facenas.latency.input_sizes import Inputs
from facenas.latency.journal import Visit
from facenas.latency.operator_fit import CONTEXT_DOUBT, fit_networks
from facenas.latency.operator_times import (
    Network,
    end_to_end_samples,
    measured_times,
    network_to_visit,
    quiet_so_far_ns,
    samples_by_operator,
    undisturbed_visit,
)
from facenas.latency.timed_networks import recover_operators, timed_networks
from facenas.quiet import Patience
from facenas.runtimes.local_agent import LocalAgent
from facenas.runtimes.runtime import runtime_of
from facenas.runtimes.timing import low_quantile
from facenas.spaces.named import load_space
from facenas.units import parse_size

RUNS_PER_VISIT = 3
CALIBRATION_NETWORKS, CALIBRATION_SEED, UNSEEN_SEED = 60, 1, 2
WITHIN_5_PERCENT, MEAN_ERROR_PERCENT = 95.0, 2.5


def main(
    device: Annotated[str, typer.Option(help="target")] = "cpu",
    space: Annotated[str, typer.Option(help="search space")] = "facenas-edge",
    input: Annotated[str, typer.Option(help="network input, WIDTHxHEIGHT")] = "640x480",
    networks: Annotated[int, typer.Option(help="unseen networks")] = 60,
    carriers_per_operator: Annotated[int, typer.Option(help="carriers that hold each operator")] = 1,
    seconds: Annotated[float, typer.Option(help="time to measure for")] = 120.0,
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Compare tables with and without counters."""
    target, size, searched = resolve_target(device), parse_size(input), load_space(space)
    carriers = space_carriers(searched, size, carriers_per_operator=carriers_per_operator)
    random = random_networks(searched, CALIBRATION_NETWORKS, seed=CALIBRATION_SEED)
    drawn = random_networks(searched, networks + len(carriers) + len(random), seed=UNSEEN_SEED)
    unseen = [each for each in drawn if each not in (*carriers, *random)][:networks]
    counted = carriers if runtime_of(target).tells_layers else ()
    visited = [network_to_visit(each, size, layers=True) for each in counted]
    visited += [network_to_visit(each, size, layers=False) for each in dict.fromkeys((*carriers, *random, *unseen))]
    with progress_bar() as report:
        visits, rounds, by_kind = measure(target, visited, seconds, report)
    names = {network_to_visit(each, size, layers=False).key for each in unseen}
    timed = end_to_end_samples(visits, visited)
    judged = [(network, samples) for network, samples in timed if network.key in names]
    known = [(network, samples) for network, samples in timed if network.key not in names]
    inputs = Inputs(size)
    measured_ms = [low_quantile(samples) / 1e6 for _, samples in judged]
    start = time.monotonic()
    predictions = {"whole networks": by_whole_networks(known, judged, inputs)}
    solving_s = time.monotonic() - start
    if counted:
        predictions |= with_counters(visits, visited, known, judged, inputs, random)
    figures = {name: accuracy(values, measured_ms) for name, values in predictions.items()}
    about = {"device": device, "rounds": rounds, "known": len(known), "unseen": len(judged)}
    about |= {"seconds": by_kind | {"solving": round(solving_s, 1)}}
    whole = figures["whole networks"]
    missed = ["within 5 %"] if whole["within_5_percent"] < WITHIN_5_PERCENT else []
    missed += ["mean error"] if whole["mean_error_percent"] > MEAN_ERROR_PERCENT else []
    if out is not None:
        listed = {"measured_ms": measured_ms} | {name: list(values) for name, values in predictions.items()}
        write_json(out, about_this_run() | about | {"figures": figures, "missed": missed, "networks": listed})
    rows = [(name, *(f"{value:.2f}" for value in each.values())) for name, each in figures.items()]
    columns = ("", *(key.replace("_", " ") for key in next(iter(figures.values()))))
    print_table(f"{device}: {len(judged)} unseen networks, {rounds} rounds, seconds {about['seconds']}", columns, rows)
    if missed:
        sys.exit(1)


def measure(
    target: Target, networks: Sequence[Network], seconds: float, report: Any
) -> tuple[list[Visit], int, dict[str, float]]:
    """The visits, in turns for `seconds`; the rounds; and the seconds that counted and timed visits took."""
    visits: list[Visit] = []
    patience, start, rounds = Patience(note, judges=False), time.monotonic(), 0
    with LocalAgent(target) as agent:
        while rounds < 2 or time.monotonic() - start < seconds:
            for index in np.random.default_rng(rounds).permutation(len(networks)):
                each = networks[index]
                ask = partial(
                    agent.measure,
                    each.detector,
                    each.input_size,
                    runs=RUNS_PER_VISIT,
                    layers=each.layers,
                    quiet_ns=quiet_so_far_ns(visits),
                )
                visits.append(undisturbed_visit(ask, each, rounds, patience))
                spent = min(time.monotonic() - start, seconds)
                report(int(spent), int(seconds), f"measuring on {target}, round {rounds + 1}")
            rounds += 1
    layers = {network.key: network.layers for network in networks}
    by_kind = {"counted": 0.0, "timed": 0.0}
    for visit in visits:
        by_kind["counted" if layers[visit.network] else "timed"] += visit.seconds
    return visits, rounds, {name: round(value, 1) for name, value in by_kind.items()}


def by_whole_networks(
    known: Sequence[tuple[Network, IntArray]], judged: Sequence[tuple[Network, IntArray]], inputs: Inputs
) -> Float64Array:
    """Milliseconds of the judged networks, predicted from the known ones alone."""
    found = recover_operators(known, inputs)
    times_ns = {operator: float(time.low_ns) for operator, time in found.times.items()}
    return predicted_ms(times_ns, judged, 1.0, found.offset_ns)


def with_counters(
    visits: Sequence[Visit],
    visited: Sequence[Network],
    known: Sequence[tuple[Network, IntArray]],
    judged: Sequence[tuple[Network, IntArray]],
    inputs: Inputs,
    random: Sequence[Any],
) -> dict[str, Float64Array]:
    """Milliseconds of the judged networks by counters, calibrated by the random networks, and by both kinds of evidence."""
    measured = measured_times(samples_by_operator(visits, visited, inputs, inputs.home))
    counted_ns = {operator: time.time_ns for operator, time in measured.items()}
    calibrating = timed_networks([each for each in known if each[0].detector in random], inputs, list(counted_ns)).whole
    everything = timed_networks(known, inputs, list(counted_ns)).whole
    doubts = np.hypot([time.doubt for time in measured.values()], CONTEXT_DOUBT)
    fits = {
        name: fit_networks(np.array(list(counted_ns.values())), doubts, whole)
        for name, whole in {"counters": calibrating, "both": everything}.items()
    }
    return {
        name: predicted_ms(
            dict(zip(counted_ns, each.times_ns.tolist(), strict=True)), judged, each.scale, each.offset_ns
        )
        for name, each in fits.items()
    }


def predicted_ms(
    times_ns: Mapping[Any, float], judged: Sequence[tuple[Network, IntArray]], scale: float, offset_ns: float
) -> Float64Array:
    """scale * sum + offset of each judged network."""
    sums_ns = [sum(times_ns[operator] for operator in network.graph.operators) for network, _ in judged]
    return np.asarray((scale * np.array(sums_ns) + offset_ns) / 1e6)


if __name__ == "__main__":
    run_script(main)
