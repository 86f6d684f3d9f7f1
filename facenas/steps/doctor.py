"""Doctor: what a device says of itself, as one JSON object to send to whoever can help."""

import sys
from typing import Any

from facenas.devices.host import transport_for
from facenas.devices.own_devices import PRECISIONS, load_devices
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.remote.checkup import check_up
from facenas.runtimes.runtime import runtime_of


def doctor(device: str, *, host: str | None = None, python: str | None = None) -> dict[str, Any]:
    """Versions, import errors, clocks, memory, and one small network built and timed on `device`; no names, no addresses.

    `host` and `python`: where a device elsewhere is, by default as it was added. `failed` is None where all went well.
    Raises InputError for a device whose runtime no agent drives, or that is nowhere.
    """
    target = resolve_target(device)
    if runtime_of(target).elsewhere is None or target.precision not in PRECISIONS[target.runtime]:
        raise InputError(f"device '{device}' has no agent to ask; doctor is for {', '.join(PRECISIONS)}")
    kept = load_devices().get(device)
    place = host or (kept.host if kept else None if target.elsewhere else "local")
    if place is None:
        raise InputError(f"device '{device}' is elsewhere; say where: --host user@host")
    default = sys.executable if place == "local" else "python3"
    return check_up(target, transport_for(place), python or (kept.python if kept else default))
