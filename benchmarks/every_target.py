"""Does the chain come to its end on every target? A run for each, from the budget to the gates, in one table.

    python benchmarks/every_target.py [--device cpu --device pi ...] [--latency 6ms] [--runs runs/every-target] [--out F]

By default all targets that this machine can run, and all devices of one's own. A device elsewhere that has no latency table
is profiled by its run. A target that ends without a verdict is in the table with its reason.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from script import about_this_run, run_script

from facenas.cli.bar import progress_bar
from facenas.cli.output import print_table
from facenas.devices.own_devices import load_devices
from facenas.devices.target import NAMED_TARGETS
from facenas.errors import FacenasError
from facenas.evaluation.gates import VERDICTS, Gate
from facenas.evaluation.verification import Verification
from facenas.files import write_json
from facenas.progress import Progress
from facenas.run_folder import VERIFICATION
from facenas.runtimes.runtime import why_unavailable
from facenas.steps.run import run
from facenas.steps.run_settings import RunSettings
from facenas.typed_json import read_file

LATENCY_GATES = ("latency as predicted", "latency within budget")


@dataclass(frozen=True)
class Row:
    """A run: `found_ms` measured, or by the vendor's compiler (`estimated`); `why_not`: the reason where there is no
    verdict."""

    target: str
    budget: str
    predicted_ms: float | None = None
    found_ms: float | None = None
    estimated: bool = False
    gates: tuple[Gate, ...] = ()
    seconds: float = 0.0
    passed: bool = False
    why_not: str = ""

    def cells(self) -> tuple[str, ...]:
        """For a table: parity gates in one cell, then those of latency."""
        verdicts = {gate.name: VERDICTS[gate.passed] for gate in self.gates}
        parity = ", ".join(f"{name} {word}" for name, word in verdicts.items() if name not in LATENCY_GATES)
        predicted = "" if self.predicted_ms is None else f"{self.predicted_ms:.2f}"
        found = "" if self.found_ms is None else f"{self.found_ms:.2f}{' (estimate)' if self.estimated else ''}"
        latency = ", ".join(verdicts.get(name, "") for name in LATENCY_GATES)
        return (self.target, self.budget, predicted, found, self.why_not or parity, latency, f"{self.seconds:.0f}")


def row_of(target: str, latency: str, folder: Path, progress: Progress) -> Row:
    """The run of a target, in a folder of its own; one that ended before is only looked up."""
    try:
        result = run(latency, target, settings=RunSettings(), out=folder, progress=progress)
    except FacenasError as error:
        return Row(target, latency, why_not=str(error))
    found = read_file(Verification, folder / VERIFICATION, "verification")
    check = found.latency
    return Row(
        target,
        latency,
        check.predicted_ms,
        check.found_ms,
        check.measured_ms is None and check.estimated_ms is not None,
        found.gates,
        sum(step.seconds for step in result.steps),
        result.passed,
    )


def usable_targets() -> tuple[str, ...]:
    """What this machine can run, and the user's devices."""
    here = [target.name for target in NAMED_TARGETS if not target.elsewhere and why_unavailable(target) is None]
    return (*here, *load_devices())


def show(rows: Sequence[Row]) -> None:
    """All rows as a table."""
    columns = (
        "target",
        "budget",
        "predicted ms",
        "found ms",
        "gates of the file",
        "as predicted, in budget",
        "seconds",
    )
    print_table("every target", columns, [row.cells() for row in rows])


def main(
    device: Annotated[list[str] | None, typer.Option(help="a target; again for another (default: all usable)")] = None,
    latency: Annotated[str, typer.Option(help="budget of each")] = "6ms",
    runs: Annotated[Path, typer.Option(help="folder of the runs")] = Path("runs/every-target"),
    out: Annotated[Path | None, typer.Option(help="file for the table as JSON")] = None,
) -> None:
    """One run a target."""
    rows: list[Row] = []
    with progress_bar() as progress:
        for target in device or usable_targets():
            rows.append(row_of(target, latency, runs / target, progress))
            progress.note(" | ".join(rows[-1].cells()))
    show(rows)
    if out is not None:
        write_json(out, about_this_run() | {"rows": [asdict(row) for row in rows]})
    if not all(row.passed for row in rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    run_script(main)
