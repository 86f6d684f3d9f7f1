"""What a person sees while something long runs: one bar with the time left, on stderr, so that --json stays clean."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from facenas.cli.output import note
from facenas.errors import printable
from facenas.progress import Progress


@dataclass(frozen=True)
class _Told:
    """A `Progress` that draws with a function, and writes lines below each other on stderr."""

    draw: Callable[[int, int, str], None]

    def __call__(self, done: int, total: int, what: str) -> None:
        self.draw(done, total, what)

    def note(self, line: str) -> None:
        note(line)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A `Progress` that draws; a new `what` starts a new bar. Quiet where stderr is no terminal but for a line a tenth."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Told(_a_line_a_tenth(note))
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def draw(done: int, total: int, what: str) -> None:
            if what not in tasks or (done <= 1 and bars.tasks[tasks[what]].finished):
                tasks[what] = bars.add_task(printable(what), total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield _Told(draw)


def _a_line_a_tenth(write: Callable[[str], None]) -> Callable[[int, int, str], None]:
    tenths: dict[str, int] = {}

    def draw(done: int, total: int, what: str) -> None:
        tenth = 10 * done // max(1, total)
        if tenth < tenths.get(what, 0):
            tenths[what] = 0
        if tenth > tenths.get(what, 0):
            tenths[what] = tenth
            write(f"{what}: {done} of {total}")

    return draw
