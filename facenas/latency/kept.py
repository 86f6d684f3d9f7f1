"""Short profiles that are kept: one a machine, runtime, target, space, input size and prior table, for all later commands.

They lie in the user's cache folder as latency tables, so losing them costs a minute. Whatever is wrong there (no home,
a read-only one, a damaged or foreign file) only means that nothing is kept or found. Two processes do not measure at once:
the second waits, and then finds what the first has kept.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from facenas.devices.fingerprint import Fingerprint
from facenas.errors import InputError, TableError
from facenas.latency.table import LatencyTable, load_table, save_table, table_text
from facenas.locks import only_one
from facenas.spaces.space import Space
from facenas.units import Size

_PATIENCE_S = 600.0


def kept_path(target_name: str, here: Fingerprint, space: Space, input_size: Size, prior: LatencyTable | None) -> Path:
    """Where the short profile of these is kept; any other machine, runtime version, space or prior is another file."""
    parts = (json.dumps(here.to_json()), repr(space), str(input_size), "" if prior is None else table_text(prior))
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return _cache_folder() / "calibrations" / f"{target_name}-{input_size}-{digest}.json"


def _cache_folder() -> Path:
    """The user's; a relative path, in which nothing is kept, where what knows it is not installed."""
    try:
        from platformdirs import user_cache_path
    except ModuleNotFoundError:
        return Path("facenas")
    return user_cache_path("facenas", appauthor=False)


def _why_nowhere() -> str:
    """Why there is no cache folder, and the cure."""
    if find_spec("platformdirs") is None:
        return "platformdirs, which knows the cache folder, is not installed: pip install platformdirs"
    return "there is no home folder; set HOME or XDG_CACHE_HOME"


def load_kept(path: Path, here: Fingerprint, note: Callable[[str], None]) -> LatencyTable | None:
    """The short profile kept at `path`; None, with a word, where it cannot be used."""
    if not path.is_file():
        return None
    try:
        table = load_table(path)
    except TableError as error:
        note(f"the calibration that was kept cannot be used and is made anew: {error}")
        return None
    if table.fingerprint != here:
        note(f"the calibration kept in {path} is of another machine; it is made anew")
        return None
    return table


def keep(path: Path, table: LatencyTable, note: Callable[[str], None]) -> None:
    """Keep a short profile where that is possible; say so where it is not."""
    try:
        if not path.is_absolute():
            raise InputError(_why_nowhere())
        save_table(table, path)
    except InputError as error:
        note(f"the calibration is used now and not kept: {error}")


@contextmanager
def one_at_a_time(path: Path, note: Callable[[str], None]) -> Iterator[None]:
    """Let no other process of this user calibrate meanwhile; without a folder for it that is left to luck."""
    lock = path.with_name("calibrating.lock")
    if not path.is_absolute():  # without a home
        yield
        return
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError:
        yield
        return
    with only_one(lock, "another calibration", wait_s=_PATIENCE_S, waiting=note):
        yield
