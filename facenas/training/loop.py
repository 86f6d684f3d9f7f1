"""The training loop: augmented crops in, a checkpoint out; resumable to the exact step after a kill.

State that matters is written every minute (`Pace`) in one file (weights, their running average, the optimiser's moments
and the step), atomically. Samples are a function of (seed, step), so a resumed run repeats what an undisturbed one does.
The exported weights are the running average, which at equal steps is worth a long tail of low learning rate.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facenas.architecture import Architecture, Family
from facenas.checkpoint import Checkpoint, TrainedSpace, load_checkpoint, save_checkpoint
from facenas.data.annotations import Dataset
from facenas.devices.cpu import BFLOAT16_FLAGS, compute_threads, cores, cpu_flags, free_memory_bytes
from facenas.errors import InputError, TrainingError
from facenas.networks.elastic_network import ElasticNetwork
from facenas.networks.network import DetectorNetwork, preprocessed
from facenas.networks.norms import estimate_norms
from facenas.progress import SILENT, Progress
from facenas.spaces.elastic_space import ElasticSpace
from facenas.training.curve import Curve, Speed
from facenas.training.device_batches import DeviceBatch, DevicePhotos, on_device
from facenas.training.distributed import Processes, SynchronisedBatchNorm
from facenas.training.initial import Initial, initialise
from facenas.training.losses import ALONE, Losses, batch_losses
from facenas.training.optimization import create_optimizer, floats_of, rate_factor, update_average
from facenas.training.recipe import Pace, Recipe
from facenas.training.result import TrainingResult
from facenas.training.samples import Batch, PhotoCache, batches
from facenas.training.sandwich import sandwich_backward
from facenas.training.state import Reached, begin_from, load_state, restore_arrays, save_state, state_arrays
from facenas.training.stopping import Stopping
from facenas.training.teacher import Teacher
from facenas.units import Size

_MAX_CACHE_BYTES = 6_000_000_000
_PHOTOS_NAMED = 3
_LOSSES = ("score", "box", "landmark")

Validate = Callable[[Checkpoint], Mapping[str, float | None]]


class Trainer:
    """One training in one folder: `last.safetensors` (all state), `best.safetensors`, `training.jsonl` (the curve).

    `subject`: the detector to train, or the elastic space whose supernet is trained.
    `init`: a checkpoint whose weights the training starts from; a state to go on from (`resume`) replaces them.
    `teacher`: a detector to learn from beside the labels, for crops of the recipe's size.
    """

    def __init__(
        self,
        subject: Architecture | ElasticSpace,
        input_size: Size,
        recipe: Recipe,
        out: Path,
        data_name: str,
        *,
        init: Path | None = None,
        teacher: Teacher | None = None,
        processes: Processes = ALONE,
    ) -> None:
        torch.manual_seed(recipe.seed)
        # One core stays free for the threads that make samples: sharing it would stall every parallel section.
        torch.set_num_threads(compute_threads())
        self.recipe = recipe if teacher is None else replace(recipe, teacher=teacher.name)
        self.out, self.input_size, self.data_name = out, input_size, data_name
        self.processes, self.teacher = processes, teacher
        self.device = torch.device("cuda", processes.local_rank) if torch.cuda.is_available() else torch.device("cpu")
        # Trying out kernels pays where every step has the same shapes; a supernet's random member has others each time.
        torch.backends.cudnn.benchmark = not isinstance(subject, ElasticSpace)
        norm = nn.BatchNorm2d if processes.count == 1 else SynchronisedBatchNorm
        self.network = _network_of(subject, norm).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.space = TrainedSpace(subject.name, subject.digest) if isinstance(subject, ElasticSpace) else None
        self.init: Initial | None = initialise(self.network, init) if init is not None else None
        self.average = {name: tensor.detach().clone() for name, tensor in self._floats().items()}
        self.optimizer = create_optimizer(self.network, recipe)
        self.half_precision = _bfloat16_is_faster(self.network.detector, self.device)
        self.curve = Curve(out / "training.jsonl")
        self.reached = Reached(0, None, {}, None if self.init is None else asdict(self.init))
        self.step = 0
        self.saved_step: int | None = None
        self.best: dict[str, float | None] = {}
        self.logged: dict[str, float] = {}
        self.parallel: nn.Module = self.network
        if processes.count > 1 and self.space is None:
            self.parallel = nn.parallel.DistributedDataParallel(self.network, broadcast_buffers=False)

    def _floats(self) -> dict[str, Tensor]:
        """Parameters and running statistics by name."""
        return floats_of(self.network)

    def run(
        self,
        dataset: Dataset,
        *,
        progress: Progress = SILENT,
        validate: Validate | None = None,
        pace: Pace = Pace(),
        strict: bool = False,
        cache_bytes: int | None = None,
    ) -> TrainingResult:
        """Train to the recipe's last step, or as far as `pace` says; the state is then saved to go on from. Decoded
        photos are kept in memory up to `cache_bytes` (default: what the machine can spare). Ctrl-C and SIGTERM
        finish the step and save it.

        Raises TrainingError where a loss or gradient is not finite (the last good state stays), and InputError where
        the state to go on from was trained on another number of photos (other samples) or, with `strict`, a photo
        cannot be decoded (else the next one takes its place, and the result lists it).
        """
        self._require_photos(dataset, progress)
        cycle = self.recipe.steps_of_cycle(len(dataset.photos))
        total = self.step if self.reached.settled else cycle * self.recipe.cycles
        end = total if pace.until_step is None else min(pace.until_step, total)
        validate_steps = max(1, pace.validate_epochs * len(dataset.photos) // self.recipe.batch_size)
        coming, problems = self._batches(dataset, end, cache_bytes, progress)
        if pace.compiled:
            self._compile()
        if pace.tensorboard and self.processes.main:
            self.curve.watch(self.step)
        saved = started = time.monotonic()
        speed = Speed(self.step, self.recipe.batch_size)
        with Stopping() as stopping, self._kept_when_stopped(stopping, total, progress):
            for batch in coming:
                if strict and problems:
                    raise InputError(next(iter(problems.values())))
                with stopping.held():
                    losses = self._train_step(batch, cycle, dataset)
                    self.step += 1
                if self.step % pace.log_steps == 0 or self.step == end:
                    self._log(losses, total, speed.crops_per_s(self.step))
                    progress.standing(self._standing())
                progress(self.step, end, "training")
                turns = self.step % cycle == 0
                if validate is not None and (self.step % validate_steps == 0 or turns or self.step == end):
                    with speed.paused():
                        self._validate(validate, progress)
                if turns and self.step < total and not self._begin_cycle(self.step // cycle, progress):
                    total = end = self.step
                late = pace.max_seconds is not None and self._agreed(time.monotonic() - started > pace.max_seconds)
                # After a turn at once: going on from before it would start from a best that came after.
                if late or turns or time.monotonic() - saved > pace.save_seconds or self.step == end:
                    with stopping.held():
                        self._save_state()
                    saved = time.monotonic()
                if late or self.step == end:
                    break
        self._keep_unvalidated()
        best = self.out / "best.safetensors"
        unread = tuple(problems.values())
        return TrainingResult(best, self.recipe.epochs, self.best, self.step, total, len(dataset.photos), unread)

    def _batches(
        self, dataset: Dataset, end: int, cache_bytes: int | None, progress: Progress
    ) -> tuple[Iterator[Batch | DeviceBatch], Mapping[int, str]]:
        """The batches up to step `end`, and why photos could not be decoded, which grows as they are."""
        if self.recipe.photos_on_device:
            photos = DevicePhotos(dataset, self.recipe, self.device, progress)
            made = photos.batches(self.step, end, processes=self.processes, teacher=self.teacher)
            return made, photos.problems
        cache = PhotoCache(memory_for_photos() if cache_bytes is None else cache_bytes)
        threads = max(2, cores() - 2 if self.device.type == "cuda" else 2)
        return batches(
            dataset, self.recipe, self.step, end, cache, threads=threads, processes=self.processes, teacher=self.teacher
        ), cache.problems

    def _compile(self) -> None:
        """Let torch make kernels of its own for the network; its first steps then take a minute or more."""
        if self.space is not None:
            raise InputError("a supernet runs other networks every step, so it cannot be compiled; leave out --compile")
        self.parallel = torch.compile(self.parallel)  # type: ignore[assignment]

    @contextmanager
    def _kept_when_stopped(self, stopping: Stopping, total: int, progress: Progress) -> Iterator[None]:
        """Where the training is stopped by a person or the system, what it has learnt is saved first."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            if self.processes.main:
                last = self.out / "last.safetensors"
                with stopping.held():
                    if self.step and self.step != self.saved_step:
                        self._save_state()
                    self._keep_unvalidated()
                kept = f"step {self.step:,} of {total:,} is kept in {last}; go on with --resume"
                progress.note(f"stopped: {kept if self.step else 'no step was made, so there is nothing to keep'}")
            raise
        finally:
            self.curve.close()

    def _require_photos(self, dataset: Dataset, progress: Progress) -> None:
        if self.reached.photos not in (None, len(dataset.photos)):
            raise InputError(
                f"{self.out / 'last.safetensors'} was trained on {self.reached.photos} photos, {dataset.name} has"
                f" {len(dataset.photos)}; choose another --out or the same photos"
            )
        labels = _digest_of_labels(dataset)
        if self.reached.labels not in (None, labels):
            progress.note(
                f"the labels of {dataset.name} are others than those of the {self.step:,} steps so far; going on with these"
            )
        self.reached = replace(self.reached, photos=len(dataset.photos), labels=labels)

    def _agreed(self, wish: bool) -> bool:
        """Whether any process wishes it, so that all stop at the same step."""
        if self.processes.count == 1:
            return wish
        return bool(self.processes.average(torch.tensor(float(wish), device=self.device)) > 0)

    def _begin_cycle(self, cycle: int, progress: Progress) -> bool:
        """Start anew from the best weights so far; False, and the training is settled, where the cycle before brought none."""
        before = self.reached.cycle_began
        # Only the first process validates.
        if self._agreed(cycle > 1 and bool(self.best) and before is not None and goodness(self.best) <= before):
            progress.note(f"cycle {cycle} of {self.recipe.cycles} brought nothing better, so the training ends here")
            self.reached = replace(self.reached, settled=True)
            return False
        if self._agreed(bool(self.best)):
            best = load_checkpoint(self.out / "best.safetensors", supernet=True)
            begin_from(best, self.network, self.average, self.optimizer)
        self.reached = replace(self.reached, cycle_began=goodness(self.best))
        return True

    def _train_step(self, given: Batch | DeviceBatch, cycle: int, dataset: Dataset) -> dict[str, Losses]:
        batch, step = on_device(given, self.device), self.step % cycle
        rate = self.recipe.learning_rate * rate_factor(step, cycle, self.recipe)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        losses = self._backward(preprocessed(batch.images), batch)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.gradient_norm)
        # The weights still are those of the step before: nothing that is not finite ever reaches them.
        total_loss = torch.stack([each.total.detach() for each in losses.values()]).sum()
        if not torch.isfinite(self.processes.average(total_loss) + norm):
            worst = max(losses.values(), key=lambda each: not torch.isfinite(each.total))
            raise self._not_finite(worst, norm, batch, dataset)
        self.optimizer.step()
        update_average(self.average, self.network, step, self.recipe.average_decay)
        return losses

    def _backward(self, images: Tensor, batch: DeviceBatch) -> dict[str, Losses]:
        """Make the gradients of one step; a supernet's losses by member, the largest's first; a detector's as ""."""
        precision = partial(torch.autocast, self.device.type, torch.bfloat16, enabled=self.half_precision)
        if isinstance(self.network, ElasticNetwork):
            return sandwich_backward(self.network, images, batch, self.recipe, self.step, self.processes, precision)
        with precision():
            outputs = self.parallel(images)
        losses = batch_losses(outputs, batch, self.recipe, self.processes)
        losses.total.backward()  # type: ignore[no-untyped-call]
        return {"": losses}

    def _not_finite(self, losses: Losses, norm: Tensor, batch: DeviceBatch, dataset: Dataset) -> TrainingError:
        what = "gradient" if torch.isfinite(losses.total) else "loss"
        names = [dataset.photos[index].path.name for index in batch.photos]
        more = f" and {len(names) - _PHOTOS_NAMED} more" if len(names) > _PHOTOS_NAMED else ""
        last = self.out / "last.safetensors"
        rate = f"lower the learning rate {self.recipe.learning_rate:.2g}"
        cure = f"no state was saved before it; {rate} (--learning-rate)"
        if self.saved_step is not None:
            cure = f"the state of step {self.saved_step} is kept in {last}; {rate}: another --out with --init {last}"
        return TrainingError(
            f"the {what} is not finite at step {self.step} (score {losses.score.item():.3g}, box {losses.box.item():.3g},"
            f" gradient {norm.item():.3g}), photos {', '.join(names[:_PHOTOS_NAMED])}{more}; {cure}"
        )

    def _log(self, losses: Mapping[str, Losses], total: int, crops_per_s: float) -> None:
        """A line of the curve; the first losses by their plain names, the others' after the name of their member."""
        values: dict[str, float] = {}
        for member, each in losses.items():
            named = self.processes.average(torch.stack([each.score, each.box, each.landmark]).detach()).tolist()
            before = f"{member} " if values else ""
            values |= {before + name: round(value, 5) for name, value in zip(_LOSSES, named, strict=True)}
        self.logged = {**values, "crops_per_s": round(crops_per_s, 1)}
        self._append({"step": self.step, "steps": total, **self.logged})

    def _append(self, line: Mapping[str, Any]) -> None:
        if self.processes.main:
            self.curve.append(line)

    def _validate(self, validate: Validate, progress: Progress) -> None:
        if not self.processes.main:
            return
        checkpoint = self.average_checkpoint()
        figures = dict(validate(checkpoint))
        self._append({"step": self.step, **{name: value for name, value in figures.items() if value is not None}})
        progress.note(self._told(figures))
        if goodness(figures) > goodness(self.best):
            self.best = figures
            save_checkpoint(self.out / "best.safetensors", checkpoint)

    def _keep_unvalidated(self) -> None:
        """However early a training ends there is a checkpoint to export: the weights so far where none were validated."""
        path = self.out / "best.safetensors"
        if self.processes.main and self.step and not (self.best and path.exists()):
            save_checkpoint(path, self.average_checkpoint())

    def judge_start(self, validate: Validate, progress: Progress) -> None:
        """Where the training starts from a whole detector, that is what its weights are to beat."""
        if self.init is not None and self.init.whole and self.step == 0:
            self._validate(validate, progress)

    def _standing(self) -> str:
        """What is watched beside the bar: the loss of now, the best so far, and the speed."""
        best = f", best AP {goodness(self.best):.3f}" if self.best else ""
        return f"loss {self._loss:.3f}{best}, {self.logged['crops_per_s']:,.0f} crops/s"

    @property
    def _loss(self) -> float:
        return self.logged["score"] + self.logged["box"]

    def _told(self, figures: Mapping[str, float | None]) -> str:
        """How the training stands, in a line."""
        parts = [f"AP {name} {value:.3f}" for name, value in figures.items() if value is not None]
        if self.logged:
            parts = [f"loss {self._loss:.3f}", *parts, f"{self.logged['crops_per_s']:,.0f} crops a second"]
        return f"step {self.step:,}: {', '.join(parts)}"

    def average_checkpoint(self) -> Checkpoint:
        """The weights to use so far: their running average."""
        tensors = {name: tensor.cpu().numpy() for name, tensor in self.average.items()}
        origin = {"data": self.data_name, "recipe": asdict(self.recipe), "step": self.step, "figures": self.best}
        if self.reached.init is not None:
            origin["init"] = self.reached.init
        return Checkpoint(self.network.detector, self.input_size, tensors, origin, self.space)

    def _save_state(self) -> None:
        self.reached = replace(self.reached, step=self.step, best=self.best)
        if self.processes.main:
            arrays = state_arrays(self.network, self.average, self.optimizer)
            of = Checkpoint(self.network.detector, self.input_size, arrays, {}, self.space)
            save_state(self.out / "last.safetensors", of, self.recipe, self.data_name, self.reached)
            self.curve.write_csv()
        self.saved_step = self.step

    def estimate_norms(self, batches: Iterable[Tensor]) -> None:
        """Give the norms moments of preprocessed crops, where the weights that it starts from came without."""
        estimate_norms(self.network, (images.to(self.device) for images in batches))
        self.average = {name: tensor.detach().clone() for name, tensor in self._floats().items()}

    def resume(self) -> bool:
        """Go on from `last.safetensors` if it exists, and say whether it does. Raises InputError where it is of another network
        or recipe."""
        path = self.out / "last.safetensors"
        found = path.exists()
        if found:
            reached, arrays = load_state(path, self.network.detector, self.space, self.recipe, self.network)
            if self.init is not None and (reached.init is None or Initial(**reached.init) != self.init):
                raise InputError(f"{path} did not start from {self.init.file}; choose another --out, or no --init")
            restore_arrays(arrays, self.network, self.average, self.optimizer)
            self.reached, self.step, self.best = reached, reached.step, dict(reached.best)
            self.saved_step = reached.step
        if self.processes.main:
            self.curve.cut(self.step)
        return found


def memory_for_photos() -> int:
    """How many bytes of decoded photos this machine, or its container, can spare: half of what is free."""
    free_bytes = free_memory_bytes()
    return min(_MAX_CACHE_BYTES, free_bytes // 2) if free_bytes else _MAX_CACHE_BYTES


def _digest_of_labels(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for photo in dataset.photos:
        digest.update(photo.path.name.encode(errors="surrogateescape"))
        for values in (photo.labels.boxes, photo.labels.landmarks, photo.labels.ignore):
            digest.update(values.tobytes())
    return digest.hexdigest()


def goodness(figures: Mapping[str, float | None]) -> float:
    """What the best checkpoint is chosen by: the mean of the figures there are (-1 where there are none)."""
    values = [value for value in figures.values() if value is not None]
    return sum(values) / len(values) if values else -1.0


def _network_of(subject: Architecture | ElasticSpace, norm: type[nn.BatchNorm2d]) -> DetectorNetwork:
    return ElasticNetwork(subject, norm) if isinstance(subject, ElasticSpace) else DetectorNetwork(subject, norm)


def _bfloat16_is_faster(detector: Architecture, device: torch.device) -> bool:
    """On a GPU that has it; on a CPU that has it, for plain convolutions (1.4 times as fast), while the gradients of
    depthwise ones have no fast kernel there (up to 5 times slower)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    depthwise = any(stage.family is Family.INVERTED for stage in detector.backbone.stages)
    return not depthwise and bool(BFLOAT16_FLAGS & cpu_flags())
