"""The curve of a training, `training.jsonl`: a line every few steps with the losses, a line a validation; and the same as a
table for spreadsheets, `training.csv`, a row a step."""

import csv
import io
import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facenas.errors import InputError
from facenas.files import MAX_TEXT_BYTES, parse_json, read_bytes, write_atomic
from facenas.training.watch import TensorBoard


class Curve:
    """Appends to the file at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._board: TensorBoard | None = None

    def watch(self, step: int) -> None:
        """Write what comes after `step` for TensorBoard, too. Raises MissingPackageError where that is not installed."""
        self._board = TensorBoard(self._path.parent / "tensorboard", step)

    def close(self) -> None:
        """Watch no more."""
        if self._board is not None:
            self._board.close()
            self._board = None

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line. Raises InputError where it cannot be written (a full disk)."""
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise InputError(f"cannot write {self._path}: {error.strerror}; free the disk, then --resume") from error
        if self._board is not None:
            self._board.append(line)

    def cut(self, step: int) -> None:
        """Forget what comes after `step`, from where a resumed training goes on, and a line that a kill cut."""
        if self._path.exists():
            content = read_bytes(self._path, "training curve", MAX_TEXT_BYTES)
            lines = content.decode(errors="replace").splitlines()
            write_atomic(self._path, "".join(line + "\n" for line in lines if _step_of(line) <= step))

    def write_csv(self) -> None:
        """Write the curve as it is now as a table beside it: a column a figure, empty where a step has none."""
        if not self._path.exists():
            return
        text = read_bytes(self._path, "training curve", MAX_TEXT_BYTES).decode(errors="replace")
        rows: dict[float, dict[str, Any]] = {}
        for line in text.splitlines():
            if (step := _step_of(line)) < math.inf:
                rows.setdefault(step, {}).update(parse_json(line, "a line"))
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        table = io.StringIO()
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())
        write_atomic(self._path.with_suffix(".csv"), table.getvalue())


class Speed:
    """How fast a training is since it was last asked, pauses aside."""

    def __init__(self, step: int, batch_size: int) -> None:
        self._step, self._batch_size, self._since = step, batch_size, time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What takes time and is no training."""
        began = time.monotonic()
        yield
        self._since += time.monotonic() - began

    def crops_per_s(self, step: int) -> float:
        """Crops a second of the steps up to `step` that came after those of the last call."""
        now = time.monotonic()
        rate = (step - self._step) * self._batch_size / max(now - self._since, 1e-9)
        self._step, self._since = step, now
        return rate


def _step_of(line: str) -> float:
    """The step of a line, infinity where it is not whole."""
    try:
        return float(parse_json(line, "a line")["step"])
    except (InputError, ValueError, KeyError, TypeError):
        return math.inf
