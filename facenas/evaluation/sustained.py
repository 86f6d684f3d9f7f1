"""Does a latency last? A file run without a pause, and its latency in equal windows of the time: devices get warm and
slow down."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facenas.arrays import IntArray
from facenas.progress import SILENT, Progress
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.timing import low_quantile
from facenas.units import Size, in_ms

WINDOWS, RUNS_A_VISIT = 10, 20
LONGEST_S = 24 * 3600.0


@dataclass(frozen=True)
class Sustained:
    """`windows_ms`: the 20th percentile of the runs in each of ten equal parts of `seconds`."""

    seconds: float
    windows_ms: tuple[float, ...]

    @property
    def drift_percent(self) -> float:
        """By how much the last window exceeds the first."""
        return round(100 * (self.windows_ms[-1] / self.windows_ms[0] - 1), 1)

    def words(self) -> str:
        """First, slowest and last window."""
        first, slowest, last = (in_ms(ms) for ms in (self.windows_ms[0], max(self.windows_ms), self.windows_ms[-1]))
        drift = f"{last} at last ({self.drift_percent:+.1f} %)"
        return f"{self.seconds / 60:.3g} minutes without a pause: {first} at first, {drift}, {slowest} at worst"


def sustain(
    model: CompiledModel,
    seconds: float,
    input_size: Size | None = None,
    progress: Progress = SILENT,
    clock: Callable[[], float] = time.monotonic,
) -> Sustained:
    """Run a model for so many seconds."""
    windows: list[float] = []
    start = clock()
    for window in range(WINDOWS):
        taken: list[IntArray] = []
        while not taken or clock() - start < seconds * (window + 1) / WINDOWS:
            taken.append(model.time(RUNS_A_VISIT, input_size=input_size))
            progress(min(round(clock() - start), round(seconds)), round(seconds), "running without a pause, seconds")
        windows.append(round(low_quantile(np.concatenate(taken)) / 1e6, 4))
    return Sustained(seconds, tuple(windows))
