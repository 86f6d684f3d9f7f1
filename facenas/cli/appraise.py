"""`facenas appraise`: slices of a supernet judged on labelled photos, into an accuracy table."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.names import SUPERNET


def appraise(
    supernet: Annotated[
        Path, typer.Option(help="checkpoint of a supernet (train --space), or a name of the zoo", **SUPERNET)
    ],
    data: Annotated[Path, typer.Option(help="labelled photos that took no part in its training")],
    slices: Annotated[int, typer.Option(help="how many slices, drawn at random, are judged")] = 200,
    input_size: Annotated[
        list[str] | None,
        typer.Option("--input", help="photos are scaled to its long side; repeatable (default: 640x480)"),
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="folder of photos for the slices' norms, labelled or not (default: --data's)")
    ] = None,
    crops: Annotated[int, typer.Option(help="how many crops of them the norms are estimated on")] = 64,
    seed: Annotated[int, typer.Option(help="seed of the choice of slices")] = 0,
    out: Annotated[Path | None, typer.Option(help="table (default: SUPERNET.accuracy.json beside it)")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue an appraisal that was stopped")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Judge slices of a supernet on labelled photos; learn from them what stages and choices are worth."""
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result
    from facenas.steps.appraise import AppraiseSettings
    from facenas.steps.appraise import appraise as run_appraise
    from facenas.units import DEFAULT_INPUT

    settings = AppraiseSettings(input_size or (DEFAULT_INPUT,), photos, crops, seed, resume=resume)
    with progress_bar() as progress:
        table = run_appraise(supernet, data, slices=slices, settings=settings, out=out, progress=progress)
    print_result(table, json)
