"""`facenas pack`: labelled photos into pieces."""

from pathlib import Path
from typing import Annotated

import typer


def pack(
    data: Annotated[Path, typer.Option(help="labelled photos, in any layout that train takes")],
    out: Annotated[Path, typer.Option(help="folder for the pieces")],
    name: Annotated[str, typer.Option(help="what the pieces are called: NAME-1.zip, NAME-2.zip ...")] = "photos",
    long_side: Annotated[int, typer.Option(help="longer side in pixels that photos are scaled down to")] = 512,
    quality: Annotated[int, typer.Option(help="WebP quality, 1 to 100")] = 80,
    largest: Annotated[str, typer.Option(help="size of the largest piece")] = "62.9MB",  # 60 MiB
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Pack labelled photos, scaled and as WebP, into ZIP files that are easy to carry; each is a set for --data."""
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result
    from facenas.data.packed import Packing
    from facenas.devices.cpu import cores
    from facenas.steps.pack import pack as run_pack
    from facenas.units import parse_bytes

    packing = Packing(long_side, quality, int(parse_bytes(largest)), threads=cores())
    with progress_bar() as progress:
        result = run_pack(data, out, name=name, packing=packing, progress=progress)
    print_result(result, json)
