"""Calibrate: fit a table to this machine by timing a handful of networks, in seconds rather than minutes.

    latency = scale * sum + offset,   scale and offset anew, from networks between the fastest and the slowest

Two numbers, because memory and processor do not slow down alike: small networks then lose more than large ones, and one
factor for all was twice as far off in int8. They cannot tell what another CPU does to single operators; how well they do
is the new error, from predicting each network by the fit to the others. The interval no longer allows for sessions that
are off as a whole, because the fit is of this session. A handful of networks may look better than they are, so it is that
of normal errors as large as the new error or the table's own, whichever is larger, and of the doubt of the fit:

    interval = latency * (1 -+ 1.645 * sqrt(pi / 2) * error * sqrt(1 + 2 / networks))

Other work on the machine lengthens every run, and seconds are too short to sit
it out: so it is measured too, and the note says how much of it there was.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from math import pi, sqrt
from statistics import median

import numpy as np

from facenas.architecture import Detector
from facenas.devices.agent import Agent
from facenas.devices.cpu import processor_seconds
from facenas.devices.fingerprint import differences, read_fingerprint
from facenas.devices.targets import require_available, resolve_target
from facenas.errors import TableError
from facenas.latency.calibration import LEAST_NETWORKS, FloatVector, fit, held_out_predictions
from facenas.latency.carriers import random_networks
from facenas.latency.measure import low_quantile
from facenas.latency.predictor import OperatorCosts, predict
from facenas.latency.table import Calibration, LatencyTable
from facenas.spaces import load_space

_NETWORKS = 8
_POOL = 60
_SEED = 3
_ROUNDS = 5
_LEAST_ROUNDS = 2
_RUNS = 4
_SECONDS = 12.0
_BUSY_CORES = 0.3
_NINETY_PERCENT = 1.645  # standard deviations to each side that hold 90 % of a normal distribution


def calibrate(table: LatencyTable, progress: Callable[[int, int], None] | None = None) -> LatencyTable:
    """The table with its calibration and fingerprint made this machine's, in less than 15 s.

    `progress` is told the visits to networks done and planned. Raises TableError where the table covers none of its
    space's networks, InputError or MissingPackageError where its target cannot run here, AgentError where its runtime
    fails.
    """
    target = resolve_target(table.target)
    require_available(target)
    here = read_fingerprint(target)
    networks = calibration_networks(table)
    predicted_ms = np.array([predict(network, table, table.input_size).latency_ms for network in networks])
    samples: list[list[int]] = [[] for _ in networks]
    start, spent_before = time.monotonic(), processor_seconds()
    with Agent(target) as agent:
        for number in range(_ROUNDS):
            if number >= _LEAST_ROUNDS and (time.monotonic() - start) * (number + 1) / number > _SECONDS:
                break
            for index, network in enumerate(networks):
                sample = agent.measure(network, table.input_size, runs=_RUNS, layers=False)
                samples[index] += sample.end_to_end_ns
                if progress is not None:
                    progress(number * len(networks) + index + 1, _ROUNDS * len(networks))
    seconds, spent_after = time.monotonic() - start, processor_seconds()
    measured_ms = np.array([low_quantile(np.array(taken)) / 1e6 for taken in samples])
    calibration = refitted(table.calibration, predicted_ms, measured_ms)
    factor = median(measured_ms / predicted_ms)
    changed = differences(table.fingerprint, here)
    origin = "another machine" if changed else "this machine"
    note = f"table of {table.date} from {origin}, rescaled by {factor:.3f}"
    if spent_before is not None and spent_after is not None:
        note += _other_work((spent_after - spent_before) / seconds - target.threads)
    return replace(table, fingerprint=here, calibration=replace(calibration, note=note))


def _other_work(busy_cores: float) -> str:
    """A warning where other programs kept more than a third of a core busy, else nothing."""
    if busy_cores < _BUSY_CORES:
        return ""
    return f"; beside other work on {busy_cores:.1f} cores, so perhaps too high: calibrate again when that is over"


def calibration_networks(table: LatencyTable) -> list[Detector]:
    """Random networks of the table's space from its fastest to its slowest."""
    costs = OperatorCosts(table)
    pool: list[tuple[float, str, Detector]] = []
    for detector in random_networks(load_space(table.space), _POOL, seed=_SEED):
        try:
            latency_ms = predict(detector, table, table.input_size, costs).latency_ms
        except TableError:  # the space has grown since the table was made; others of its networks are covered
            continue
        pool.append((latency_ms, str(detector), detector))
    if not pool:
        raise TableError(
            f"the table for {table.target} covers no network of space {table.space}; make it anew: "
            f"facenas profile --device {table.target} --input {table.input_size}"
        )
    pool.sort(key=lambda entry: entry[:2])
    places = np.unique(np.linspace(0, len(pool) - 1, _NETWORKS).round().astype(int))
    return [pool[place][2] for place in places]


def refitted(old: Calibration, predicted_ms: FloatVector, measured_ms: FloatVector) -> Calibration:
    """The calibration by which networks that `old` predicts at `predicted_ms` are predicted as they were measured.

    Its error is from leaving each network out in turn. Raises TableError for fewer than 3 networks.
    """
    count = len(measured_ms)
    if count < LEAST_NETWORKS:
        raise TableError(f"only {count} networks were measured, {LEAST_NETWORKS} are needed to calibrate")
    sums_ns, measured_ns = (1e6 * predicted_ms - old.offset_ns) / old.scale, 1e6 * measured_ms
    scale, offset_ns = fit(sums_ns, measured_ns)
    left_out_ns = held_out_predictions(sums_ns, measured_ns, folds=count)
    errors_percent = 100 * np.abs(left_out_ns / measured_ns - 1)
    error_percent = float(errors_percent.mean())
    deviation = (
        sqrt(pi / 2) * max(error_percent, old.error_percent) / 100
    )  # of a normal distribution of that mean error
    half_width = _NINETY_PERCENT * deviation * sqrt(1 + 2 / count)
    return Calibration(
        scale=scale,
        offset_ns=offset_ns,
        low_ratio=max(0.0, 1 - half_width),
        high_ratio=1 + half_width,
        error_percent=error_percent,
        worst_percent=float(errors_percent.max()),
        networks=count,
        note="",
    ).rounded()
