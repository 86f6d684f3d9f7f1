"""Where results go: one JSON object on stdout with --json, else a short table for a person.

Everything that is told goes through `tell` or `note`: a stdout that takes no more (a pipe whose reader has gone, a full disk)
is no fault of the command, text from outside steers no terminal, and no character is too much for an old encoding.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from facenas.errors import InputError, printable

if TYPE_CHECKING:
    from rich.console import JustifyMethod

    from facenas.shown import Shown

_LONGEST_CELL = 60
_NUMBER = re.compile(r"[+-]?[0-9.,]+([ %x]|e[+-]?[0-9]|$)")
READER_GONE = 141
"""As a shell tells of a program whose output nobody reads any more: 128 + SIGPIPE."""


def take_any_character() -> None:
    """What the encoding of stdout or stderr lacks is written as an escape from now on."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def tell(text: str) -> None:
    """Lines on stdout. Raises InputError where it takes no more, and ends the program where its reader has gone."""
    _write("\n".join(map(printable, text.split("\n"))))


def _write(text: str) -> None:
    try:
        print(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _say_no_more(sys.stdout)
        raise SystemExit(READER_GONE) from None
    except (OSError, ValueError) as error:
        _say_no_more(sys.stdout)
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot write the result to stdout: {reason}; give it a place that takes it") from error


def require_all_read(unread: Sequence[str]) -> None:
    """After the result of the rest: raises InputError that names what could not be read, where there is any."""
    if len(unread) > 1:
        for each in unread:
            note(f"left out: {each}")
        raise InputError(f"{len(unread)} of what was given could not be used, the rest is done; the first: {unread[0]}")
    if unread:
        raise InputError(unread[0])


def note(text: str) -> None:
    """A line for the person, on stderr; whether anybody reads it makes no difference."""
    with suppress(OSError, ValueError):
        print(printable(text), file=sys.stderr, flush=True)


def _say_no_more(stream: TextIO) -> None:
    """Or Python fails again, with a traceback, at its exit."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    _write(json.dumps(value, indent=1, allow_nan=False))


def in_full(rows: Iterable[Sequence[str]]) -> tuple[list[list[str]], list[str]]:
    """The rows with a number in brackets for each word too long for a cell (a block string), and these words: a table would
    break them, and nobody could copy them."""
    words: list[str] = []

    def cell(text: str) -> str:
        if len(text) <= _LONGEST_CELL or " " in text:
            return text
        if text not in words:
            words.append(text)
        return f"[{words.index(text) + 1}]"

    return [[cell(text) for text in row] for row in rows], words


def _are_numbers(cells: Sequence[str]) -> bool:
    """Whether most cells that hold something are numbers, with or without their units."""
    filled = [cell for cell in cells if cell]
    return 2 * sum(_NUMBER.match(cell) is not None for cell in filled) > len(filled)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout, below it on lines of their own the words that are too long for its cells; numbers should come as
    text with their units."""
    import io

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # As `Text`: what stands in brackets in a file's name is no markup.
    rows, words = in_full(rows)
    table = Table(show_edge=False)
    for index, column in enumerate(columns):
        justify: JustifyMethod = "right" if _are_numbers([row[index] for row in rows]) else "left"
        table.add_column(Text(printable(column)), overflow="fold", justify=justify)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    here = Console()
    page = io.TextIOWrapper(io.BytesIO(), sys.stdout.encoding, errors="backslashreplace")  # which frames suit, it tells
    Console(
        file=page,
        width=here.width if here.is_terminal else 120,
        force_terminal=here.is_terminal,
        color_system=here.color_system,  # type: ignore[arg-type]  # the name of what was found
    ).print(table)
    page.seek(0)
    listed = "".join(f"\n[{number}] {printable(word)}" for number, word in enumerate(words, 1))
    _write(f"{printable(title)}\n{page.read().removesuffix(chr(10))}{listed}")


def print_result(result: "Shown", as_json: bool) -> None:
    """A result as JSON, or its tables."""
    if as_json:
        print_json(result.to_json())
        return
    for table in result.shown():
        print_table(table.title, table.columns, table.rows)
