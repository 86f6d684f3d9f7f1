"""`facenas train`: from photos to a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    arch: Annotated[str, typer.Option(help="block string, file holding one, or published name")],
    data: Annotated[Path, typer.Option(help="labelled photos: labelv2 sets or WIDER FACE's layout")],
    val: Annotated[Path | None, typer.Option(help="labelled photos to validate on (default: a part of --data)")] = None,
    epochs: Annotated[int, typer.Option(help="how often every photo is shown, each time as another crop")] = 12,
    out: Annotated[Path, typer.Option(help="folder for checkpoints and the curve")] = Path("runs/train"),
    input_size: Annotated[str, typer.Option("--input", help="input size that it is meant for")] = "640x480",
    crop: Annotated[int, typer.Option(help="side of the training crops in pixels, a multiple of 32")] = 256,
    batch: Annotated[int, typer.Option(help="crops in an optimiser step")] = 16,
    rate: Annotated[float, typer.Option(help="peak learning rate")] = 2e-3,
    landmarks: Annotated[bool, typer.Option("--landmarks", help="also learn the five landmarks")] = False,
    seed: Annotated[int, typer.Option(help="seed of weights, order and crops")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the last state in --out")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="refuse data with any unusable label")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Train a detector on your photos."""
    from dataclasses import replace

    from facenas.architecture import resolve_detector
    from facenas.cli.output import note, print_json, print_table
    from facenas.cli.progress import progress_bar
    from facenas.errors import InputError
    from facenas.training.photos import training_photos
    from facenas.training.recipe import Recipe
    from facenas.units import parse_size

    detector = replace(resolve_detector(arch), landmarks=landmarks)
    recipe = Recipe(epochs=epochs, size_px=crop, batch_size=batch, learning_rate=rate, seed=seed)
    size = parse_size(input_size)
    photos = training_photos(data, val, strict=strict)
    for line in photos.notes:
        note(line)
    if not resume and (out / "last.safetensors").exists():
        raise InputError(f"{out} already holds a training; go on with --resume or choose another --out")
    from facenas.training.session import train_detector

    with progress_bar() as report:
        result = train_detector(detector, size, recipe, photos, out, report)
    if json:
        print_json({"checkpoint": str(result.checkpoint), "epochs": result.epochs, "best": result.best})
        return
    best = "  ".join(f"{name} {value:.3f}" for name, value in result.best.items() if value is not None)
    rows = [("checkpoint", str(result.checkpoint)), ("epochs", str(result.epochs)), ("best AP", best)]
    print_table("trained", ("figure", "value"), rows)
