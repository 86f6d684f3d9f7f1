"""What a person sees while something long runs: one bar with the time left and how it stands, on stderr, so that --json stays
clean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from facenas.cli.output import note
from facenas.errors import printable
from facenas.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class _Lines:
    """A `Progress` for a log: a line a tenth."""

    def __init__(self) -> None:
        self._tenths: dict[str, int] = {}
        self._what, self._standing = "", ""

    def __call__(self, done: int, total: int, what: str) -> None:
        if what != self._what:
            self._what, self._standing = what, ""
        tenth = 10 * done // max(1, total)
        before = self._tenths.get(what, 0)
        self._tenths[what] = tenth
        if tenth > before:
            note(f"{what}: {done} of {total}{self._standing}")

    def note(self, line: str) -> None:
        note(line)

    def standing(self, words: str) -> None:
        self._standing = f", {words}"


class _Bars:
    """A `Progress` that draws; a new `what` starts a new bar."""

    def __init__(self, bars: "Bars") -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._newest: TaskID | None = None

    def __call__(self, done: int, total: int, what: str) -> None:
        if what not in self._tasks or (done <= 1 and self._bars.tasks[self._tasks[what]].finished):
            self._newest = self._tasks[what] = self._bars.add_task(printable(what), total=total, standing="")
        self._bars.update(self._tasks[what], completed=done, total=total)

    def note(self, line: str) -> None:
        note(line)

    def standing(self, words: str) -> None:
        if self._newest is not None:
            self._bars.update(self._newest, standing=printable(words))


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A `Progress` for this terminal. Quiet where stderr is none but for a line a tenth."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    name, standing = (TextColumn(f"{{task.{text}}}", markup=False) for text in ("description", "fields[standing]"))
    with Bars(name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), standing, console=console) as bars:
        yield _Bars(bars)
