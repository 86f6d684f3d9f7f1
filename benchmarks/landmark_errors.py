"""How far are landmarks off? Those of the detectors that ship, and of published files, on photos that took no part.

    python benchmarks/landmark_errors.py --data PHOTOS [--models MODELS] [--model F] [--out F]

All detectors are run at one input. The error of a face is a share of its size (facenas/evaluation/landmark_error.py); each
detector is judged on the faces that it finds itself.
"""

from pathlib import Path
from typing import Annotated

import typer
from script import about_this_run, run_script

import facenas
from facenas.cli.bar import progress_bar
from facenas.cli.output import print_table
from facenas.detector.published import Baseline, baselines_in
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.evaluation.protocols import evaluate
from facenas.files import write_json
from facenas.units import parse_size
from facenas.zoo import ZOO_NAMES


def main(
    data: Annotated[Path, typer.Option(help="photos with labelled landmarks")],
    models: Annotated[Path | None, typer.Option(help="folder of published .onnx files with landmarks")] = None,
    model: Annotated[list[Path] | None, typer.Option(help="exported model beside those that ship; repeatable")] = None,
    input_size: Annotated[str, typer.Option("--input", help="what all are run at")] = "512x384",
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Judge all of them."""
    photos, size, found = load_evaluation_set(data), parse_size(input_size), {}
    with progress_bar() as progress:
        for name in (*ZOO_NAMES, *map(str, model or [])):
            detector = facenas.FaceDetector(name, long_side_px=size.long_side_px)
            found[name] = evaluate(detector, photos, progress)
        for path in baselines_in(models) if models else ():
            try:
                baseline = Baseline(path, size)
            except InputError as error:
                progress.note(f"left out: {error}")
                continue
            found[baseline.name] = evaluate(baseline, photos, progress)
    errors = {name: each.landmarks for name, each in found.items() if each.landmarks is not None}
    octaves = list(next(iter(errors.values())).by_size)
    rows = [
        (name, *(f"{100 * error:.1f} %" if error is not None else "" for error in (each.mean, *each.by_size.values())))
        for name, each in errors.items()
    ]
    print_table(f"landmarks off, share of the face, {photos.name}", ("detector", "all", *octaves), rows)
    if out is not None:
        told = [{"name": name, **each.to_json()} for name, each in errors.items()]
        write_json(out, about_this_run() | {"input": str(size), "photos": len(photos.photos), "detectors": told})


if __name__ == "__main__":
    run_script(main)
