"""The training loop: augmented crops in, a checkpoint out; resumable to the exact step after a kill.

State that matters is written every `SAVE_SECONDS` in one file (weights, their running average, the optimiser's moments
and the step), atomically. Samples are a function of (seed, step), so a resumed run repeats what an undisturbed one does.
The exported weights are the running average, which at equal steps is worth a long tail of low learning rate.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facenas.architecture import Detector, Family
from facenas.data.annotations import Dataset
from facenas.detector.model import DetectorNetwork
from facenas.detector.preprocess import MEAN, STANDARD_DEVIATION
from facenas.devices.cpu import cores, cpu_flags
from facenas.errors import InputError, TrainingError
from facenas.files import write_atomic
from facenas.graph import ANCHORS_PER_CELL, BOX_CHANNELS, LANDMARK_CHANNELS, LANDMARK_COUNT, SCORE_CHANNELS
from facenas.training.assigner import anchor_centres
from facenas.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from facenas.training.losses import Losses, detection_losses
from facenas.training.recipe import Recipe
from facenas.training.samples import Batch, batches, strides_of_cells
from facenas.units import Size

SAVE_SECONDS = 60.0
LOG_STEPS = 20
CACHE_BYTES = 6_000_000_000

Report = Callable[[int, int, str], None]
Validate = Callable[[Checkpoint], Mapping[str, float | None]]


@dataclass(frozen=True)
class TrainingResult:
    """`checkpoint`: the file with the best validated weights (the last ones where nothing was validated)."""

    checkpoint: Path
    epochs: int
    best: dict[str, float | None]


class Trainer:
    """One training in one folder: `last.safetensors` (all state), `best.safetensors`, `training.jsonl` (the curve)."""

    def __init__(self, detector: Detector, input_size: Size, recipe: Recipe, out: Path, data_name: str) -> None:
        torch.manual_seed(recipe.seed)
        # One core stays free for the threads that make samples: sharing it would stall every parallel section.
        torch.set_num_threads(max(1, cores() - 1))
        self.recipe, self.out, self.input_size, self.data_name = recipe, out, input_size, data_name
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = DetectorNetwork(detector).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = {name: tensor.detach().clone() for name, tensor in self._floats().items()}
        self.optimizer = self._create_optimizer()
        self.half_precision = _bfloat16_is_faster(detector, self.device)
        self.step = 0
        self.photos: int | None = None
        self.best: dict[str, float | None] = {}

    def _floats(self) -> dict[str, Tensor]:
        """Parameters and running statistics by name."""
        return {name: tensor for name, tensor in self.network.state_dict().items() if tensor.is_floating_point()}

    def _create_optimizer(self) -> torch.optim.Optimizer:
        named = dict(self.network.named_parameters())
        groups = [
            # Norms, biases and scales shape no features: decaying them only costs accuracy.
            {"params": [p for p in named.values() if p.ndim > 1], "weight_decay": self.recipe.weight_decay},
            {"params": [p for p in named.values() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        if self.recipe.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=self.recipe.learning_rate, momentum=self.recipe.momentum, nesterov=True)
        return torch.optim.AdamW(groups, lr=self.recipe.learning_rate)

    def run(
        self, dataset: Dataset, *, validate: Validate | None, validate_epochs: int, report: Report
    ) -> TrainingResult:
        """Train to the recipe's last step. Raises TrainingError where the loss is not finite (the last good state stays),
        and InputError where the state to go on from was trained on another number of photos (other samples)."""
        if self.photos not in (None, len(dataset.photos)):
            raise InputError(
                f"{self.out / 'last.safetensors'} was trained on {self.photos} photos, {dataset.name} has"
                f" {len(dataset.photos)}; choose another --out or the same photos"
            )
        self.photos = len(dataset.photos)
        total = self.recipe.steps(len(dataset.photos))
        validate_steps = max(1, validate_epochs * len(dataset.photos) // self.recipe.batch_size)
        saved, started, first = time.monotonic(), time.monotonic(), self.step
        for batch in batches(dataset, self.recipe, self.step, total, CACHE_BYTES):
            losses = self._train_step(batch, total)
            self.step += 1
            if self.step % LOG_STEPS == 0 or self.step == total:
                crops_per_s = (self.step - first) * self.recipe.batch_size / (time.monotonic() - started)
                self._log(losses, total, crops_per_s)
            report(self.step, total, "training")
            if validate is not None and (self.step % validate_steps == 0 or self.step == total):
                self._validate(validate)
            if time.monotonic() - saved > SAVE_SECONDS or self.step == total:
                self._save_state()
                saved = time.monotonic()
        if not (self.out / "best.safetensors").exists():
            self._save_average("best.safetensors")
        return TrainingResult(self.out / "best.safetensors", self.recipe.epochs, self.best)

    def _train_step(self, batch: Batch, total: int) -> Losses:
        rate = self.recipe.learning_rate * _rate_factor(self.step, total, self.recipe.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        images = torch.from_numpy(batch.images).to(self.device).permute(0, 3, 1, 2)
        images = images.float().sub_(MEAN).div_(STANDARD_DEVIATION).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half_precision):
            outputs = self.network(images)
        losses = self._losses(outputs, batch)
        if not torch.isfinite(losses.total):
            raise TrainingError(
                f"the loss is not finite at step {self.step} (score {losses.score.item():.3g}, box {losses.box.item():.3g});"
                f" the last good state is kept in {self.out / 'last.safetensors'}; lower the learning rate {rate:.2g}"
            )
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.gradient_norm)
        self.optimizer.step()
        decay = min(self.recipe.average_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, tensor in self._floats().items():
                self.average[name].lerp_(tensor, 1 - decay)
        return losses

    def _losses(self, outputs: tuple[Tensor, ...], batch: Batch) -> Losses:
        flat = torch.cat([output.float().flatten(2) for output in outputs], dim=2)
        n, channels, cells = flat.shape
        centres = torch.from_numpy(anchor_centres(self.recipe.size_px)).to(self.device)
        strides = torch.from_numpy(strides_of_cells(self.recipe.size_px)).to(self.device)
        distances = flat[:, BOX_CHANNELS].reshape(n, ANCHORS_PER_CELL, 4, cells).transpose(2, 3) * strides[:, None]
        boxes = torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1)

        def on_device(array: np.ndarray[Any, Any]) -> Tensor:
            return torch.from_numpy(array).to(self.device).flatten(1, 2)

        offsets = target_offsets = known = None
        if channels == LANDMARK_CHANNELS.stop:
            shape = (n, ANCHORS_PER_CELL, LANDMARK_COUNT, 2, cells)
            offsets = flat[:, LANDMARK_CHANNELS].reshape(shape).permute(0, 1, 4, 2, 3).flatten(1, 2)
            target_offsets, known = on_device(batch.landmarks), on_device(batch.known)
        return detection_losses(
            flat[:, SCORE_CHANNELS].flatten(1),
            boxes.flatten(1, 2),
            on_device(batch.boxes),
            on_device(batch.positive),
            on_device(batch.counted),
            offsets,
            target_offsets,
            known,
        )

    def _log(self, losses: Losses, total: int, crops_per_s: float) -> None:
        values = {name: round(float(getattr(losses, name).detach()), 5) for name in ("score", "box", "landmark")}
        line = {"step": self.step, "steps": total, **values, "crops_per_s": round(crops_per_s, 1)}
        self._append(line)

    def _append(self, line: Mapping[str, Any]) -> None:
        with (self.out / "training.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _validate(self, validate: Validate) -> None:
        checkpoint = self._average_checkpoint()
        figures = dict(validate(checkpoint))
        self._append({"step": self.step, **{name: value for name, value in figures.items() if value is not None}})
        if _goodness(figures) > _goodness(self.best):
            self.best = figures
            save_checkpoint(self.out / "best.safetensors", checkpoint)

    def _average_checkpoint(self) -> Checkpoint:
        tensors = {name: tensor.cpu().numpy() for name, tensor in self.average.items()}
        origin = {"data": self.data_name, "recipe": asdict(self.recipe), "step": self.step, "figures": self.best}
        return Checkpoint(self.network.detector, self.input_size, tensors, origin)

    def _save_average(self, name: str) -> None:
        save_checkpoint(self.out / name, self._average_checkpoint())

    def _save_state(self) -> None:
        tensors = {f"network/{name}": tensor for name, tensor in self._floats().items()}
        tensors |= {f"average/{name}": tensor for name, tensor in self.average.items()}
        names = {id(parameter): name for name, parameter in self.network.named_parameters()}
        for parameter, state in self.optimizer.state.items():
            tensors |= {
                f"optimizer/{names[id(parameter)]}/{key}": value.detach()
                for key, value in state.items()
                if isinstance(value, Tensor)
            }
        origin = {"step": self.step, "best": self.best, "recipe": asdict(self.recipe), "data": self.data_name}
        origin["photos"] = self.photos
        arrays = {name: tensor.cpu().contiguous().numpy() for name, tensor in tensors.items()}
        state_file = Checkpoint(self.network.detector, self.input_size, arrays, origin)
        save_checkpoint(self.out / "last.safetensors", state_file)

    def resume(self) -> None:
        """Go on from `last.safetensors` if it exists. Raises InputError where it is of another network or recipe."""
        path = self.out / "last.safetensors"
        if not path.exists():
            self._cut_log()
            return
        state = load_checkpoint(path)
        if state.detector != self.network.detector:
            raise InputError(f"{path} holds '{state.detector}', not '{self.network.detector}'; choose another --out")
        needed = {f"{kind}/{name}" for kind in ("network", "average") for name in self._floats()}
        if not needed <= set(state.tensors):
            raise InputError(f"{path} holds no state of a training; remove it or choose another --out")
        recipe = json.loads(json.dumps(asdict(self.recipe)))
        if state.origin["recipe"] != recipe:
            changed = sorted(key for key, value in recipe.items() if state.origin["recipe"].get(key) != value)
            raise InputError(f"{path} was trained with another {', '.join(changed)}; choose another --out or the same")
        arrays = {name: torch.from_numpy(np.array(array)).to(self.device) for name, array in state.tensors.items()}
        with torch.no_grad():
            for name, tensor in self._floats().items():
                tensor.copy_(arrays[f"network/{name}"])
                self.average[name].copy_(arrays[f"average/{name}"])
        for name, parameter in self.network.named_parameters():
            prefix = f"optimizer/{name}/"
            moments = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
            if "step" in moments:
                moments["step"] = moments["step"].cpu()
            self.optimizer.state[parameter] = moments
        self.step, self.best = int(state.origin["step"]), dict(state.origin["best"])
        self.photos = state.origin.get("photos")
        self._cut_log()

    def _cut_log(self) -> None:
        """Forget the curve after the state that training goes on from."""
        path = self.out / "training.jsonl"
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            whole = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= self.step]
            write_atomic(path, "".join(line + "\n" for line in whole))


def _goodness(figures: Mapping[str, float | None]) -> float:
    """What the best checkpoint is chosen by: the mean of the figures there are (-1 where there are none)."""
    values = [value for value in figures.values() if value is not None]
    return sum(values) / len(values) if values else -1.0


def _rate_factor(step: int, total: int, warmup_share: float) -> float:
    warmup = max(1, round(total * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2


def _bfloat16_is_faster(detector: Detector, device: torch.device) -> bool:
    """On a GPU that has it; on a CPU that has it, for plain convolutions (1.4 times as fast), while the gradients of
    depthwise ones have no fast kernel there (up to 5 times slower)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    depthwise = any(stage.family is Family.INVERTED for stage in detector.backbone.stages)
    return not depthwise and bool({"avx512_bf16", "amx_bf16"} & cpu_flags())
