"""Extend a latency table that ships by operators of another machine's: facenas/latency/extended_table.py has the idea.

    python benchmarks/extend_table.py latency_tables/cpu.json ANOTHER.json [--out F]

Prints how many operators were carried over, and how far one of them may be off.
"""

from pathlib import Path
from typing import Annotated

import typer
from script import run_script

from facenas.cli.output import note
from facenas.latency.extended_table import extended
from facenas.latency.table import load_table, save_table


def main(
    table: Annotated[Path, typer.Argument(help="table of a long profile")],
    other: Annotated[Path, typer.Argument(help="table that has more operators")],
    out: Annotated[Path | None, typer.Option(help="file for the result (default: the table itself)")] = None,
) -> None:
    """Carry over what only the other table has measured."""
    result = extended(load_table(table), load_table(other))
    save_table(result, out or table)
    assert result.short_profile is not None
    note(
        f"{result.target}: {result.short_profile.carried_over} operators carried over from {result.short_profile.prior_cpu}, "
        f"each within {100 * result.short_profile.doubt:.0f} % (one standard deviation)"
    )


if __name__ == "__main__":
    run_script(main)
