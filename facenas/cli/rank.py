"""`facenas rank`: a search's best candidates, judged by short trainings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facenas.ranking.halving import Ranking


def rank(
    search: Annotated[Path | None, typer.Option(help="search.json, or the folder that holds it")] = None,
    top: Annotated[int, typer.Option(help="how many of the search's best")] = 8,
    arch: Annotated[
        list[str] | None, typer.Option(help="block string, file holding one, or published name; repeatable")
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

    from facenas.chain import SYNTHETIC_RECIPE, draw_synthetic_photos
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import note, print_json
    from facenas.errors import InputError
    from facenas.ranking.contenders import gather_contenders
    from facenas.ranking.halving import RankSettings, plan_rungs
    from facenas.ranking.halving import rank as rank_contenders
    from facenas.ranking.workers import workers
    from facenas.training.photos import training_photos
    from facenas.training.recipe import Recipe
    from facenas.units import Size, parse_size

    if search is None and not arch:
        raise InputError("nothing to rank; name a search (--search DIR) or architectures (--arch ..., twice or more)")
    contenders = gather_contenders(search, top, arch or [])
    first_epochs = (10 if data is None else 3) if epochs is None else epochs
    plan_rungs(len(contenders.entries), first_epochs)
    size = parse_size(input_size) if input_size is not None else contenders.input_size or Size(640, 480)
    recipe = SYNTHETIC_RECIPE if data is None else Recipe()
    recipe = replace(
        recipe,
        size_px=recipe.size_px if crop is None else crop,
        batch_size=batch,
        learning_rate=recipe.learning_rate if rate is None else rate,
        seed=seed,
    )
    if data is None and val is not None:
        raise InputError(f"--val {val} without --data; the synthetic set has its own")
    out = out.resolve()  # workers may run elsewhere
    if not resume and (out / "rank.json").exists():
        raise InputError(f"{out} already holds a ranking; go on with --resume or choose another --out")
    with workers(address) as (run_tasks, where), progress_bar() as report:
        note(where)
        if data is None:
            photos_folder = out / "data"
            if not (photos_folder / "val" / "labelv2.txt").exists():  # written last
                draw_synthetic_photos(photos_folder, report)
            photos = training_photos(photos_folder / "train", photos_folder / "val")
        else:
            photos = training_photos(data.resolve(), None if val is None else val.resolve(), strict=strict)
        for line in photos.notes:
            note(line)
        details = {
            "data": "synthetic" if data is None else str(data),
            "val": None if val is None else str(val),
            "provenance": dict(contenders.provenance),
        }
        ranking = rank_contenders(
            contenders.entries,
            photos,
            RankSettings(recipe, first_epochs, size, strict),
            out,
            run_tasks,
            report,
            details=details,
        )
    for line in dict.fromkeys(line for entry in ranking.ranked for result in entry.results for line in result.left_out):
        note(f"left out: {line}")
    if json:
        print_json({**ranking.to_json(), **details})
    else:
        _print(ranking, contenders.provenance)


def _print(ranking: "Ranking", provenance: "Mapping[str, str]") -> None:
    from facenas.cli.output import note, print_table

    def ap(value: float | None) -> str:
        return "failed" if value is None else f"{value:.3f}"

    rows = [
        (
            entry.contender.architecture,
            str(entry.number),
            f"{entry.contender.ddsar:.4f}",
            *(
                f"{entry.contender.latency_ms[name]:.2f} ms" if name in entry.contender.latency_ms else ""
                for name in provenance
            ),
            *(ap(result.ap) for result in entry.results),
            *("" for _ in ranking.rungs[len(entry.results) :]),
        )
        for entry in ranking.ranked
    ]
    columns = (
        "architecture",
        "number",
        "DDSAR",
        *(f"{name} ({words})" for name, words in provenance.items()),
        *(f"AP, {epochs} epochs" for _, epochs in ranking.rungs),
    )
    print_table(
        "ranked by short training, best first (latency is predicted, AP the mean of the settings)", columns, rows
    )
    for entry in ranking.ranked:
        if entry.results[-1].problem is not None:
            note(f"candidate {entry.number} failed: {entry.results[-1].problem}")
    if ranking.kendall_tau is None:
        print("no Kendall tau of DDSAR with the AP of the first rung: one of them is the same for all")
    else:
        count = ranking.rungs[0][0]
        print(f"Kendall tau of DDSAR with the AP of the first rung, {count} candidates: {ranking.kendall_tau:+.3f}")
    print(f"checkpoint of the first: {ranking.ranked[0].checkpoint}")
