"""The photos of a training: the part to learn from, the part to validate on, and what had to be left out."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from facenas.data.annotations import Dataset, split_dataset
from facenas.data.image import MAX_FILE_BYTES
from facenas.data.pieces import in_piece, read_in_piece
from facenas.data.source import open_dataset
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import EvaluationSet, evaluation_set_of, load_evaluation_set, told_problems
from facenas.files import open_file

HELD_OUT = 0.1
_COMPARED_BYTES = 1 << 16  # of files of one length


@dataclass(frozen=True, eq=False)
class TrainingPhotos:
    """`notes`: lines for the person about labels that were left out."""

    train: Dataset
    validation: EvaluationSet
    notes: tuple[str, ...]


def training_photos(data: Path, val: Path | None, *, strict: bool = False) -> TrainingPhotos:
    """Open `data`; validate on `val` or, without it, on a tenth of `data` that is then not trained on.

    Raises InputError where no face in `data` counts, where it holds too few photos to hold one out, and, with `strict`, for
    any unusable label and for photos that are both trained and validated on.
    """
    dataset = open_dataset(data, strict)
    problems = list(dataset.problems)
    if val is None:
        dataset, held_out = split_dataset(dataset, HELD_OUT)
        validation = evaluation_set_of(held_out, data)
    else:
        validation = load_evaluation_set(val)
        problems += validation.problems
        if (both := _in_both(dataset, validation)) is not None:
            problems.insert(0, both)
            if strict:
                raise InputError(both)
    if not dataset.faces:
        raise InputError(
            f"none of the {len(dataset.photos)} photos of {dataset.name} has a face that counts; check its labels"
        )
    return TrainingPhotos(dataset, validation, tuple(told_problems(problems)))


def _in_both(dataset: Dataset, validation: EvaluationSet) -> str | None:
    """A line about photos that are trained and validated on, None where there are none: the same files, or copies of them."""
    trained = {_look(photo.path) for photo in dataset.photos}
    suspects = [path for path in validation.photos if _look(path) in trained]
    if not suspects:
        return None
    sizes = {_look(path) for path in suspects}
    contents = {_beginning(photo.path) for photo in dataset.photos if _look(photo.path) in sizes}
    both = [path for path in suspects if _beginning(path) in contents]
    if not both:
        return None
    return (
        f"{len(both)} of {len(validation.photos)} photos to validate on are trained on, too (first {both[0]}): the figures say"
        " nothing of other photos; give others with --val"
    )


def _look(path: Path) -> int:
    """What copies have in common and can be read quickly: the length."""
    try:
        return len(read_in_piece(path)) if in_piece(path) else path.stat().st_size
    except (OSError, InputError):
        return -1


def _beginning(path: Path) -> bytes:
    try:
        if in_piece(path):
            return hashlib.sha256(read_in_piece(path)[:_COMPARED_BYTES]).digest()
        with open_file(path, "photo", MAX_FILE_BYTES) as file:
            return hashlib.sha256(file.read(_COMPARED_BYTES)).digest()
    except InputError:
        return str(path).encode(errors="replace")
