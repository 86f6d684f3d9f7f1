"""Writing files so that a kill at any moment leaves either the old file or the new one, never a half."""

import glob
import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from facenas.errors import InputError


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to `path` through a temporary file in the same folder, synced and then renamed over `path`.

    Creates the folder if it is absent, and removes what killed processes left of their writes to `path`. Raises
    InputError where the folder cannot be written or the disk is full; an existing file at `path` is then left as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _remove_leftovers(path)
    except OSError as error:
        with suppress(OSError):  # an impossible place holds nothing to remove
            temporary.unlink()
        raise InputError(f"cannot write {path}: {error.strerror}; free the disk or choose another place") from error


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        process = leftover.name.split(".")[-2]
        if process.isdecimal() and not _is_running(int(process)):
            leftover.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 asks and does nothing
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON (sorted nothing, indented by one) atomically; equal values give equal bytes."""
    write_atomic(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file; `what` names it in the error ("latency table", "search result")."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no {what} at {path}; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the {what} {path}: {error}") from error
    except RecursionError:
        raise InputError(f"the {what} {path} is nested too deeply to be one; make it again") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"the {what} {path} is not whole JSON (line {error.lineno}: {error.msg}); make it again"
        ) from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
