"""What a person sees while something long runs: one bar with the time left, on stderr, so that --json stays clean."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, int, str], None]


@contextmanager
def progress_bar() -> Iterator[Report]:
    """A function `report(done, total, what)` that draws; a new `what` starts a new bar. Quiet where stderr is no terminal
    but for one line per tenth."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_report(console.print)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def report(done: int, total: int, what: str) -> None:
            if what not in tasks or (done <= 1 and progress.tasks[tasks[what]].finished):
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield report


def _plain_report(write: Callable[[str], None]) -> Report:
    tenths: dict[str, int] = {}

    def report(done: int, total: int, what: str) -> None:
        tenth = 10 * done // max(1, total)
        if tenth < tenths.get(what, 0):
            tenths[what] = 0
        if tenth > tenths.get(what, 0):
            tenths[what] = tenth
            write(f"{what}: {done} of {total}")

    return report
