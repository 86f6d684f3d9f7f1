"""Evaluate: average precision of an exported model on labelled photos, by the WIDER FACE protocol."""

from dataclasses import replace
from pathlib import Path

from facenas.evaluation import protocols
from facenas.evaluation.evaluation_set import load_evaluation_set, told_problems
from facenas.evaluation.wider import Evaluation
from facenas.progress import SILENT, Progress
from facenas.zoo import model_path


def evaluate(model: Path | str, data: Path | str, *, protocol: str = "vga", progress: Progress = SILENT) -> Evaluation:
    """Judge `model`, an exported file or a name of the zoo, on the labelled photos of `data`.

    `protocol`: `vga` (long side 640), `original` (unscaled) or `own` (letterboxed into the model's input). Raises
    InputError for another, and for unusable files.
    """
    detector = protocols.open_detector(model_path(Path(model)), protocol)
    photos = load_evaluation_set(Path(data))
    for line in told_problems(photos.problems):
        progress.note(line)
    return replace(protocols.evaluate(detector, photos, progress), protocol=protocol)
