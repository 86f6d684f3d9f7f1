"""A training from its photos to its best checkpoint, validated as deployed: folded, in ONNX Runtime, with the one decoder."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from facenas.architecture import Architecture
from facenas.checkpoint import Checkpoint
from facenas.data.face_sizes import LONG_SIDE_PX
from facenas.detector.face_detector import FaceDetector
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import EvaluationSet
from facenas.evaluation.protocols import evaluate
from facenas.exporters.onnx import export_checkpoint
from facenas.files import make_folder
from facenas.locks import only_one
from facenas.progress import SILENT, Progress
from facenas.spaces.elastic_space import ElasticSpace
from facenas.training.distributed import is_main_process, joined_processes
from facenas.training.loop import Trainer, Validate
from facenas.training.photos import TrainingPhotos
from facenas.training.recipe import Pace, Recipe
from facenas.training.result import TrainingResult
from facenas.training.sandwich import SliceValidation, norm_batches
from facenas.training.teacher import Teacher
from facenas.units import Size

VALIDATIONS = 6
SUPERNET_VALIDATIONS = 20


@dataclass(frozen=True)
class SessionSettings:
    """`init`: a checkpoint to start from; `teacher`: a detector to learn from beside the labels; `max_seconds`: then it
    stops, to go on later; `strict`: a photo that cannot be decoded is refused; `resume`: there should be one to go on from;
    `compiled`: torch makes kernels for the network first; `validations`: how often it is judged (default: 6 times, a
    supernet, of which three networks are judged each time, 20 times); `tensorboard`: the curve is also written for it."""

    init: Path | None = None
    teacher: Teacher | None = None
    max_seconds: float | None = None
    strict: bool = False
    resume: bool = False
    compiled: bool = False
    validations: int | None = None
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.validations is not None and self.validations < 1:
            raise InputError(f"{self.validations} validations choose no best weights; ask for 1 or more")


def train_detector(
    subject: Architecture | ElasticSpace,
    input_size: Size,
    recipe: Recipe,
    photos: TrainingPhotos,
    out: Path,
    progress: Progress = SILENT,
    *,
    settings: SessionSettings = SessionSettings(),
) -> TrainingResult:
    """Train a detector, or a space's supernet, in folder `out`, or go on with what it holds; with torchrun, together with
    the other processes.

    Raises TrainingError or InputError as `Trainer` does.
    """
    make_folder(out)
    alone = only_one(out / "training.lock", f"a training in {out}") if is_main_process() else nullcontext()
    with alone, joined_processes() as processes:
        trainer = Trainer(
            subject,
            input_size,
            recipe,
            out,
            photos.train.name,
            init=settings.init,
            teacher=settings.teacher,
            processes=processes,
        )
        if not trainer.resume() and settings.resume:
            progress.note(f"{out} holds no training to go on from; this one starts at step 0")
        begin(trainer, photos, progress)
        _tell_of_close_ups(recipe, input_size, progress)
        judge: Validate = partial(validate, photos.validation, out)
        validations = settings.validations or VALIDATIONS
        if isinstance(subject, ElasticSpace):
            judge = SliceValidation(subject, photos.train, recipe, judge)
            validations = settings.validations or SUPERNET_VALIDATIONS
        every = max(1, recipe.epochs // validations)
        trainer.judge_start(judge, progress)
        return trainer.run(
            photos.train,
            validate=judge,
            pace=Pace(
                validate_epochs=every,
                max_seconds=settings.max_seconds,
                compiled=settings.compiled,
                tensorboard=settings.tensorboard,
            ),
            progress=progress,
            strict=settings.strict,
        )


def _tell_of_close_ups(recipe: Recipe, input_size: Size, progress: Progress) -> None:
    """That faces larger than the crops will not be found, which pictures may show."""
    short_px = min(input_size.width_px, input_size.height_px)
    if recipe.size_px < short_px:
        progress.note(
            f"crops of {recipe.size_px} px hold no larger face, and pictures of {input_size} do: for close-ups give --crop"
            f" {short_px}"
        )


def begin(trainer: Trainer, photos: TrainingPhotos, progress: Progress) -> None:
    """Before the first step of a training that starts from other weights: say so, and give a slice its norms."""
    if trainer.init is None or trainer.step:
        return
    progress.note(trainer.init.summary)
    if not trainer.init.moments:
        trainer.estimate_norms(norm_batches(photos.train, trainer.recipe))


def validate(photos: EvaluationSet, out: Path, checkpoint: Checkpoint) -> dict[str, float | None]:
    """Average precisions of a checkpoint by setting, protocol `vga`; the exported file stands in `out` meanwhile."""
    path = out / "validation.onnx"
    export_checkpoint(checkpoint, path, dynamic=False)
    face_detector = FaceDetector(path, long_side_px=LONG_SIDE_PX)
    path.unlink(missing_ok=True)
    return evaluate(face_detector, photos).average_precisions
