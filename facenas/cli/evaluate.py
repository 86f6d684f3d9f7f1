"""`facenas evaluate`: average precision of an exported model on labelled photos."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.names import DEVICE, MODEL


def evaluate(
    model: Annotated[Path, typer.Option(help="exported model, run folder, or name of the zoo", **MODEL)],
    data: Annotated[Path, typer.Option(help="labelled photos; WIDER's .mat files beside them give easy, medium, hard")],
    protocol: Annotated[
        str,
        typer.Option(
            help="own: letterboxed into the model's input, as it is used; vga: long side 640; original: unscaled"
        ),
    ] = "own",
    device: Annotated[
        str | None, typer.Option(help="target that runs it (default: the one that the file names)", **DEVICE)
    ] = None,
    blind_spots: Annotated[
        bool,
        typer.Option(
            "--blind-spots", help="also recall by size in the frame, roll, darkness and blur, made from the photos"
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="page to write, for example evaluation.html")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Evaluate an exported model by the WIDER FACE protocol."""
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result, require_all_read, tell
    from facenas.steps.evaluate import evaluate as run_evaluate
    from facenas.steps.evaluate import write_page

    with progress_bar() as progress:
        evaluation = run_evaluate(
            model, data, protocol=protocol, device=device, blind_spots=blind_spots, progress=progress
        )
    if out is not None:
        write_page(evaluation, model, data, device, out)
    print_result(evaluation, json)
    if out is not None and not json:
        tell(str(out))
    require_all_read(evaluation.unread)
