"""The timings that TensorRT took on a device, kept here for its next builds: `--resume` after a build that lasted too long,
or another profile, then finds most kernels timed.

They are kept by the host's name. Those of another GPU or version are refused by TensorRT itself, which then starts anew.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from facenas.devices.target import Target
from facenas.errors import InputError
from facenas.files import write_atomic


def _path(target: Target, host: str) -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    named = hashlib.sha256(f"{host} {target.runtime}".encode()).hexdigest()[:16]
    return folder / "facenas" / f"elsewhere-{named}.timing-cache"


def load_timings(target: Target, host: str) -> bytes:
    """What was kept of a device's builds; nothing where nothing was, or it cannot be read."""
    try:
        return _path(target, host).read_bytes()
    except OSError:
        return b""


def keep_timings(target: Target, host: str, timings: bytes) -> None:
    """Keep them; without a place for them the next build only takes longer."""
    if timings and timings != load_timings(target, host):
        with suppress(InputError):
            write_atomic(_path(target, host), timings)
