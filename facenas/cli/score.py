"""`facenas score`: DDSAR, FLOPs, parameters and layers of an architecture."""

from typing import Annotated

import typer

from facenas.cli.names import ARCHITECTURE
from facenas.scoring.ddsar import DEFAULT_ALPHA


def score(
    arch: Annotated[
        str,
        typer.Argument(
            help="block string, published name (damofd-0.5g), or a search.json, run folder, checkpoint or model",
            **ARCHITECTURE,
        ),
    ],
    alpha: Annotated[float, typer.Option(help="weight of the kernel sizes in the score")] = DEFAULT_ALPHA,
    resolution: Annotated[int, typer.Option(help="side in pixels of the square input that the score assumes")] = 224,
    input_size: Annotated[
        str | None,
        typer.Option("--input", help="input size for FLOPs, WIDTHxHEIGHT (default: that of the file, else 640x480)"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Score an architecture without training it."""
    from facenas.cli.output import print_result
    from facenas.scoring.ddsar import ScoreSettings
    from facenas.steps.score import score as run_score

    print_result(run_score(arch, input_size=input_size, settings=ScoreSettings(alpha, resolution)), json)
