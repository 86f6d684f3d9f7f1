"""One training over several processes, each with its share of every batch, started by torchrun.

    torchrun --nproc-per-node 2 --module facenas.cli.main train ...

A step equals that of one process with the whole batch: gradients are averaged (DistributedDataParallel), and so is all
that is not linear in the samples, the moments of the norms and what the losses are divided by:

    mean = avg_r(mean_r),   variance = avg_r(mean_r(x^2)) - mean^2,   loss_r = sum_r / avg_r(normaliser_r)

A supernet takes several passes a step, so its gradients are averaged once at the end (`average_gradients`).
The first process alone validates and writes; the folder of the training must be one that all of them see.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from facenas.errors import InputError


@dataclass(frozen=True)
class Processes:
    """The processes of a training: this one's `rank` of `count`, and its device's number on this machine."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def main(self) -> bool:
        """Whether this is the one that validates, writes and speaks."""
        return self.rank == 0

    def average(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes; no gradient flows through it."""
        if self.count == 1:
            return value
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total / self.count

    def share_of(self, batch_size: int) -> int:
        """How many samples of a batch are this process'. Raises InputError where they cannot be shared evenly."""
        if batch_size % self.count:
            raise InputError(f"a batch of {batch_size} is not shared evenly by {self.count} processes; change --batch")
        return batch_size // self.count


def is_main_process() -> bool:
    """Whether this is the one process, or torchrun's first: the one that speaks and writes."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """The processes that torchrun started, joined for as long as the context lasts; without torchrun this one alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    processes = Processes(int(os.environ["RANK"]), count, int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield processes
    finally:
        distributed.destroy_process_group()


def average_gradients(network: nn.Module, processes: Processes) -> None:
    """Replace every gradient by its mean over all processes; all must have gradients for the same parameters."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    mean = processes.average(torch.cat([gradient.flatten() for gradient in gradients]))
    parts = torch.split(mean, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


class SynchronisedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation by the moments of all processes' samples, on any device (torch's own knows GPUs only).

    Every process must hold the same number of samples of the same size.
    """

    def forward(self, x: Tensor) -> Tensor:
        """As BatchNorm2d: float [n, channels, height, width] in and out."""
        if not self.training:
            return super().forward(x)
        from torch.distributed.nn.functional import all_reduce

        values = x.float()
        moments = torch.stack([values.mean((0, 2, 3)), values.square().mean((0, 2, 3))])
        count = distributed.get_world_size()
        mean, square = all_reduce(moments) / count  # type: ignore[no-untyped-call]
        variance = (square - mean.square()).clamp(min=0)
        if self.track_running_stats:
            self._update_running(mean, variance, count * values.numel() // values.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        normalised: Tensor = values * scale[:, None, None] + shift[:, None, None]
        return normalised.to(x.dtype)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor, samples: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (samples / max(1, samples - 1)), self.momentum)
