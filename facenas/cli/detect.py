"""`facenas detect`: faces in photos, videos or of a camera, as a table, as JSON, or drawn."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facenas.cli.names import DEVICE, MODEL
from facenas.zoo import DEFAULT_NAME

if TYPE_CHECKING:
    from facenas.steps.detect import Found


def detect(
    images: Annotated[
        list[str],
        typer.Argument(help="photos, videos, folders, quoted patterns, web addresses of photos, or a camera's index"),
    ],
    model: Annotated[
        Path | None,
        typer.Option(help=f"exported model, run folder, or name of the zoo (default: {DEFAULT_NAME})", **MODEL),
    ] = None,
    min_score: Annotated[float, typer.Option(help="least score of a face, between 0 and 1")] = 0.3,
    long_side: Annotated[
        int | None, typer.Option(help="scale photos to this long side in pixels instead of the model's input size")
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(help="scale them to the largest input at which the model takes no longer here, for example 3ms"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="target that runs the model (default: the one that its file names)", **DEVICE)
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="at most so many frames of a video or camera")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for the photos with boxes drawn")] = None,
    blur: Annotated[
        bool, typer.Option("--blur", help="with --out: faces blurred beyond recognition, no boxes")
    ] = False,
    video: Annotated[
        bool, typer.Option("--video", help="with --out: of a video one .mp4, not a photo a frame")
    ] = False,
    crops: Annotated[Path | None, typer.Option(help="folder for the faces, cut out")] = None,
    jsonl: Annotated[
        Path | None, typer.Option(help="file with a line of JSON a picture: faces, size, number of the frame")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON list")] = False,
) -> None:
    """Find faces in photos, in videos, or in what a camera sees (until Ctrl-C, or --frames)."""
    import time

    from facenas.cli.bar import progress_bar
    from facenas.cli.json_lines import JsonLines
    from facenas.cli.output import note, print_json, print_table, require_all_read
    from facenas.errors import InputError
    from facenas.steps.copies import Copies
    from facenas.steps.detect import DetectSettings, Found
    from facenas.steps.detect import detect as run_detect

    settings = DetectSettings(min_score, long_side, frames, Copies(out, blur, crops, video), latency, device)
    found: list[Found] = []
    started = time.perf_counter()
    with progress_bar() as progress, JsonLines(jsonl) as lines:
        for each in run_detect(images, model, settings=settings, progress=progress):
            found.append(each)
            lines.add(each.to_line())
    seconds = time.perf_counter() - started
    problems = [each.problem for each in found if each.problem]
    usable = [each for each in found if not each.problem]
    if problems and not usable and len(problems) == 1:
        raise InputError(problems[0])
    kind = "frames" if any(each.moving for each in usable) else "photos"
    note(f"{len(usable)} {kind} in {seconds:.2f} s, {len(usable) / seconds:.1f} {kind} a second")
    if json:
        print_json([each.to_json() for each in found])
    else:
        rows = [(each.image, str(len(each.faces)), _best(each)) for each in usable]
        print_table("faces", ("photo", "faces", "best score"), rows)
        if out is not None:
            note(f"drawn in {out}")
    require_all_read(problems)


def _best(found: "Found") -> str:
    return f"{found.faces.scores.max():.2f}" if len(found.faces) else ""
