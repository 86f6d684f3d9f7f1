"""Opening the latency tables that a command needs, with a word where they are from another machine."""

from collections.abc import Callable, Sequence
from pathlib import Path

from facenas.devices.fingerprint import differences
from facenas.devices.target import MODELLED_NAMES
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.latency.table import LatencyTable, find_table, load_table
from facenas.latency.this_machine import calibrate as rescale
from facenas.runtimes.fingerprints import read_fingerprint
from facenas.units import Size


def open_tables(
    devices: Sequence[str],
    paths: Sequence[Path],
    input_size: Size,
    *,
    calibrate: bool,
    report: Callable[[int, int, str], None],
    note: Callable[[str], None],
) -> dict[str, LatencyTable]:
    """One table a device: the given file made for it, else the shipped one; rescaled to this machine with `calibrate`.

    Raises InputError for a file that is for none of the devices, TableError where a device has no table.
    """
    given = {load_table(path).target: path for path in paths}
    for target_name, path in given.items():
        if target_name not in devices:
            raise InputError(f"table {path} is for device '{target_name}', which is not asked for; add --device")
    tables = {}
    for name in dict.fromkeys(devices):
        target = resolve_target(name)
        table = find_table(target, input_size, given.get(name))
        if calibrate:
            table = rescale(table, progress=lambda done, total: report(done, total, "calibrating the table"))
            calibration = table.calibration
            note(f"{name}: calibrated here, mean error {calibration.error_percent:.1f} %; {calibration.note}")
        elif target.elsewhere:
            note(f"{name}: {table.origin} on {table.fingerprint.cpu} ({table.fingerprint.governor})")
        elif target.name in MODELLED_NAMES:
            note(f"{name}: {table.origin} ({table.fingerprint.governor}); {table.calibration.note}")
        elif target.estimated:
            note(f"{name}: Vela's estimates, nothing is measured ({table.fingerprint.cpu})")
        elif found := differences(table.fingerprint, read_fingerprint(target)):
            note(
                f"{name}: the table was measured on another machine ({'; '.join(found)}); its milliseconds are that "
                "machine's. --calibrate rescales it in seconds, `facenas profile` measures anew"
            )
        tables[name] = table
    return tables
