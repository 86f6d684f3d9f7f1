"""One tiny ranking in a process of its own, for tests that kill it: `python tiny_ranking.py DATA OUT`.

Saves the state after every step, prints a line for each step, and goes on from what it finds in OUT.
"""

import sys
from functools import partial
from pathlib import Path

import torch

from facenas.progress import SILENT, Progress
from facenas.ranking import halving as rank
from facenas.ranking.contenders import gather_contenders
from facenas.training.photos import TrainingPhotos, training_photos
from facenas.training.recipe import Pace, Recipe
from facenas.units import Size
from helpers.told import Told

ARCHITECTURES = tuple(
    f"SuperConvK3BNRELU(3,8,2,1)SuperConvK3BNRELU(8,{width},2,1)SuperConvK3BNRELU({width},8,2,1)"
    "SuperConvK3BNRELU(8,8,2,1)SuperConvK3BNRELU(8,8,2,1)PAFPN(8)HeadDW(8,1)"
    for width in (8, 16, 24)
)
RECIPE = Recipe(size_px=64, batch_size=2)
SETTINGS = rank.HalvingSettings(RECIPE, 2, Size(64, 64))


def photos_of(data: Path) -> TrainingPhotos:
    """Its photos, validated on themselves."""
    return training_photos(data, data)


def rank_tiny(
    data: Path, out: Path, run_tasks: rank.RunTasks = rank.one_after_another, progress: Progress = SILENT
) -> rank.Ranking:
    """Three networks in two rungs."""
    contenders = gather_contenders(None, 1, ARCHITECTURES)
    return rank.rank(contenders.entries, photos_of(data), SETTINGS, out, run_tasks, progress, details={"data": "tiny"})


if __name__ == "__main__":
    torch.set_num_threads(1)
    every_step = partial(rank.one_after_another, pace=Pace(save_seconds=0.0))
    rank_tiny(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        every_step,
        Told(lambda step, _, what: print(f"{what}: step {step}", flush=True)),
    )
