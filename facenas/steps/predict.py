"""Predict: the latency of an architecture on a device, from its table."""

from dataclasses import replace
from pathlib import Path

from facenas.architecture import Architecture, resolve_architecture
from facenas.latency import predictor
from facenas.latency.predictor import Prediction, Source
from facenas.latency.table import LatencyTable
from facenas.latency.this_machine import Calibrate, facts_of_table
from facenas.progress import SILENT, Progress
from facenas.steps.tables import open_tables
from facenas.units import DEFAULT_INPUT, Size, as_size


def predict(
    architecture: str | Architecture,
    device: str = "cpu",
    *,
    input_size: str | Size = DEFAULT_INPUT,
    table: Path | str | LatencyTable | None = None,
    landmarks: bool = False,
    calibrate: Calibrate = Calibrate.ONCE,
    progress: Progress = SILENT,
) -> Prediction:
    """The latency of `architecture` (a block string, a file holding one, or a published name) on `device`.

    `table`: one to use as it is, or a file (default: the one that ships); files are made this machine's first, as
    `calibrate` says. Raises InputError for unusable words, TableError where the table cannot tell, BusyMachineError where
    the machine is too busy to measure on.
    """
    detector, size = resolve_architecture(architecture), as_size(input_size)
    detector = replace(detector, landmarks=detector.landmarks or landmarks)
    given = [] if table is None else [table]
    opened = open_tables([device], given, [size], detector, calibrate=calibrate, progress=progress)[device]
    prediction = predictor.predict(detector, opened, size)
    interpolated = sum(cost.source is Source.INTERPOLATED for cost in prediction.operators)
    if interpolated:
        progress.note(
            f"{interpolated} of {len(prediction.operators)} operators are interpolated; the interval allows for it"
        )
    return replace(prediction, table=facts_of_table(opened))
