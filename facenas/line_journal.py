"""A journal of work that takes long: one JSON line for each piece of it, synced, so that a kill loses at most one piece.

The first line says what is being done; a journal of anything else is refused.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from facenas.errors import InputError


class LineJournal:
    """An append-only file. `entries` holds the lines of an earlier, unfinished piece of work too."""

    def __init__(self, path: Path, plan: Mapping[str, Any], what: str, *, resume: bool) -> None:
        """Opens the journal at `path` for the work that `plan` describes; `what` is its name in errors.

        Raises InputError where unfinished work lies there and `resume` is false, or where it has another plan.
        """
        self._path = path
        self.entries: list[Any] = []
        if path.exists():
            lines = list(_whole_lines(path))
            if lines and not resume:
                raise InputError(
                    f"an unfinished {what} lies in {path}; add --resume to continue it, or delete that file"
                )
            if lines and lines[0] != {"plan": plan}:
                raise InputError(f"{path} is of another {what} ({_difference(lines[0], plan)}); delete that file")
            self.entries = lines[1:]
        # Written anew without the half line that a kill may have left.
        self._write([{"plan": plan}, *self.entries], "w")

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
            with target.open(mode, encoding="utf-8") as file:
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


def _whole_lines(path: Path) -> Iterator[Any]:
    """The JSON values of all lines up to the first that was not written to its end."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the journal {path}: {error}; delete that file") from error
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            return
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def _difference(line: Any, plan: Mapping[str, Any]) -> str:
    old = line.get("plan", {}) if isinstance(line, dict) else {}
    keys = [key for key in plan if old.get(key) != plan[key]]
    return ", ".join(f"{key}: {str(old.get(key))[:60]} there, {str(plan[key])[:60]} here" for key in keys)
