"""A journal of work that takes long: one JSON line for each piece of it, synced, so that a kill loses at most one piece.

The first line says what is being done; a journal of anything else is refused.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facenas.errors import InputError
from facenas.files import MAX_TEXT_BYTES, parse_json, read_bytes


class LineJournal:
    """An append-only file. `entries` holds the lines of an earlier, unfinished piece of work too; `damaged`: how many lines of
    it, before the last one, could not be read and are left out."""

    def __init__(self, path: Path, plan: Mapping[str, Any], what: str, *, resume: bool) -> None:
        """Opens the journal at `path` for the work that `plan` describes; `what` is its name in errors.

        Raises InputError where unfinished work lies there and `resume` is false, or where it has another plan.
        """
        self._path = path
        self.entries: list[Any] = []
        self.damaged = 0
        if path.exists():
            lines = _whole_lines(path)
            if lines and not resume:
                raise InputError(
                    f"an unfinished {what} lies in {path}; add --resume to continue it, or delete that file"
                )
            if lines and lines[0] is _DAMAGED:
                raise InputError(
                    f"the first line of {path} is damaged, so of what it is cannot be told; delete that file"
                )
            if lines and lines[0] != {"plan": plan}:
                raise InputError(f"{path} is of another {what} ({_difference(lines[0], plan)}); delete that file")
            self.entries = [line for line in lines[1:] if line is not _DAMAGED]
            self.damaged = len(lines[1:]) - len(self.entries)
        # Written anew without what a kill, or a failing disk, has damaged.
        self._write([{"plan": plan}, *self.entries], "w")

    @property
    def words(self) -> str | None:
        """A line about what could not be read; None where all could."""
        if not self.damaged:
            return None
        return f"{self.damaged} damaged lines of {self._path} are left out, and what they said is done again"

    def append(self, entry: Any) -> None:
        """Append a line; when this returns it is on the disk. Raises InputError where the disk is full."""
        self._write([entry], "a")
        self.entries.append(entry)

    def remove(self) -> None:
        """Delete the file, once what was done has been written elsewhere."""
        self._path.unlink()

    def _write(self, values: Sequence[Any], mode: str) -> None:
        target = self._path if mode == "a" else self._path.with_name(f"{self._path.name}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if mode == "w":
                target.unlink(missing_ok=True)  # it may be a link that was planted there
            with target.open("x" if mode == "w" else "a", encoding="utf-8") as file:
                file.writelines(json.dumps(value) + "\n" for value in values)
                file.flush()
                os.fsync(file.fileno())
            if mode == "w":
                target.replace(self._path)
        except OSError as error:
            raise InputError(
                f"cannot write {target}: {error.strerror}; what was measured is in {self._path}: "
                "free the disk and continue with --resume"
            ) from error


_DAMAGED = object()


def _whole_lines(path: Path) -> list[Any]:
    """The JSON value of each line, or `_DAMAGED`; without the last where it was not written to its end."""
    lines = read_bytes(path, "journal", MAX_TEXT_BYTES).split(b"\n")
    values = [_value_of(line) for line in lines[:-1]]
    while len(values) > 1 and values[-1] is _DAMAGED:  # what a kill left
        values.pop()
    return values


def _value_of(line: bytes) -> Any:
    try:
        return parse_json(line, "a line")
    except InputError:
        return _DAMAGED


def _difference(line: Any, plan: Mapping[str, Any]) -> str:
    old = line.get("plan", {}) if isinstance(line, dict) else {}
    if not isinstance(old, dict):
        return "its first line is no plan"
    keys = [key for key in plan if old.get(key) != plan[key]]
    return ", ".join(f"{key}: {str(old.get(key))[:60]} there, {str(plan[key])[:60]} here" for key in keys)
