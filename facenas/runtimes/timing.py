"""Robust end-to-end latency on a noisy machine.

Other work disturbs a machine in bursts that only ever lengthen a run. So the models are timed in turns, a few runs
each, round after round; a latency is the 20th percentile of all runs of a model (the medians of two passes differ by
15 % where these agree within 1 %), the spread is kept, and what differs between the two halves of the rounds is
measured again, then flagged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from facenas.arrays import IntArray
from facenas.progress import SILENT, Progress
from facenas.runtimes.compiled_model import CompiledModel
from facenas.units import Size

LOW_QUANTILE = 0.2
UNSTABLE_PERCENT = 3.0


@dataclass(frozen=True)
class Latency:
    """`latency_ms`: the 20th percentile, beside the 50th, 90th and 99th; `spread_ms`: 75th minus 25th;
    `halves_differ_percent`: 20th percentile of the later half of the runs against the earlier half's; `stable`: that is at
    most 3 %.
    """

    latency_ms: float
    median_ms: float
    spread_ms: float
    samples: int
    halves_differ_percent: float
    p90_ms: float
    p99_ms: float

    def at(self, percentile: int) -> float:
        """Milliseconds at one of the percentiles that a budget may be for."""
        return {20: self.latency_ms, 50: self.median_ms, 90: self.p90_ms}[percentile]

    @property
    def stable(self) -> bool:
        """Whether the two halves of the runs agree."""
        return self.halves_differ_percent <= UNSTABLE_PERCENT


def low_quantile(samples_ns: IntArray) -> float:
    """The 20th percentile of samples in nanoseconds."""
    return float(np.quantile(samples_ns, LOW_QUANTILE))


def halves_differ_percent(samples_ns: IntArray) -> float:
    """By how many percent the low quantiles of the earlier and the later half of the samples differ."""
    half = len(samples_ns) // 2
    if half == 0:
        return 0.0
    early, late = low_quantile(samples_ns[:half]), low_quantile(samples_ns[-half:])
    if not min(early, late):
        return 0.0
    return 100 * abs(late - early) / min(early, late)


def latency_of(samples_ns: IntArray) -> Latency:
    """The latency that samples, in the order in which they were taken, amount to."""
    quarter, median, three_quarters, p90, p99 = np.quantile(samples_ns, (0.25, 0.5, 0.75, 0.9, 0.99))
    return Latency(
        low_quantile(samples_ns) / 1e6,
        float(median) / 1e6,
        float(three_quarters - quarter) / 1e6,
        len(samples_ns),
        halves_differ_percent(samples_ns),
        float(p90) / 1e6,
        float(p99) / 1e6,
    )


def measure_latency(
    models: Sequence[CompiledModel],
    *,
    rounds: int = 10,
    runs_per_round: int = 3,
    extra_rounds: int = 10,
    input_size: Size | None = None,
    progress: Progress = SILENT,
    what: str = "measuring latency",
    beside: Callable[[], object] = lambda: None,
) -> list[Latency]:
    """The latency of each model, all timed in turns; unstable ones get up to `extra_rounds` more rounds.

    `input_size` is for models that leave theirs open; `progress` is told rounds done and rounds planned; `beside` is called
    before every model's turn.
    """
    samples: list[list[IntArray]] = [[] for _ in models]

    def one_round(indices: Sequence[int]) -> None:
        for index in indices:
            beside()
            samples[index].append(models[index].time(runs_per_round, input_size=input_size))

    for done in range(rounds):
        one_round(range(len(models)))
        progress(done + 1, rounds, what)
    for _ in range(extra_rounds):
        unstable = [index for index, taken in enumerate(samples) if not latency_of(np.concatenate(taken)).stable]
        if not unstable:
            break
        one_round(unstable)
    return [latency_of(np.concatenate(taken)) for taken in samples]
