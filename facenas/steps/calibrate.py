"""Calibrate: a device's table made this machine's, anew, in about a minute; all later steps then use it."""

from pathlib import Path

from facenas.latency.table import LatencyTable
from facenas.latency.this_machine import Calibrate
from facenas.progress import SILENT, Progress
from facenas.spaces import DEFAULT_SPACE
from facenas.spaces.named import load_space
from facenas.steps.tables import open_tables
from facenas.units import DEFAULT_INPUT, Size, as_size


def calibrate(
    device: str = "cpu",
    *,
    space: str = DEFAULT_SPACE,
    input_size: str | Size = DEFAULT_INPUT,
    table: Path | str | None = None,
    progress: Progress = SILENT,
) -> LatencyTable:
    """The table of `device` measured on this machine and kept; `table`: the file that stands beside the measurement
    (default: the shipped one).

    Raises InputError where the device is not measured here, BusyMachineError where other work does not end.
    """
    given = [] if table is None else [table]
    size, chosen = as_size(input_size), load_space(space)
    return open_tables([device], given, [size], chosen, calibrate=Calibrate.ANEW, progress=progress)[device]
