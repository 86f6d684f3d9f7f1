"""A benchmark that is a command of its own: what it cannot use, it says in one line, as `facenas` does."""

import sys
from collections.abc import Callable
from pathlib import Path

import typer

from facenas.errors import FacenasError


def run_script(main: Callable[..., None]) -> None:
    """Run `main` as this script's command; ends with the exit code of the error that it raises."""
    try:
        typer.run(main)
    except FacenasError as error:
        print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
