"""One tiny supernet training in a process of its own: `python tiny_supernet.py DATA OUT [plain]`, `tests` on its path.

Saves its state after every step, prints the number of each step, and goes on from what it finds in OUT. With torchrun,
together with the other processes; `plain`: in float32, with SGD, whose steps are proportional to the gradients, so that a
difference of 1e-7 stays one.
"""

import sys
from pathlib import Path

import torch

from facenas.data.source import open_dataset
from facenas.training import loop
from facenas.training.distributed import joined_processes
from facenas.training.recipe import Pace, Recipe
from facenas.training.result import TrainingResult
from facenas.units import Size
from helpers.tiny_elastic import TINY_SPACE
from helpers.told import Told

RECIPE = Recipe(epochs=8, size_px=64, batch_size=2)
PLAIN_RECIPE = Recipe(epochs=4, size_px=64, batch_size=4, optimizer="sgd", learning_rate=0.01)
EVERY_STEP = Pace(save_seconds=0.0, log_steps=1)


def train(data: Path, out: Path, recipe: Recipe = RECIPE, pace: Pace = EVERY_STEP) -> TrainingResult:
    """Train, or go on, and return the result."""
    out.mkdir(exist_ok=True)
    with joined_processes() as processes:
        trainer = loop.Trainer(TINY_SPACE, Size(64, 64), recipe, out, "tiny", processes=processes)
        torch.set_num_threads(1)
        trainer.half_precision = recipe is not PLAIN_RECIPE and trainer.half_precision
        trainer.resume()
        progress = Told(lambda step, _total, _what: print(step, flush=True))
        return trainer.run(open_dataset(data), progress=progress, pace=pace)


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]), PLAIN_RECIPE if sys.argv[3:] == ["plain"] else RECIPE)
