"""How many images a second does a training step take, forward, backward and update, on this machine?

    python benchmarks/train_step.py [--arch damofd-0.5g] [--threads 1 --threads 2] [--steps 6]

As the trainer does it (channels_last, bfloat16 where it is faster), without the making of samples, which other threads
do meanwhile; how many of those one thread makes a second stands below. Exit code 1 where a DamoFD-0.5G-sized network does
fewer than 30 images of 320x320 a second.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from script import run_script

from facenas.architecture import Architecture, resolve_architecture
from facenas.cli.output import print_table
from facenas.data.annotations import Dataset
from facenas.data.labels import Labels
from facenas.data.source import open_dataset
from facenas.data.synthetic import write_synthetic_set
from facenas.training.anchor_targets import make_targets, stack_targets
from facenas.training.loop import Trainer
from facenas.training.recipe import Recipe
from facenas.training.samples import Batch, PhotoCache, make_batch
from facenas.units import Size

BAR_IMAGES_PER_S = 30
BATCH = 16
NOTHING = Dataset("random pixels", ())


def random_batch(size_px: int, count: int) -> Batch:
    """Random pixels with eight faces each."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (count, size_px, size_px, 3), dtype=np.uint8)
    targets = []
    for _ in images:
        corner, side = generator.uniform(0, size_px * 0.8, (8, 2)), generator.uniform(6, 60, (8, 1))
        boxes = np.concatenate([corner, np.minimum(corner + side, size_px)], axis=1).astype(np.float32)
        targets.append(make_targets(Labels(boxes, np.zeros((8, 5, 3), np.float32), np.zeros(8, bool)), size_px))
    return Batch(images, stack_targets(targets), (0,) * count)


def make_step(detector: Architecture, size_px: int) -> Callable[[], object]:
    """One optimiser step of a trainer on the same batch again and again."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = Recipe(size_px=size_px, batch_size=BATCH)
        trainer = Trainer(detector, Size(640, 480), recipe, Path(folder), NOTHING.name)
    batch = random_batch(size_px, BATCH)
    return lambda: trainer._train_step(batch, 1000, NOTHING)


def samples_per_s(count: int = 40 * BATCH) -> float:
    """Crops with their targets that one thread makes a second of processor time from decoded photos of 640x480."""
    recipe, cache = Recipe(batch_size=BATCH), PhotoCache(1 << 30)
    with tempfile.TemporaryDirectory() as folder:
        write_synthetic_set(Path(folder), 64)
        dataset = open_dataset(Path(folder), strict=False)
        for step in range(64 // BATCH):  # decodes every photo
            make_batch(dataset, recipe, step, cache)
        start = time.process_time()
        for step in range(count // BATCH):
            make_batch(dataset, recipe, step, cache)
        return count / (time.process_time() - start)


def workloads(quick: bool) -> Mapping[str, Callable[[], object]]:
    """What `facenas bench` times."""
    sizes = (320,) if quick else (320, 640)
    detector = resolve_architecture("damofd-0.5g")
    return {f"train step of 16 images, {size} px": make_step(detector, size) for size in sizes}


def images_per_s(step: Callable[[], object], steps: int) -> float:
    """By the fastest of some steps, after one to warm up."""
    step()
    durations = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        durations.append(time.perf_counter() - start)
    return BATCH / min(durations)


def main(
    arch: Annotated[str, typer.Option(help="block string, file holding one, or published name")] = "damofd-0.5g",
    threads: Annotated[list[int] | None, typer.Option(help="threads of the arithmetic (default: 1 and 2)")] = None,
    steps: Annotated[int, typer.Option(help="steps timed, the fastest counts")] = 6,
) -> None:
    """Measure and compare with the bar."""
    detector, rows, best = resolve_architecture(arch), [], 0.0
    for size_px in (320, 640):
        step = make_step(detector, size_px)
        for count in threads or [1, 2]:
            torch.set_num_threads(count)
            speed = images_per_s(step, steps)
            best = max(best, speed if size_px == 320 else 0.0)
            rows.append((f"{size_px} px", str(count), f"{speed:.1f}"))
    print_table(arch, ("images", "threads", "images a second"), rows)
    print(f"samples of 256 px made by one thread: {samples_per_s():.0f} a second")
    sys.exit(best < BAR_IMAGES_PER_S)


if __name__ == "__main__":
    run_script(main)
