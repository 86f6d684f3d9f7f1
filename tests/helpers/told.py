"""A `Progress` that tells a function."""

from collections.abc import Callable

from facenas.progress import Silent


class Told(Silent):
    """Passes on how far something is, and keeps the notes in `lines`."""

    def __init__(self, tell: Callable[[int, int, str], object] = lambda done, total, what: None) -> None:
        self.tell = tell
        self.lines: list[str] = []

    def __call__(self, done: int, total: int, what: str) -> None:
        self.tell(done, total, what)

    def note(self, line: str) -> None:
        self.lines.append(line)
