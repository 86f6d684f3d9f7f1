"""Where results go: one JSON object on stdout with --json, else a short table for a person."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facenas.shown import Shown


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    print(json.dumps(value, indent=1, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout; numbers should come as text with their units."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=None if Console().is_terminal else 120).print(table)


def print_result(result: "Shown", as_json: bool) -> None:
    """A result as JSON, or its tables."""
    if as_json:
        print_json(result.to_json())
        return
    for table in result.shown():
        print_table(table.title, table.columns, table.rows)


def note(text: str) -> None:
    """A line for the person, on stderr."""
    import sys

    print(text, file=sys.stderr)
