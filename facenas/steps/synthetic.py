"""A synthetic set to train and to verify on, for whoever has no photos yet, and the recipe that suits it."""

from dataclasses import replace
from pathlib import Path

from facenas.data.synthetic import write_synthetic_set
from facenas.progress import Progress
from facenas.training.recipe import Recipe

TRAIN_PHOTOS = 240
VAL_PHOTOS = 100  # of fewer, int8's drop of average precision can hardly be told from chance
# Small crops of the synthetic photos teach a usable detector in about two minutes on one core.
SYNTHETIC_RECIPE = Recipe(epochs=90, size_px=128, crop_scales=(0.2, 0.27, 0.4, 0.6))


def recipe_of(data: Path | None, epochs: int | None, seed: int) -> Recipe:
    """How `run` trains on the photos of `data`, or on synthetic ones; `epochs` None: as the recipe has it."""
    recipe = SYNTHETIC_RECIPE if data is None else Recipe()
    return replace(recipe, epochs=recipe.epochs if epochs is None else epochs, seed=seed)


def write_synthetic_photos(folder: Path, progress: Progress) -> None:
    """A set to train on in `folder/train`, one to verify on in `folder/val`."""
    for part, count, seed in (("train", TRAIN_PHOTOS, 0), ("val", VAL_PHOTOS, 1)):
        write_synthetic_set(folder / part, count, seed, progress=progress)
