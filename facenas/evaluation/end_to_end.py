"""What a user waits for: the picture decoded, letterboxed, put through the network, and its boxes suppressed.

Every photo goes all the way, round after round; a stage's time, and that of the whole, is the 20th percentile of all its runs,
as for a network alone, or that of the budget. The files come from memory: what a disk or a camera takes is not in it.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from facenas.data.image import read_image
from facenas.detector.face_detector import DEFAULT_MIN_SCORE
from facenas.errors import InputError
from facenas.evaluation.gates import Gate
from facenas.pipeline.pipeline import Pipeline
from facenas.progress import SILENT, Progress
from facenas.units import LOW_PERCENTILE, LatencyBudget, in_ms

STAGES = ("decoding", "letterbox", "network", "suppression")
_ROUNDS = 5
_WARM_UP = 1


@dataclass(frozen=True)
class EndToEnd:
    """Milliseconds of each stage and of all, each a percentile of the runs over `photos` photos of about `megapixels`."""

    photos: int
    megapixels: float
    decoding_ms: float
    letterbox_ms: float
    network_ms: float
    suppression_ms: float
    total_ms: float

    @property
    def around_ms(self) -> float:
        """All but the network."""
        return self.decoding_ms + self.letterbox_ms + self.suppression_ms

    def cells(self) -> tuple[str, ...]:
        """The stages, then all, with their unit."""
        stages = (self.decoding_ms, self.letterbox_ms, self.network_ms, self.suppression_ms, self.total_ms)
        return tuple(map(in_ms, stages))

    def words(self) -> str:
        """All of it in one line."""
        told = ", ".join(f"{name} {value}" for name, value in zip((*STAGES, "all"), self.cells(), strict=True))
        return f"end to end, photos of {self.megapixels:.1f} megapixels: {told}"

    def to_json(self) -> dict[str, float | int]:
        """Plain values."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def measure_end_to_end(
    pipeline: Pipeline,
    photos: Sequence[Path],
    *,
    percentile: int = LOW_PERCENTILE,
    rounds: int = _ROUNDS,
    progress: Progress = SILENT,
) -> EndToEnd:
    """Of photos that are files; one that cannot be read is left out. Raises InputError where none can be."""
    rows: list[list[int]] = []
    pixels: list[int] = []
    unread: set[Path] = set()
    for turn in range(rounds + _WARM_UP):
        for path in photos:
            if path in unread:
                continue
            marks = [time.perf_counter_ns()]
            try:
                photo = read_image(path)
            except InputError as error:
                progress.note(f"left out: {error}")
                unread.add(path)
                continue
            marks.append(time.perf_counter_ns())
            network_input, fitted = pipeline.network_input(photo)
            marks.append(time.perf_counter_ns())
            outputs = pipeline.runner.run(network_input)
            marks.append(time.perf_counter_ns())
            pipeline.faces(outputs, fitted, DEFAULT_MIN_SCORE)
            marks.append(time.perf_counter_ns())
            if turn >= _WARM_UP:
                rows.append(np.diff(marks).tolist())
                pixels.append(photo.shape[0] * photo.shape[1])
        progress(turn + 1, rounds + _WARM_UP, "measuring end to end")
    if not rows:
        raise InputError("none of the photos can be read, so nothing can be timed; check the files")
    times = np.array(rows) / 1e6
    taken_ms = np.percentile(np.column_stack([times, times.sum(1)]), percentile, axis=0).tolist()
    return EndToEnd(len(photos) - len(unread), float(np.median(pixels)) / 1e6, *taken_ms)


def end_to_end_gate(measured: EndToEnd, budget: LatencyBudget, tolerance_percent: float) -> Gate:
    """The budget for all of it, with the tolerance for measuring; measured at the budget's percentile."""
    limit_ms = budget.limit_ms * (1 + tolerance_percent / 100)
    runs = "" if budget.percentile == LOW_PERCENTILE else f" in {budget.percentile} of 100 runs"
    note = f"ms{runs}; budget and {tolerance_percent:g} % for measuring"
    return Gate("end to end within budget", measured.total_ms <= limit_ms, measured.total_ms, limit_ms, note)
