"""A file with a line of JSON for each result, written as results come, so that it can be read while a camera runs."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from facenas.errors import InputError
from facenas.files import MAX_JSON_BYTES, make_folder, open_file, parse_json


class JsonLines:
    """A context in which lines are added to a new file; None: nothing is written. Raises InputError where the file cannot be
    written, or holds something else than such lines."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> "JsonLines":
        if self._path is not None:
            if self._path.exists() and not _holds_lines(self._path):
                raise InputError(
                    f"{self._path} would be overwritten, and it holds no such lines; choose another --jsonl"
                )
            make_folder(self._path.parent)
            try:
                self._file = self._path.open("w", encoding="utf-8")
            except OSError as error:
                raise InputError(f"cannot write {self._path}: {error.strerror}; choose another --jsonl") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, line: Mapping[str, Any]) -> None:
        """A line, on the disk when this returns."""
        if self._file is not None:
            try:
                self._file.write(json.dumps(line, allow_nan=False) + "\n")
                self._file.flush()
            except OSError as error:
                raise InputError(f"cannot write {self._path}: {error.strerror}; free the disk") from error


def _holds_lines(path: Path) -> bool:
    """Whether the first line of a file is one of these."""
    with open_file(path, "file of lines", 1 << 40) as file:
        first = file.readline(MAX_JSON_BYTES)
    try:
        value = parse_json(first, "a line") if first else {"image": "", "faces": []}
    except InputError:
        return False
    return isinstance(value, dict) and {"image", "faces"} <= set(value)
