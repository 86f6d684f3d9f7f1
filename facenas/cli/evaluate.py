"""`facenas evaluate`: average precision of an exported model on labelled photos."""

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    model: Annotated[Path, typer.Option(help="exported model, or the name of one that ships")],
    data: Annotated[Path, typer.Option(help="labelled photos; WIDER's .mat files beside them give easy, medium, hard")],
    protocol: Annotated[
        str, typer.Option(help="vga: long side 640; original: unscaled; own: letterboxed into the model's input")
    ] = "vga",
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Evaluate an exported model by the WIDER FACE protocol."""
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import note, print_json, print_table
    from facenas.evaluation.evaluation_set import load_evaluation_set
    from facenas.evaluation.protocols import evaluate as judge
    from facenas.evaluation.protocols import evaluation_to_json, open_detector
    from facenas.zoo import model_path

    detector = open_detector(model_path(model), protocol)
    photos = load_evaluation_set(data)
    for problem in photos.problems[:5]:
        note(f"left out: {problem}")
    with progress_bar() as report:
        evaluation = judge(detector, photos, report)
    result = evaluation_to_json(evaluation, protocol)
    if json:
        print_json(result)
        return
    sizes = result.pop("by_size")
    rows = [(name, str(value)) for name, value in result.items() if value is not None]
    rows += [(f"AP of faces {name}", f"{value:.3f}") for name, value in sizes.items() if value is not None]
    print_table(str(model), ("figure", "value"), rows)
