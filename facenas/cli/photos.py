"""`facenas photos`: what is in a set of labelled photos."""

from pathlib import Path
from typing import Annotated

import typer


def photos(
    data: Annotated[Path, typer.Argument(help="labelled photos, as `facenas train --data` takes them")],
    val: Annotated[Path | None, typer.Option(help="labelled photos to validate on")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="exit code 1 where anything is unusable or stands in both parts")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Look through labelled photos before hours go into them: sizes of faces, what is unusable, what stands there twice."""
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result
    from facenas.steps.photos import photos as look_through

    with progress_bar() as progress:
        report = look_through(data, val=val, progress=progress)
    print_result(report, json)
    if strict and not report.clean:
        raise typer.Exit(1)
