"""A lock file, so that two profiles do not measure one target at once and write one journal."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from facenas.errors import InputError

_POLL_S = 0.2


@contextmanager
def only_one(
    path: Path, what: str, *, wait_s: float = 0.0, waiting: Callable[[str], None] = lambda line: None
) -> Iterator[None]:
    """Hold the lock file at `path` for as long as the block runs; the file goes with it.

    The operating system gives up the lock of a process that dies, so what a dead process left behind does not bar.
    Raises InputError where another process holds it, still after `wait_s`; `what` names what that process does.
    """
    deadline_s, told = time.monotonic() + wait_s, False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            owner = _other_owner(descriptor)
            if owner is None and _is_still_there(descriptor, path):
                break
            os.close(descriptor)
            if owner is None:
                continue
            if time.monotonic() >= deadline_s:
                raise InputError(f"{what} is running already (process {owner}); wait for it, or stop it")
            if not told:
                waiting(f"{what} is running (process {owner}); waiting for it")
                told = True
            time.sleep(_POLL_S)
    except OSError as error:
        raise InputError(f"cannot lock {path}: {error.strerror}; choose another place with --out") from error
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _other_owner(descriptor: int) -> str | None:
    """Who holds the lock; None where this process holds it now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(descriptor, 32).decode("ascii", "replace") or "unknown"
    return None


def _is_still_there(descriptor: int, path: Path) -> bool:
    """Whether the file, now locked, is still the one at `path`: its last owner may have deleted it meanwhile."""
    return path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())
