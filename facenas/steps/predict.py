"""Predict: the latency of an architecture on a device, from its table."""

from dataclasses import replace
from pathlib import Path

from facenas.architecture import Architecture
from facenas.given import given_architecture
from facenas.latency import predictor
from facenas.latency.predictor import Prediction, Source
from facenas.latency.table import LatencyTable
from facenas.latency.this_machine import Calibrate, facts_of_table
from facenas.progress import SILENT, Progress
from facenas.steps.tables import open_tables
from facenas.units import DEFAULT_INPUT, Size, as_size


def predict(
    architecture: str | Path | Architecture,
    device: str = "cpu",
    *,
    input_size: str | Size | None = None,
    table: Path | str | LatencyTable | None = None,
    landmarks: bool = False,
    calibrate: Calibrate = Calibrate.ONCE,
    progress: Progress = SILENT,
) -> Prediction:
    """The latency of `architecture` (a block string, a published name, or a file or folder that holds one) on `device`, at
    `input_size` (default: that of the file, else 640x480).

    `table`: one to use as it is, or a file (default: the one that ships); files are made this machine's first, as
    `calibrate` says. Raises InputError for unusable words, TableError where the table cannot tell, BusyMachineError where
    the machine is too busy to measure on.
    """
    device, given = device.lower(), given_architecture(architecture)
    size = as_size(input_size or given.input_size or DEFAULT_INPUT)
    detector = replace(given.architecture, landmarks=given.architecture.landmarks or landmarks)
    tables = [] if table is None else [table]
    opened = open_tables([device], tables, [size], detector, calibrate=calibrate, progress=progress)[device]
    prediction = predictor.predict(detector, opened, size)
    interpolated = sum(cost.source is Source.INTERPOLATED for cost in prediction.operators)
    if interpolated:
        progress.note(
            f"{interpolated} of {len(prediction.operators)} operators are interpolated; the interval allows for it"
        )
    return replace(prediction, table=facts_of_table(opened))
