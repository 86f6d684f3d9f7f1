"""`facenas score`: DDSAR, FLOPs, parameters and layers of an architecture."""

from typing import Annotated

import typer

from facenas.scoring.ddsar import DEFAULT_ALPHA
from facenas.units import DEFAULT_INPUT


def score(
    arch: Annotated[str, typer.Argument(help="block string, file holding one, or published name (damofd-0.5g ...)")],
    alpha: Annotated[float, typer.Option(help="weight of the kernel sizes in the score")] = DEFAULT_ALPHA,
    resolution: Annotated[int, typer.Option(help="side in pixels of the square input that the score assumes")] = 224,
    input_size: Annotated[str, typer.Option("--input", help="input size for FLOPs, WIDTHxHEIGHT")] = str(DEFAULT_INPUT),
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Score an architecture without training it."""
    from facenas.cli.output import print_result
    from facenas.scoring.ddsar import ScoreSettings
    from facenas.steps.score import score as run_score

    print_result(run_score(arch, input_size=input_size, settings=ScoreSettings(alpha, resolution)), json)
