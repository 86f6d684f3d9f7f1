"""The photos of a training: the part to learn from, the part to validate on, and what had to be left out."""

from dataclasses import dataclass
from pathlib import Path

from facenas.data.annotations import Dataset, split_dataset
from facenas.data.source import open_dataset
from facenas.evaluation.evaluation_set import EvaluationSet, evaluation_set_of, load_evaluation_set

HELD_OUT = 0.1
_PROBLEMS_SHOWN = 5


@dataclass(frozen=True, eq=False)
class TrainingPhotos:
    """`notes`: lines for the person about labels that were left out."""

    train: Dataset
    validation: EvaluationSet
    notes: tuple[str, ...]


def training_photos(data: Path, val: Path | None, *, strict: bool = False) -> TrainingPhotos:
    """Open `data`; validate on `val` or, without it, on a tenth of `data` that is then not trained on."""
    dataset = open_dataset(data, strict)
    problems = list(dataset.problems)
    if val is None:
        dataset, held_out = split_dataset(dataset, HELD_OUT)
        validation = evaluation_set_of(held_out, data)
    else:
        validation = load_evaluation_set(val)
        problems += validation.problems
    notes = [f"left out: {problem}" for problem in problems[:_PROBLEMS_SHOWN]]
    if len(problems) > _PROBLEMS_SHOWN:
        notes.append(f"left out: {len(problems) - _PROBLEMS_SHOWN} more labels or photos (refuse them with --strict)")
    return TrainingPhotos(dataset, validation, tuple(notes))
