"""A benchmark that is a command of its own: what it cannot use, it says in one line, as `facenas` does; its result says
when, of which commit and on which machine it was measured."""

import sys
from collections.abc import Callable
from pathlib import Path

import typer

from facenas.bench.record import new_record
from facenas.errors import FacenasError


def about_this_run() -> dict[str, str]:
    """Provenance of a result: date, commit (`+`: with changes) and CPU."""
    record = new_record({}, {}, quick=False, checkout=Path(__file__).parent)
    return {"date": record.date, "commit": record.commit, "cpu": record.fingerprint.cpu}


def run_script(main: Callable[..., None]) -> None:
    """Run `main` as this script's command; ends with the exit code of the error that it raises."""
    try:
        typer.run(main)
    except FacenasError as error:
        print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
