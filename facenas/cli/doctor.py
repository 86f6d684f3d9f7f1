"""`facenas doctor`: what a device says of itself, to send to whoever can help."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.names import DEVICE


def doctor(
    device: Annotated[str, typer.Option(help="target to ask, for example jetson", **DEVICE)],
    host: Annotated[
        str | None,
        typer.Option(help="where it is: user@host, ssh://user@host:port, adb, adb:SERIAL (default: as added)"),
    ] = None,
    python: Annotated[str | None, typer.Option(help="Python of the host (default: python3)")] = None,
    out: Annotated[Path | None, typer.Option(help="file to write it to, too")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object, as it does anyway")] = False,
) -> None:
    """Build and time one small network on a device, and print what it says of itself as one JSON object.

    Names and addresses are left out. Exit code 1 where something failed.
    """
    from facenas.cli.output import print_json
    from facenas.files import write_json
    from facenas.steps.doctor import doctor as run_doctor

    told = run_doctor(device, host=host, python=python)
    if out is not None:
        write_json(out, told)
    print_json(told)
    if told["failed"] is not None:
        raise typer.Exit(1)
