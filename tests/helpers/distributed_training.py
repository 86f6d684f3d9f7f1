"""One tiny training for tests of several processes: `torchrun --nproc-per-node N distributed_training.py DATA OUT BATCH`."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from facenas.architecture import parse_architecture
from facenas.data.source import open_dataset
from facenas.training import loop
from facenas.training.distributed import joined_processes
from facenas.training.recipe import Pace, Recipe
from facenas.units import Size

DETECTOR = replace(
    parse_architecture(
        "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,8,2,8,1)SuperConvK3BNRELU(8,8,2,1)"
        "SuperResIDWE1K3(8,8,2,8,1)SuperConvK3BNRELU(8,8,2,1)PAFPN(8)HeadDW(8,1)"
    ),
    landmarks=True,
)


def train(data: Path, out: Path, batch_size: int) -> None:
    """Train; SGD, whose steps are proportional to the gradients, so that a difference of 1e-7 stays one."""
    recipe = Recipe(epochs=6, size_px=64, batch_size=batch_size, optimizer="sgd", learning_rate=0.01)
    with joined_processes() as processes:
        trainer = loop.Trainer(DETECTOR, Size(64, 64), recipe, out, "tiny", processes=processes)
        torch.set_num_threads(1)
        trainer.resume()
        trainer.run(open_dataset(data), pace=Pace(log_steps=1))


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
