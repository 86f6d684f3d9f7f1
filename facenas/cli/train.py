"""`facenas train`: from photos to a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facenas.cli.names import ARCHITECTURE, MODEL, SPACE

if TYPE_CHECKING:
    from facenas.spaces.elastic_space import ElasticSpace


def train(
    data: Annotated[
        Path, typer.Option(help="labelled photos: labelv2, WIDER FACE, COCO, YOLO, a table, or packed pieces")
    ],
    arch: Annotated[
        str | None,
        typer.Option(
            help="block string, published name, or what holds one: search.json, run folder, checkpoint, model "
            "(default: that of --init, which is fine-tuned)",
            **ARCHITECTURE,
        ),
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="elastic space: train a supernet, all of its networks at once", **SPACE)
    ] = None,
    val: Annotated[Path | None, typer.Option(help="labelled photos to validate on (default: a part of --data)")] = None,
    epochs: Annotated[int, typer.Option(help="how often every photo is shown, each time as another crop")] = 12,
    cycles: Annotated[
        int,
        typer.Option(
            help="go through --epochs so often, each time from the best so far; ends early if one brings nothing"
        ),
    ] = 1,
    out: Annotated[Path, typer.Option(help="folder for checkpoints and the curve")] = Path("runs/train"),
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input", help="input size that it is meant for (default: that of --arch or --init, else 640x480)"
        ),
    ] = None,
    crop: Annotated[int, typer.Option(help="side of the training crops in pixels, a multiple of 32")] = 256,
    batch: Annotated[int, typer.Option(help="crops in an optimiser step, of all processes together")] = 16,
    optimizer: Annotated[str, typer.Option(help="adamw or sgd")] = "adamw",
    rate: Annotated[
        float | None,
        typer.Option(
            "--learning-rate", "--rate", help="its peak (default: adamw 0.002, sgd 0.02; fine-tuning 0.15 of these)"
        ),
    ] = None,
    schedule: Annotated[
        str, typer.Option(help="how the learning rate falls after its warm-up: cosine or steps")
    ] = "cosine",
    mosaic: Annotated[
        float, typer.Option(help="share of the samples that are four half-sized ones side by side")
    ] = 0.0,
    paste: Annotated[int, typer.Option(help="put up to so many small faces of another photo into a sample")] = 0,
    rotate: Annotated[
        float, typer.Option(help="turn every second sample by up to so many degrees to either side")
    ] = 0.0,
    landmarks: Annotated[
        bool | None,
        typer.Option(
            "--landmarks/--no-landmarks", help="also learn the five landmarks (default: as --init has them, else not)"
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="checkpoint, folder with one, or name of the zoo to start from; without --arch it is fine-tuned, with "
            "another --arch the layers that fit are taken",
            **MODEL,
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(help="ONNX file of a stronger detector (SCRFD's layout) to learn from beside the labels"),
    ] = None,
    teacher_share: Annotated[float, typer.Option(help="share of the losses that are by the teacher's answers")] = 0.5,
    photos_on_device: Annotated[
        bool,
        typer.Option(
            "--photos-on-device", help="decode all photos into the GPU's memory once and make the crops there"
        ),
    ] = False,
    compile: Annotated[
        bool, typer.Option("--compile", help="let torch compile the network: minutes once, then faster steps")
    ] = False,
    validations: Annotated[
        int | None, typer.Option(help="how often it is judged on the way (default: 6, a supernet 20)")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="write the curve for TensorBoard, too, in --out/tensorboard")
    ] = False,
    seed: Annotated[int, typer.Option(help="seed of weights, order and crops")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the last state in --out")] = False,
    max_minutes: Annotated[
        float | None, typer.Option(help="stop after so many minutes, to go on with --resume", min=0)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="refuse data with any unusable label or photo")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Train a detector or a supernet, or fine-tune a detector (--init without --arch).

    Several GPUs: torchrun --nproc-per-node N --module facenas.cli.main train ..."""
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result
    from facenas.steps.train import TrainingSettings
    from facenas.steps.train import train as run_train
    from facenas.training.distributed import is_main_process
    from facenas.training.recipe import SUPERNET_GRADIENT_NORM, Recipe, default_rate_and_decay
    from facenas.units import parse_size

    subject = _subject(arch, space)
    default_rate, weight_decay = default_rate_and_decay(optimizer, fine_tuning=subject is None and init is not None)
    recipe = Recipe(
        epochs=epochs,
        size_px=crop,
        batch_size=batch,
        optimizer=optimizer,  # type: ignore[arg-type]  # the recipe checks both words
        learning_rate=default_rate if rate is None else rate,
        weight_decay=weight_decay,
        seed=seed,
        schedule=schedule,  # type: ignore[arg-type]
        mosaic_share=mosaic,
        pasted_faces=paste,
        rotation_degrees=rotate,
        teacher_share=teacher_share,
        photos_on_device=photos_on_device,
        cycles=cycles,
        gradient_norm=Recipe.gradient_norm if space is None else SUPERNET_GRADIENT_NORM,
    )
    settings = TrainingSettings(
        None if input_size is None else parse_size(input_size),
        init,
        teacher,
        resume=resume,
        max_minutes=max_minutes,
        strict=strict,
        landmarks=landmarks,
        compiled=compile,
        validations=validations,
        tensorboard=tensorboard,
    )
    with progress_bar() as progress:
        result = run_train(subject, data, val=val, recipe=recipe, settings=settings, out=out, progress=progress)
    if is_main_process():
        print_result(result, json)


def _subject(arch: str | None, space: str | None) -> "str | ElasticSpace | None":
    """What is to be trained; None: the detector of --init. Raises InputError where both are given."""
    from facenas.errors import InputError
    from facenas.spaces.elastic_space import elastic_space

    if arch is not None and space is not None:
        raise InputError(f"train takes --arch or --space, one of them, not '{arch}' and '{space}'")
    return arch if space is None else elastic_space(space)
