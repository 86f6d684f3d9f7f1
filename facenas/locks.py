"""A lock file, so that two profiles do not measure one target at once and write one journal."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facenas.errors import InputError


@contextmanager
def only_one(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file at `path` for as long as the block runs; the file goes with it.

    The operating system gives up the lock of a process that dies, so what a dead process left behind does not bar.
    Raises InputError where another process holds it; `what` names what that process does.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        while not _lock(descriptor, path, what):
            os.close(descriptor)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"cannot lock {path}: {error.strerror}; choose another place with --out") from error
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(descriptor: int, path: Path, what: str) -> bool:
    """Whether the file, now locked, is still the one at `path`: its last owner may have deleted it meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 32).decode("ascii", "replace") or "unknown"
        os.close(descriptor)
        raise InputError(f"{what} is running already (process {owner}); wait for it, or stop it") from None
    return path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())
