"""A made-up accuracy table of the elastic space: what slices are worth is a function of theirs, at each input."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from facenas.accuracy.accuracy_table import (
    SCHEMA,
    AccuracyTable,
    PhotoFacts,
    SupernetFacts,
    fit_figures,
    save_accuracy_table,
)
from facenas.accuracy.additive_model import AdditiveModel, free_numbers, open_choices
from facenas.accuracy.appraisal import JudgedSlice, random_members
from facenas.architecture import Architecture
from facenas.spaces.elastic_space import ElasticSpace, elastic_space
from facenas.units import Size, parse_size

ELASTIC = elastic_space("facenas-elastic")


def random_model(space: ElasticSpace, seed: int) -> AdditiveModel:
    """Values that fall as often as they rise."""
    generator = np.random.default_rng(seed)
    values = {
        name: {str(value): float(generator.normal(0, 0.02)) for value in listed}
        for name, listed in open_choices(space).items()
    }
    return AdditiveModel(0.4, values)


def write_accuracy_table(
    path: Path,
    inputs: Sequence[str],
    figures: Callable[[Architecture, Size], dict[str, float | None]],
    file: str = "made-up.safetensors",
    sha256: str = "0",
) -> Path:
    """The table of some slices with these figures at these inputs, of a supernet `file`."""
    slices = [
        JudgedSlice(str(member), {name: figures(member, parse_size(name)) for name in inputs})
        for member in random_members(ELASTIC, free_numbers(ELASTIC) + 40, seed=1)
    ]
    facts = SupernetFacts(file, sha256, ELASTIC.name, ELASTIC.digest)
    photos = PhotoFacts("made up", "0", 1, {"12-24 px": 200, "48 px and more": 200, "0-6 px": 3})
    made = AccuracyTable(SCHEMA, facts, photos, "own", {}, 1, fit_figures(slices, ELASTIC), tuple(slices))
    save_accuracy_table(made, path)
    return path
