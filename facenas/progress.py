"""What a long step tells while it runs: how far it is, and lines for the person."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Progress(Protocol):
    """Told `done` of `total` of something that is called `what`; `note` gets a line that should not be missed, `standing`
    what can be watched beside that: the words that hold now."""

    def __call__(self, done: int, total: int, what: str) -> None:
        """So much is done."""

    def note(self, line: str) -> None:
        """Something to know beside the result."""

    def standing(self, words: str) -> None:
        """How good it is so far."""


class Silent:
    """Tells nobody."""

    def __call__(self, done: int, total: int, what: str) -> None:
        """Nothing."""

    def note(self, line: str) -> None:
        """Nothing."""

    def standing(self, words: str) -> None:
        """Nothing."""


SILENT: Progress = Silent()

DoneOf = Callable[[int, int], None]
"""Told `done` of `total` of one thing, which whoever listens has a name for."""


@dataclass(frozen=True)
class Called:
    """Passes on what it is told under another name."""

    progress: Progress
    name: str

    def __call__(self, done: int, total: int, what: str) -> None:
        """So much is done of what has the name."""
        self.progress(done, total, self.name)

    def note(self, line: str) -> None:
        """The line, as it is."""
        self.progress.note(line)

    def standing(self, words: str) -> None:
        """The words, as they are."""
        self.progress.standing(words)
