"""`facenas label`: labels for photos that have none, from a stronger detector."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.names import DEVICE, MODEL


def label(
    photos: Annotated[list[Path], typer.Argument(help="folders of photos, looked through to their depth")],
    teacher: Annotated[
        Path,
        typer.Option(
            help="the stronger detector: a published ONNX file (SCRFD, YuNet, RetinaFace, Ultra-Light), an exported model, "
            "run folder, or name of the zoo",
            **MODEL,
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder for the set: labelv2.txt, and a link to the photos")] = Path(
        "runs/label"
    ),
    min_score: Annotated[float, typer.Option(help="least score of a face")] = 0.5,
    ignore_score: Annotated[
        float, typer.Option(help="least score of a region that is neither face nor background")
    ] = 0.3,
    long_side: Annotated[
        list[int] | None,
        typer.Option(
            help="scale photos to this long side in pixels instead of the teacher's input; repeatable: a face's score is then "
            "the mean over all views of the photo"
        ),
    ] = None,
    mirrored: Annotated[bool, typer.Option("--mirrored", help="look at each photo mirrored, too")] = False,
    device: Annotated[
        str | None,
        typer.Option(help="target that runs the teacher (default: this CPU, or what its file names)", **DEVICE),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with what a stopped labelling has done")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Label photos by a stronger detector, as a set for --data; what it doubts is neither face nor background."""
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result, require_all_read
    from facenas.steps.label import LabelSettings
    from facenas.steps.label import label as run_label

    settings = LabelSettings(min_score, ignore_score, tuple(long_side or ()), mirrored, resume)
    with progress_bar() as progress:
        result = run_label(photos, teacher, out=out, device=device, settings=settings, progress=progress)
    print_result(result, json)
    require_all_read(result.unread)
