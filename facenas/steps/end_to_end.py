"""End to end: what a user waits for with a file on this machine, and how much of a budget for that is left for a network."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facenas.data.synthetic import write_synthetic_set
from facenas.detector.face_detector import FaceDetector
from facenas.devices.targets import resolve_target
from facenas.errors import BudgetError, InputError
from facenas.evaluation.end_to_end import STAGES, EndToEnd, measure_end_to_end
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.given import given_model
from facenas.pipeline.fit import Letterbox
from facenas.progress import SILENT, Progress
from facenas.runtimes.runtime import why_unavailable
from facenas.searching.budgets import Budgets
from facenas.shown import Rows, Shown
from facenas.units import LOW_PERCENTILE, Size, in_ms
from facenas.zoo import ZOO_NAMES, zoo_model

_MOST_PHOTOS = 32
_DRAWN_PHOTOS = 6
PHOTO_SIZE = Size(1280, 720)
"""Of a camera, where nobody says which."""


@dataclass(frozen=True, repr=False)
class EndToEndTable(Shown):
    """By the name of a file, its times."""

    data: str
    times: dict[str, EndToEnd]

    def line(self) -> str:
        """The fastest."""
        name = min(self.times, key=lambda each: self.times[each].total_ms)
        return f"{name}, {in_ms(self.times[name].total_ms)} end to end"

    def shown(self) -> tuple[Rows, ...]:
        """A line a file."""
        rows = tuple((name, *each.cells()) for name, each in self.times.items())
        return (Rows(f"end to end on {self.data}, this machine", ("file", *STAGES, "all"), rows),)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"data": self.data, "files": {name: each.to_json() for name, each in self.times.items()}}


def end_to_end(models: Sequence[Path | str], data: Path, progress: Progress = SILENT) -> EndToEndTable:
    """The zoo's detectors and `models`, exported files, on some photos of `data`. Raises InputError for unusable files."""
    photos = load_evaluation_set(data)
    some = some_photos(photos.photos)
    times = {}
    for path in (*map(zoo_model, ZOO_NAMES), *map(given_model, models)):
        times[path.stem] = measure_end_to_end(FaceDetector(path).pipeline, some, progress=progress)
    return EndToEndTable(photos.name, times)


def some_photos(photos: Sequence[Path]) -> Sequence[Path]:
    """A few, evenly from all."""
    return photos[:: max(1, len(photos) // _MOST_PHOTOS)][:_MOST_PHOTOS]


def budgets_of_network(
    budgets: Budgets, input_size: Size, photo_size: Size = PHOTO_SIZE, progress: Progress = SILENT
) -> Budgets:
    """Budgets for all of it as budgets of the network alone: less what decoding drawn photos of `photo_size`, letterboxing
    them into `input_size` and suppression take on this machine, in as many of the runs as the budgets are for.

    Raises InputError for a device that is not here, BudgetError where nothing is left.
    """
    if not budgets.latency_ms:
        raise InputError("--end-to-end is for a latency budget; give one with --latency, for example 30ms")
    for name in budgets.latency_ms:
        if reason := why_unavailable(resolve_target(name)):
            raise InputError(
                f"--end-to-end is measured on this machine, and device '{name}' cannot be used here: {reason}"
            )
    detector = FaceDetector(zoo_model(), long_side_px=max(input_size.width_px, input_size.height_px))
    with tempfile.TemporaryDirectory(prefix="facenas-") as folder:
        width_px, height_px = photo_size.width_px, photo_size.height_px
        drawn = write_synthetic_set(Path(folder), _DRAWN_PHOTOS, 0, width_px, height_px)
        pipeline = replace(detector.pipeline, fit=Letterbox(input_size))
        files, percentile = [photo.path for photo in drawn.photos], max([LOW_PERCENTILE, *budgets.percentiles.values()])
        measured = measure_end_to_end(pipeline, files, percentile=percentile, progress=progress)
    around_ms = measured.around_ms
    stages = f"decoding {in_ms(measured.decoding_ms)}, letterbox {in_ms(measured.letterbox_ms)}"
    told = f"{stages} and suppression {in_ms(measured.suppression_ms)} of a photo of {photo_size}"
    left = {name: limit_ms - around_ms for name, limit_ms in budgets.latency_ms.items()}
    for name, left_ms in left.items():
        if left_ms <= 0:
            raise BudgetError(
                f"{told} take {in_ms(around_ms)} on this machine, all of the budget of {in_ms(budgets.latency_ms[name])};"
                " raise it, or take smaller photos"
            )
        progress.note(f"{name}: {told}; {in_ms(left_ms)} of {in_ms(budgets.latency_ms[name])} are left for the network")
    return replace(budgets, latency_ms=left)
