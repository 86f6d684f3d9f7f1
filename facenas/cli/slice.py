"""`facenas slice`: one detector of a supernet as a checkpoint of its own."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.names import ARCHITECTURE, SUPERNET


def slice(
    supernet: Annotated[
        Path,
        typer.Option(
            help="checkpoint of a supernet (train --space), folder with one, or a name of the zoo", **SUPERNET
        ),
    ],
    arch: Annotated[
        str, typer.Option(help="block string of the slice, or what holds one: search.json, run folder", **ARCHITECTURE)
    ],
    photos: Annotated[
        Path | None, typer.Option(help="folder of photos for the norms, labelled or not (default: synthetic ones)")
    ] = None,
    crops: Annotated[int, typer.Option(help="how many crops of them the norms are estimated on")] = 64,
    out: Annotated[Path, typer.Option(help="checkpoint to write")] = Path("slice.safetensors"),
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Cut a detector out of a supernet, in seconds and without training."""
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result
    from facenas.steps.slice import slice as run_slice

    with progress_bar() as progress:
        result = run_slice(supernet, arch, photos=photos, crops=crops, out=out, progress=progress)
    print_result(result, json)
