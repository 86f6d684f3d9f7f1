"""The latency tables that a step needs, made this machine's, with a word of what machine each is."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from facenas.architecture import Architecture
from facenas.devices.targets import resolve_target
from facenas.errors import InputError, TableError
from facenas.latency.table import LatencyTable, load_table
from facenas.latency.this_machine import Calibrate, TableRequest, facts_of_table, table_of_this_machine
from facenas.progress import Progress
from facenas.spaces.space import Space
from facenas.units import DEFAULT_INPUT, LOW_PERCENTILE, Size

Opened = TypeVar("Opened")


def open_at(
    opened: Callable[[tuple[Size, ...]], Opened], sizes: tuple[Size, ...], *, asked: bool, progress: Progress
) -> tuple[Opened, tuple[Size, ...]]:
    """What opens tables for all sizes, and these; where no table covers them and nobody asked for them, for 640x480 alone."""
    try:
        return opened(sizes), sizes
    except TableError as error:
        if asked or len(sizes) == 1:
            raise
        table = opened((DEFAULT_INPUT,))
        progress.note(f"only {DEFAULT_INPUT} is searched: {error}")
        return table, (DEFAULT_INPUT,)


def open_tables(
    devices: Sequence[str],
    given: Sequence[Path | str | LatencyTable],
    input_sizes: Sequence[Size],
    subject: Space | Architecture | None = None,
    *,
    percentiles: Mapping[str, int] = MappingProxyType({}),
    calibrate: Calibrate,
    progress: Progress,
) -> dict[str, LatencyTable]:
    """One table a device: the one that is given, as it is, or the file made for it, else the shipped one, both made this
    machine's.

    `input_sizes`: all that each table must cover; `subject`: the space that is searched or the detector that is predicted;
    `percentiles` of the runs, by target, that the table must tell.
    Raises InputError for a table that is for none of the devices, TableError where a device has no table, BusyMachineError
    where the machine is too busy to measure on.
    """
    tables = {entry.target: entry for entry in given if isinstance(entry, LatencyTable)}
    files = {load_table(path).target: path for path in (Path(p) for p in given if not isinstance(p, LatencyTable))}
    for target_name in (*tables, *files):
        if target_name not in devices:
            what = f"table {files[target_name]}" if target_name in files else "the table"
            raise InputError(f"{what} is for device '{target_name}', which is not asked for; add --device")
    for name, table in tables.items():
        beyond = next((size for size in input_sizes if not table.inputs.covers(size)), None)
        if beyond is not None:
            raise TableError(f"the table given for {name} is for input {table.inputs}, not for {beyond}")
    for name in dict.fromkeys(devices):
        if name not in tables:
            percentile = percentiles.get(name, LOW_PERCENTILE)
            request = TableRequest(
                resolve_target(name), tuple(input_sizes), subject, files.get(name), percentile, calibrate
            )
            tables[name] = table_of_this_machine(request, progress)
            progress.note(f"{name}: {facts_of_table(tables[name]).words}")
    return {name: tables[name] for name in dict.fromkeys(devices)}
