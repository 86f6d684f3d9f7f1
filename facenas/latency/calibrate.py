"""Calibrate: rescale a table to this machine by timing a handful of networks, in seconds rather than minutes.

    scale' = r * scale,   offset' = r * offset,   r = median over the networks of measured / predicted

One factor cannot tell what another CPU does to single operators; how well it does is the new error, from predicting
each network by the factor of the others. The interval no longer allows for sessions that are off as a whole, because r
is that of this session; instead for the doubt of r, and where the new error is larger than the table's own, it widens by
as much. Other work on the machine lengthens every run, and seconds are too short to sit it out: so it is measured too, and
the note says how much of it there was.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from math import hypot, pi, sqrt
from statistics import fmean, median

import numpy as np

from facenas.architecture import Detector
from facenas.devices.agent import Agent
from facenas.devices.cpu import processor_seconds
from facenas.devices.fingerprint import differences, read_fingerprint
from facenas.devices.targets import require_available, resolve_target
from facenas.errors import TableError
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
    calibration = rescaled(table.calibration, (measured_ms / predicted_ms).tolist())
    changed = differences(table.fingerprint, here)
    origin = "another machine" if changed else "this machine"
    note = f"table of {table.date} from {origin}, rescaled by {calibration.scale / table.calibration.scale:.3f}"
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


def rescaled(old: Calibration, ratios: list[float]) -> Calibration:
    """The calibration times the median of measured / predicted; its error from leaving each network out in turn."""
    factor = median(ratios)
    others = [
        median(ratios[:index] + ratios[index + 1 :]) if len(ratios) > 1 else factor for index in range(len(ratios))
    ]
    errors_percent = [100 * abs(other / ratio - 1) for ratio, other in zip(ratios, others, strict=True)]
    error_percent = fmean(errors_percent)
    widening = max(1.0, error_percent / old.error_percent) if old.error_percent else 1.0
    # 1.25 times the mean absolute error is a standard deviation, and 1.25 of these over root n that of a median.
    doubt = _NINETY_PERCENT * (pi / 2) * error_percent / 100 / sqrt(len(ratios))
    below = max(0.0, 1 - old.low_ratio - old.drift) * widening
    above = max(0.0, old.high_ratio - 1 - old.drift) * widening
    return Calibration(
        scale=old.scale * factor,
        offset_ns=old.offset_ns * factor,
        low_ratio=max(0.0, 1 - hypot(below, doubt)),
        high_ratio=1 + hypot(above, doubt),
        error_percent=error_percent,
        worst_percent=max(errors_percent),
        networks=len(ratios),
        note="",
    )
