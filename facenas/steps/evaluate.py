"""Evaluate: average precision of an exported model on labelled photos, by the WIDER FACE protocol."""

from dataclasses import replace
from pathlib import Path

from facenas.data.face_sizes import LONG_SIDE_PX
from facenas.devices.targets import resolve_target
from facenas.evaluation import protocols
from facenas.evaluation.blind_spots import find_blind_spots
from facenas.evaluation.evaluation_set import load_evaluation_set, told_problems
from facenas.evaluation.wider import Evaluation
from facenas.exporters.formats import description_of
from facenas.files import require_no_input, sha256_of
from facenas.given import given_model
from facenas.progress import SILENT, Progress
from facenas.report.evaluation_page import Judged, write_evaluation_page
from facenas.run_folder import about_now
from facenas.steps.place import place_of


def evaluate(
    model: Path | str,
    data: Path | str,
    *,
    protocol: str = "own",
    device: str | None = None,
    blind_spots: bool = False,
    progress: Progress = SILENT,
) -> Evaluation:
    """Judge `model`, an exported file or a name of the zoo, on the labelled photos of `data`.

    `protocol`: `own` (letterboxed into the model's input: the file as it is used), `vga` (long side 640, whatever the
    file's input) or `original` (unscaled); `device`: the target that runs it (default: the one that the file names);
    `blind_spots`: also where faces are small, large, turned, dark or blurred (facenas/evaluation/blind_spots.py), which takes
    25 times as long. Raises InputError for another, and for unusable files.
    """
    protocols.require_protocol(protocol)
    path = given_model(model)
    target = resolve_target(device or description_of(path).target)
    photos = load_evaluation_set(Path(data))
    for line in told_problems(photos.problems):
        progress.note(line)
    inputs = {"own": str(description_of(path).input_size), "vga": f"long side {LONG_SIDE_PX}", "original": "unscaled"}
    with place_of(target, progress) as place:
        detector = protocols.open_detector(path, protocol, target, place.load)
        result = replace(protocols.evaluate(detector, photos, progress), protocol=protocol, input=inputs[protocol])
        spots = find_blind_spots(detector, photos, progress=progress) if blind_spots else None
    return replace(result, blind_spots=spots)


def write_page(
    evaluation: Evaluation, model: Path | str, data: Path | str, device: str | None, out: Path | str
) -> None:
    """Write what `evaluate` found of `model` on `data` as an HTML page. Raises InputError where it cannot be written."""
    path = given_model(model)
    target = resolve_target(device or description_of(path).target)
    where = f"{target} ({target.runtime}, {target.precision}, {target.threads} thread{'s' * (target.threads > 1)})"
    require_no_input(Path(out), [path])
    write_evaluation_page(
        evaluation, Judged(path.name, sha256_of(path), Path(data).name, where, about_now()), Path(out)
    )
