"""Writing files so that a kill at any moment leaves either the old file or the new one, never a half; and reading files that
somebody else wrote, with limits that hold before any work begins.

A name may stand for a pipe, a device or a folder, and what it holds may be larger, deeper or longer than any file that is
meant: each is refused in one line (`InputError`) that names the file.
"""

import glob
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from facenas.errors import InputError

MAX_JSON_BYTES = 32_000_000
MAX_TEXT_BYTES = 256_000_000
_MAX_DEPTH = 64  # no record here is nested as deeply
_MAX_INT = 2**128  # of random generators' states
_NAME_PART = 40  # of a file's name in that of its temporary one, which must not become too long


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to `path` through a temporary file in the same folder, synced and then renamed over `path`.

    Creates the folder if it is absent, keeps the permissions of a file that is replaced, and removes what killed processes
    left of their writes to `path`. Raises InputError where the folder cannot be written or the disk is full; an existing
    file at `path` is then left as it was.
    """
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    # A name that nobody can foretell: threads do not meet, and no link that was planted there is followed.
    temporary = path.with_name(f".{path.name[:_NAME_PART]}.{secrets.token_hex(4)}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            with suppress(FileNotFoundError):
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _remove_leftovers(path)
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):  # an impossible place holds nothing to remove
            temporary.unlink()
        raise InputError(f"cannot write {path}: {_reason(error)}; free the disk or choose another place") from error


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f".{glob.escape(path.name[:_NAME_PART])}.*.partial"):
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


def make_folder(path: Path) -> None:
    """Make the folder, and those above it, where it is absent. Raises InputError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot make the folder {path}: {_reason(error)}; choose another place") from error


def plain_name(text: str) -> str:
    """`text`, which comes from outside, as part of a file's name: nothing in it leads to another folder."""
    return "".join(each if each.isalnum() or each in "-_." else "-" for each in text)[:80].lstrip(".") or "unnamed"


def require_no_input(target: Path, inputs: Iterable[Path]) -> None:
    """Raises InputError where writing to `target` would overwrite one of `inputs`, whatever names and links lead there."""
    for given in inputs:
        with suppress(OSError, ValueError):
            if target.samefile(given):
                raise InputError(f"{target} is read from and would be overwritten; choose another place for the output")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON (sorted nothing, indented by one) atomically; equal values give equal bytes."""
    write_atomic(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def is_file(path: Path) -> bool:
    """Whether there is a file; under a name that no file system takes there is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


@contextmanager
def open_file(path: Path, what: str, most_bytes: int) -> Iterator[BinaryIO]:
    """The file at `path`, open for reading bytes; `what` names it in the error.

    Raises InputError where it is absent, cannot be read, is larger than `most_bytes`, or is no file: a pipe or a device,
    which could block for ever or never end.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise InputError(f"no {what} at {path}; check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the {what} {path}: {_reason(error)}; check the path") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise InputError(f"cannot read the {what} {path}: it is a folder, a pipe or a device; check the path")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > most_bytes:
            raise InputError(
                f"the {what} {path} has {status.st_size:,} bytes, more than the {most_bytes:,} that one may have"
            )
        yield file


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def read_bytes(path: Path, what: str, most_bytes: int) -> bytes:
    """All of a file, as `open_file` opens it."""
    with open_file(path, what, most_bytes) as file:
        try:
            return file.read(most_bytes)
        except OSError as error:
            raise InputError(f"cannot read the {what} {path}: {_reason(error)}; check the file") from error


def read_text(path: Path, what: str, most_bytes: int = MAX_TEXT_BYTES) -> str:
    """A UTF-8 text file, with or without a byte order mark. Raises InputError, also for another encoding."""
    content = read_bytes(path, what, most_bytes)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"cannot read the {what} {path}: it is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from error


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file; `what` names it in the error ("latency table", "search result")."""
    return parse_json(read_text(path, what, MAX_JSON_BYTES), f"the {what} {path}")


def parse_json(text: str | bytes, what: str) -> Any:
    """JSON from outside: numbers that are finite and whole ones of 128 bits, text that can be written again, no deeper than
    any record. Raises InputError, with `what` for its name ("the latency table t.json")."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        _require_plain(value)
        return value
    except RecursionError:
        raise InputError(f"{what} is nested too deeply to be one; make it again") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{what} is not whole JSON (line {error.lineno}: {error.msg}); make it again") from error
    except ValueError as error:  # a number of more digits than Python converts, bytes that are no UTF-8, or ours
        raise InputError(f"{what} cannot be one ({str(error)[:80]}); make it again") from error


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _require_plain(value: Any) -> None:
    """Raises ValueError for what `parse_json` refuses, RecursionError where it is too deep; itself without recursion."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str):
                if not item.isascii() and any(_is_lone_surrogate(each) for each in item):
                    raise ValueError("text with half a character")
            elif isinstance(item, float):
                if item - item != 0:
                    raise ValueError("a number that is not finite")
            elif not -_MAX_INT <= (item or 0) < _MAX_INT:
                raise ValueError("a whole number of more than 128 bits")
        if not below:
            return
        level = below
    raise RecursionError


def _is_lone_surrogate(character: str) -> bool:
    """Python writes a byte of a file name that is no UTF-8 as one of U+DC80 to U+DCFF: those may be."""
    return "\ud800" <= character <= "\udfff" and not "\udc80" <= character <= "\udcff"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits. Raises InputError where it cannot be read."""
    digest = hashlib.sha256()
    with open_file(path, "file", 1 << 40) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
