"""One tiny training in a process of its own, for tests that kill it: `python tiny_training.py DATA OUT [seldom]`.

Saves its state after every step, or seldom, prints its notes and the number of each step, and goes on from what it finds in
OUT.
"""

import sys
from pathlib import Path

import torch

from facenas.architecture import parse_architecture
from facenas.data.source import open_dataset
from facenas.training import loop
from facenas.training.recipe import Pace, Recipe
from facenas.training.result import TrainingResult
from facenas.units import Size
from helpers.told import Told

DETECTOR = parse_architecture(
    "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,8,2,8,1)SuperConvK3BNRELU(8,8,2,1)"
    "SuperResIDWE1K3(8,8,2,8,1)SuperConvK3BNRELU(8,8,2,1)PAFPN(8)HeadDW(8,1)"
)
SIZE = Size(64, 64)
RECIPE = Recipe(epochs=8, size_px=64, batch_size=2)


class _Printed(Told):
    def note(self, line: str) -> None:
        print(line, flush=True)


def train(data: Path, out: Path, recipe: Recipe = RECIPE, save_seconds: float = 0.0) -> TrainingResult:
    """Train, or go on, and return the result."""
    out.mkdir(exist_ok=True)
    trainer = loop.Trainer(DETECTOR, SIZE, recipe, out, "tiny")
    torch.set_num_threads(1)
    trainer.resume()
    return trainer.run(
        open_dataset(data),
        progress=_Printed(lambda step, _total, _what: print(step, flush=True)),
        pace=Pace(save_seconds=save_seconds),
    )


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]), save_seconds=1e9 if "seldom" in sys.argv else 0.0)
