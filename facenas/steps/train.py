"""Train: from photos to a checkpoint of a detector, or of a space's supernet."""

from dataclasses import dataclass, replace
from pathlib import Path

from facenas.architecture import Architecture
from facenas.errors import InputError
from facenas.given import given_architecture, given_checkpoint
from facenas.progress import SILENT, Progress
from facenas.spaces.elastic_space import ElasticSpace
from facenas.training.distributed import is_main_process
from facenas.training.photos import TrainingPhotos, training_photos
from facenas.training.recipe import Recipe, fine_tuning_recipe
from facenas.training.result import TrainingResult
from facenas.training.session import SessionSettings, train_detector
from facenas.training.teacher import Teacher
from facenas.training.watch import require_tensorboard
from facenas.units import DEFAULT_INPUT, Size


@dataclass(frozen=True)
class TrainingSettings:
    """How a training goes on, beside its recipe. `input_size`: what the detector is meant for (default: that of what holds
    the architecture, else 640x480); `init`: a checkpoint, a folder with one, or a name of the zoo, to start from;
    `teacher`: an ONNX file of a stronger detector to learn from beside the labels; `resume`: go on from the last state in
    the folder, `may_begin`: if there is one; `max_minutes`: stop then, to go on later; `strict`: refuse photos with any
    unusable label; `compiled`: let torch make kernels for the network first; `validations`: how often it is judged
    (default: 6, a supernet 20); `landmarks`: whether it finds them (default: as the architecture or `init` does);
    `tensorboard`: write the curve for TensorBoard, too."""

    input_size: Size | None = None
    init: Path | str | None = None
    teacher: Path | str | None = None
    resume: bool = False
    max_minutes: float | None = None
    strict: bool = False
    may_begin: bool = False
    compiled: bool = False
    validations: int | None = None
    landmarks: bool | None = None
    tensorboard: bool = False


def _require_landmarks(photos: TrainingPhotos, *, known: bool, progress: Progress) -> None:
    """Raises InputError where no point is labelled that could be learnt; where they are `known` already, that is told."""
    if any((photo.labels.landmarks[~photo.labels.ignore, :, 2] > 0).any() for photo in photos.train.photos):
        return
    if not known:
        raise InputError(
            f"no face of {photos.train.name} has a landmark, so none can be learnt; leave out --landmarks, or label them"
        )
    progress.note(f"no face of {photos.train.name} has a landmark: those of --init are kept, and may drift")


def _subject(
    asked: str | Path | Architecture | ElasticSpace | None, settings: TrainingSettings
) -> tuple[Architecture | ElasticSpace, Size]:
    """What is trained, and the input size that it is meant for. Raises InputError where neither is said."""
    if isinstance(asked, ElasticSpace):
        asked = asked if settings.landmarks is None else replace(asked, landmarks=settings.landmarks)
        return asked, settings.input_size or DEFAULT_INPUT
    if asked is None and settings.init is None:
        raise InputError("there is nothing to train; give --arch, --space, or --init to fine-tune a detector")
    given = given_architecture(settings.init or "" if asked is None else asked)
    detector = given.architecture
    if settings.landmarks is not None:
        detector = replace(detector, landmarks=settings.landmarks)
    return detector, settings.input_size or given.input_size or DEFAULT_INPUT


def train(
    architecture: str | Path | Architecture | ElasticSpace | None,
    data: Path | str,
    *,
    val: Path | str | None = None,
    recipe: Recipe | None = None,
    settings: TrainingSettings = TrainingSettings(),
    out: Path | str = "runs/train",
    progress: Progress = SILENT,
) -> TrainingResult:
    """Train `architecture` (a block string, a published name, a file or folder that holds one; or an elastic space: its
    supernet) on the labelled photos of `data`, validated on `val` (default: a tenth of `data`). None: fine-tune the
    detector of `settings.init`, by default at a low learning rate.

    With torchrun, together with the other processes, of which only the first tells its progress. Raises InputError for
    unusable photos or words, or where `out` already holds a training and is not to be resumed, TrainingError where the
    loss is no longer finite.
    """
    if settings.tensorboard:
        require_tensorboard()
    subject, input_size = _subject(architecture, settings)
    fine_tuned = architecture is None
    recipe = recipe or (fine_tuning_recipe() if fine_tuned else Recipe())
    out = Path(out)
    progress = progress if is_main_process() else SILENT
    photos = training_photos(Path(data), None if val is None else Path(val), strict=settings.strict)
    for line in photos.notes:
        progress.note(line)
    if subject.landmarks:
        known = fine_tuned and given_architecture(settings.init or "").architecture.landmarks
        _require_landmarks(photos, known=known, progress=progress)
    if not settings.resume and (out / "last.safetensors").exists():
        raise InputError(f"{out} already holds a training; go on with --resume or choose another --out")
    result = train_detector(
        subject,
        input_size,
        recipe,
        photos,
        out,
        progress,
        settings=SessionSettings(
            init=None if settings.init is None else given_checkpoint(settings.init),
            teacher=None if settings.teacher is None else Teacher(Path(settings.teacher), recipe.size_px),
            max_seconds=None if settings.max_minutes is None else 60 * settings.max_minutes,
            strict=settings.strict,
            resume=settings.resume and not settings.may_begin,
            compiled=settings.compiled,
            validations=settings.validations,
            tensorboard=settings.tensorboard,
        ),
    )
    for problem in result.problems:
        progress.note(f"left out: {problem}")
    return result
