"""Opening the latency tables that a command needs, with a word of what machine each is."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from facenas.architecture import Detector
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.latency.table import LatencyTable, load_table
from facenas.latency.this_machine import Calibrate, TableRequest, facts_of_table, table_of_this_machine
from facenas.spaces.space import Space
from facenas.units import LOW_PERCENTILE, Size


def open_tables(
    devices: Sequence[str],
    paths: Sequence[Path],
    input_size: Size,
    subject: Space | Detector | None = None,
    *,
    percentiles: Mapping[str, int] = MappingProxyType({}),
    calibrate: bool | None,
    report: Callable[[int, int, str], None],
    note: Callable[[str], None],
) -> dict[str, LatencyTable]:
    """One table a device, made this machine's: the given file made for it, else the shipped one.

    `subject`: the space that is searched or the detector that is predicted; `percentiles` of the runs, by target, that the
    table must tell; `calibrate`: as the option has it (facenas/cli/calibration_option.py).
    Raises InputError for a file that is for none of the devices, TableError where a device has no table, BusyMachineError
    where the machine is too busy to measure on.
    """
    given = {load_table(path).target: path for path in paths}
    for target_name, path in given.items():
        if target_name not in devices:
            raise InputError(f"table {path} is for device '{target_name}', which is not asked for; add --device")
    tables = {}
    for name in dict.fromkeys(devices):
        request = TableRequest(
            resolve_target(name),
            input_size,
            subject,
            given.get(name),
            percentiles.get(name, LOW_PERCENTILE),
            calibration_asked(calibrate),
        )
        table = table_of_this_machine(request, report, note)
        note(f"{name}: {facts_of_table(table).words}")
        tables[name] = table
    return tables


def calibration_asked(calibrate: bool | None) -> Calibrate:
    """What the option asks for."""
    return {None: Calibrate.ONCE, True: Calibrate.ANEW, False: Calibrate.NEVER}[calibrate]
