"""`facenas rank`: a search's best candidates, judged by short trainings."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.names import ARCHITECTURE, MODEL


def rank(
    search: Annotated[Path | None, typer.Option(help="search.json, or the folder that holds it (a run's, too)")] = None,
    top: Annotated[int, typer.Option(help="how many of the search's best")] = 8,
    arch: Annotated[
        list[str] | None,
        typer.Option(help="block string, published name, or what holds one; repeatable", **ARCHITECTURE),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="labelled photos to train on, as for train (default: a synthetic set)")
    ] = None,
    val: Annotated[Path | None, typer.Option(help="labelled photos to validate on (default: a part of --data)")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="of the first rung; each further one doubles them (default: 3, synthetic 10)")
    ] = None,
    crop: Annotated[int | None, typer.Option(help="side of the training crops in pixels, a multiple of 32")] = None,
    batch: Annotated[int, typer.Option(help="crops in an optimiser step")] = 16,
    rate: Annotated[
        float | None, typer.Option("--learning-rate", "--rate", help="its peak (default: adamw's 0.002)")
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of weights, order and crops")] = 0,
    input_size: Annotated[
        str | None, typer.Option("--input", help="input size that is meant (default: the search's, else 640x480)")
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="checkpoint, folder with one, or name of the zoo that all start from", **MODEL),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to join, for example auto (default: a local Ray on all cores)")
    ] = None,
    out: Annotated[Path, typer.Option(help="folder for rank.json and the trainings")] = Path("runs/rank"),
    resume: Annotated[bool, typer.Option("--resume", help="go on with the ranking in --out")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="refuse data with any unusable label or photo")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Train candidates briefly, the better half on and on, and put their accuracy beside their score."""
    from dataclasses import replace

    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result, tell
    from facenas.steps.rank import RankSettings
    from facenas.steps.rank import rank as run_rank
    from facenas.steps.synthetic import SYNTHETIC_RECIPE
    from facenas.training.recipe import Recipe

    recipe = SYNTHETIC_RECIPE if data is None else Recipe()
    recipe = replace(
        recipe,
        size_px=recipe.size_px if crop is None else crop,
        batch_size=batch,
        learning_rate=recipe.learning_rate if rate is None else rate,
        seed=seed,
    )
    settings = RankSettings(top, epochs, input_size, address, init, resume=resume, strict=strict)
    with progress_bar() as progress:
        ranking = run_rank(
            arch or (),
            data,
            search=search,
            val=val,
            recipe=recipe,
            settings=settings,
            out=out,
            progress=progress,
        )
    print_result(ranking, json)
    if not json:
        tell(ranking.words)
