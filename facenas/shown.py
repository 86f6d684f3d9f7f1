"""How a result is shown: one line as its `repr`, tables on the command line and in a notebook, from the same rows."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from html import escape
from typing import Any


@dataclass(frozen=True)
class Rows:
    """A table of text; numbers come with their units."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def html(self) -> str:
        """The table for a notebook."""
        head = "".join(f"<th>{escape(column)}</th>" for column in self.columns)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self.rows)
        return f"<table><caption>{escape(self.title)}</caption><tr>{head}</tr>{body}</table>"


class Shown(ABC):
    """A result that a person reads."""

    @abstractmethod
    def line(self) -> str:
        """What it says, in one line."""

    @abstractmethod
    def shown(self) -> tuple[Rows, ...]:
        """What the command line prints of it."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """What the command line prints of it with --json: plain values."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.line()}>"

    def _repr_html_(self) -> str:
        return "".join(table.html for table in self.shown())


def figures(title: str, rows: tuple[tuple[str, str], ...]) -> Rows:
    """A table of named figures."""
    return Rows(title, ("figure", "value"), rows)
