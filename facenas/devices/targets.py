"""From a name to its target: what `--device` takes.

A name is one of `TARGET_NAMES`, with one thread, or such a name of the CPU with a suffix for more threads
(`cpu-2threads`, `cpu-openvino-4threads`), or that of a device of the user's own (`facenas.devices.own_devices`).
"""

import re
from dataclasses import replace

from facenas.devices.own_devices import load_devices
from facenas.devices.target import NAMED_TARGETS, TARGET_NAMES, Target
from facenas.errors import InputError, meant

_THREADS_SUFFIX = re.compile(r"(?P<base>.+)-(?P<threads>[1-9]\d{0,2})threads")


def resolve_target(name: str) -> Target:
    """The target of that name, in small or capital letters. Raises InputError that lists the names there are."""
    name = name.lower()
    base, threads = name, 1
    if match := _THREADS_SUFFIX.fullmatch(name):
        base, threads = match["base"], int(match["threads"])
    for target in NAMED_TARGETS:
        if target.name == base and (threads == 1 or target.hardware.startswith("this machine's CPU")):
            return target if threads == 1 else replace(target, name=f"{base}-{threads}threads", threads=threads)
    devices = load_devices()
    if name in devices:
        return devices[name].target
    known = (*TARGET_NAMES, *devices)
    raise InputError(
        f"no device '{name}'; there are {', '.join(known)}, those of the CPU also with a suffix such as -2threads"
        f"{meant(name, known)}"
    )
