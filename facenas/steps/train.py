"""Train: from photos to a checkpoint of a detector, or of a space's supernet."""

from dataclasses import dataclass
from pathlib import Path

from facenas.architecture import Architecture, resolve_architecture
from facenas.errors import InputError
from facenas.progress import SILENT, Progress
from facenas.spaces.elastic_space import ElasticSpace
from facenas.training.distributed import is_main_process
from facenas.training.photos import TrainingPhotos, training_photos
from facenas.training.recipe import Recipe
from facenas.training.result import TrainingResult
from facenas.training.session import SessionSettings, train_detector
from facenas.training.teacher import Teacher
from facenas.units import DEFAULT_INPUT, Size
from facenas.zoo import checkpoint_path


@dataclass(frozen=True)
class TrainingSettings:
    """How a training goes on, beside its recipe. `input_size`: what the detector is meant for; `init`: a checkpoint, or a
    name of the zoo, to start from; `teacher`: an ONNX file of a stronger detector to learn from beside the labels;
    `resume`: go on from the last state in the folder, `may_begin`: if there is one; `max_minutes`: stop then, to go on
    later; `strict`: refuse photos with any unusable label; `compiled`: let torch make kernels for the network first;
    `validations`: how often it is judged (default: 6, a supernet 20)."""

    input_size: Size = DEFAULT_INPUT
    init: Path | str | None = None
    teacher: Path | str | None = None
    resume: bool = False
    max_minutes: float | None = None
    strict: bool = False
    may_begin: bool = False
    compiled: bool = False
    validations: int | None = None


def _require_landmarks(photos: TrainingPhotos) -> None:
    """Raises InputError where no point is known that could be learnt."""
    if not any((photo.labels.landmarks[~photo.labels.ignore, :, 2] > 0).any() for photo in photos.train.photos):
        raise InputError(
            f"no face of {photos.train.name} has a landmark, so none can be learnt; leave out --landmarks, or label them"
        )


def train(
    architecture: str | Architecture | ElasticSpace,
    data: Path | str,
    *,
    val: Path | str | None = None,
    recipe: Recipe = Recipe(),
    settings: TrainingSettings = TrainingSettings(),
    out: Path | str = "runs/train",
    progress: Progress = SILENT,
) -> TrainingResult:
    """Train `architecture` (a block string, a file holding one, a published name; or an elastic space: its supernet) on
    the labelled photos of `data`, validated on `val` (default: a tenth of `data`).

    With torchrun, together with the other processes, of which only the first tells its progress. Raises InputError for
    unusable photos or words, or where `out` already holds a training and is not to be resumed, TrainingError where the
    loss is no longer finite.
    """
    subject = architecture if isinstance(architecture, ElasticSpace) else resolve_architecture(architecture)
    out = Path(out)
    progress = progress if is_main_process() else SILENT
    photos = training_photos(Path(data), None if val is None else Path(val), strict=settings.strict)
    for line in photos.notes:
        progress.note(line)
    if subject.landmarks:
        _require_landmarks(photos)
    if not settings.resume and (out / "last.safetensors").exists():
        raise InputError(f"{out} already holds a training; go on with --resume or choose another --out")
    result = train_detector(
        subject,
        settings.input_size,
        recipe,
        photos,
        out,
        progress,
        settings=SessionSettings(
            init=None if settings.init is None else checkpoint_path(Path(settings.init)),
            teacher=None if settings.teacher is None else Teacher(Path(settings.teacher), recipe.size_px),
            max_seconds=None if settings.max_minutes is None else 60 * settings.max_minutes,
            strict=settings.strict,
            resume=settings.resume and not settings.may_begin,
            compiled=settings.compiled,
            validations=settings.validations,
        ),
    )
    for problem in result.problems:
        progress.note(f"left out: {problem}")
    return result
