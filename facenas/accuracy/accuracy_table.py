"""The accuracy table of a supernet, the latency table's twin: what slices of it are worth on labelled photos, and two
models that say it of slices that were not judged.

It names what it is of: the supernet's hash, the photos, the protocol, the photos of the norms. One slice a line, so that two
tables can be compared by `diff`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facenas.accuracy.additive_model import AdditiveModel, fit_additive, free_numbers
from facenas.accuracy.appraisal import JudgedSlice
from facenas.accuracy.left_out import LeftOut, judge_model
from facenas.accuracy.stage_weights import StageWeights, fit_stage_weights
from facenas.architecture import STAGE_COUNT, parse_architecture
from facenas.arrays import Float64Array
from facenas.cost import detector_costs
from facenas.data.face_sizes import OCTAVE_NAMES
from facenas.errors import InputError
from facenas.files import read_json, write_atomic
from facenas.shown import Rows, Shown
from facenas.spaces.elastic_space import ElasticSpace
from facenas.typed_json import read_as
from facenas.units import DEFAULT_INPUT, Size, parse_size

SCHEMA = 1
MIN_FACES = 50
_MAIN_FIGURES = ("mean", "all")


@dataclass(frozen=True)
class SupernetFacts:
    """Which supernet: its file's name and SHA-256, its space and the SHA-256 of that space's choices."""

    file: str
    sha256: str
    space: str
    space_digest: str


@dataclass(frozen=True)
class PhotoFacts:
    """Which photos: the set's name, the SHA-256 of their names and true faces, how many, and the faces by octave."""

    name: str
    sha256: str
    photos: int
    faces: Mapping[str, int]


@dataclass(frozen=True)
class Figure:
    """One average precision over all slices (mean and standard deviation), what the stages and what the choices are
    worth for it, and how well each says it of slices left out."""

    average: float
    deviation: float
    stage_weights: StageWeights
    stage_weights_left_out: LeftOut
    choices: AdditiveModel
    choices_left_out: LeftOut


@dataclass(frozen=True)
class AccuracyFacts:
    """What must be said of a predicted average precision: which `figure` of slices of which supernet on which photos and at
    which `input`, in words. Nine of ten are within `error_90`; `tau`: Kendall's, of left-out slices, overall and at equal
    FLOPs."""

    supernet: str
    sha256: str
    photos: str
    figure: str
    input: str
    slices: int
    error_90: float
    tau: float
    tau_equal_flops: float

    @property
    def words(self) -> str:
        """All of it on one line, for a person."""
        return (
            f"AP {self.figure} of slices of {self.supernet} on {self.photos} at {self.input}, predicted from {self.slices} that"
            f" were judged: nine of ten within {self.error_90:.3f}, Kendall tau {self.tau:.2f}, at equal FLOPs"
            f" {self.tau_equal_flops:.2f}"
        )


@dataclass(frozen=True, repr=False)
class AccuracyTable(Shown):
    """`figures`: by input, then by name (`easy`, `mean`, `12-24 px`); those without faces are absent. `norms`: what the
    slices' norms were estimated on."""

    schema: int
    supernet: SupernetFacts
    photos: PhotoFacts
    protocol: str
    norms: Mapping[str, Any]
    seed: int
    figures: Mapping[str, Mapping[str, Figure]]
    slices: tuple[JudgedSlice, ...]

    def judged_input(self, input_size: Size) -> str:
        """Of the inputs judged at the one of the largest long side that is not longer, else the smallest."""
        sizes = sorted(map(parse_size, self.figures), key=lambda size: size.long_side_px)
        fitting = [size for size in sizes if size.long_side_px <= input_size.long_side_px]
        return str((fitting or sizes[:1])[-1])

    def main_figure(self, input_size: Size) -> tuple[str, Figure]:
        """The name and the models of the figure that stands for a network: the mean of the settings, else `all`."""
        figures = self.figures[self.judged_input(input_size)]
        name = next(name for name in (*_MAIN_FIGURES, *figures) if name in figures)
        return name, figures[name]

    def require_space(self, space: ElasticSpace) -> None:
        """Raises InputError where the supernet was of other choices."""
        if self.supernet.space_digest != space.digest:
            raise InputError(
                f"the accuracy table is of a supernet of space '{self.supernet.space}', not of '{space.name}' as it is "
                "now; appraise a supernet of this space"
            )

    def learned_weights(self, input_size: Size, face_shares: Sequence[float] | None = None) -> tuple[float, ...]:
        """DDSAR's weights of the five stages; `face_shares`: of the faces in each octave (default: those judged on).

            weight_i = sum over octaves of share * gain * weight_i, their sum 1

        An octave in which fewer than MIN_FACES faces were judged says nothing. Raises InputError where no other has a share.
        """
        if face_shares is None:
            return self.main_figure(input_size)[1].stage_weights.weights
        figures = self.figures[self.judged_input(input_size)]
        worth = np.zeros(STAGE_COUNT)
        for octave, share in zip(OCTAVE_NAMES, face_shares, strict=True):
            if octave in figures and self.photos.faces.get(octave, 0) >= MIN_FACES:
                learnt = figures[octave].stage_weights
                worth += share * learnt.gain * np.array(learnt.weights)
        if not worth.sum():
            judged = ", ".join(octave for octave in OCTAVE_NAMES if self.photos.faces.get(octave, 0) >= MIN_FACES)
            raise InputError(f"no face given is of a size that the accuracy table knows ({judged})")
        return tuple(np.round(worth / worth.sum(), 4).tolist())

    def line(self) -> str:
        """What it is of."""
        return f"{len(self.slices)} slices of {self.supernet.file} on {self.photos.photos} photos of {self.photos.name}"

    def shown(self) -> tuple[Rows, ...]:
        """A table an input: for each figure the weights, and how both models do on slices left out."""
        columns = ("figure", "AP", "stage weights", "their error", "tau", "choices' error", "tau", "at equal FLOPs")
        return tuple(
            Rows(f"{self.line()}, {name}", columns, tuple(_row(figure, of) for figure, of in figures.items()))
            for name, figures in self.figures.items()
        )

    def to_json(self) -> dict[str, Any]:
        """All but the slices."""
        values = asdict(self)
        return values | {"slices": len(self.slices)}


def _row(name: str, figure: Figure) -> tuple[str, ...]:
    stages, choices = figure.stage_weights_left_out, figure.choices_left_out
    return (
        name,
        f"{figure.average:.3f} ± {figure.deviation:.3f}",
        " ".join(f"{weight:.2f}" for weight in figure.stage_weights.weights),
        f"{stages.error:.3f}",
        f"{stages.all.tau:.2f}",
        f"{choices.error:.3f}",
        f"{choices.all.tau:.2f}",
        f"{choices.equal_flops.tau:.2f} ({choices.equal_flops.low:.2f} to {choices.equal_flops.high:.2f})",
    )


def fit_figures(slices: Sequence[JudgedSlice], space: ElasticSpace) -> dict[str, dict[str, Figure]]:
    """The models of every figure that all slices have, by input and name.

    Raises InputError where there are fewer slices than the additive model has numbers, with the error that it would have.
    """
    detectors = [parse_architecture(each.architecture) for each in slices]
    flops = np.array([detector_costs(detector, DEFAULT_INPUT).flops for detector in detectors], float)
    additive = partial(fit_additive, space=space)

    def fit(precision: Float64Array) -> Figure:
        return Figure(
            round(float(precision.mean()), 5),
            round(float(precision.std()), 5),
            fit_stage_weights(detectors, precision),
            judge_model(fit_stage_weights, detectors, precision, flops),
            additive(detectors, precision),
            judge_model(additive, detectors, precision, flops),
        )

    figures: dict[str, dict[str, Figure]] = {}
    for size, names in slices[0].precision.items():
        columns = {name: [each.precision[size][name] for each in slices] for name in names}
        known = {name: np.array(column, float) for name, column in columns.items() if None not in column}
        if len(slices) < free_numbers(space):
            raise _too_few(fit(next(iter(known.values()))), len(slices), space, next(iter(known)))
        figures[size] = {name: fit(column) for name, column in known.items()}
    return figures


def _too_few(figure: Figure, count: int, space: ElasticSpace, name: str) -> InputError:
    stages, choices = figure.stage_weights_left_out, figure.choices_left_out
    return InputError(
        f"{count} slices are too few for the {free_numbers(space)} numbers of space '{space.name}': AP {name} of slices"
        f" left out is off by {choices.error:.3f} (by stage weights {stages.error:.3f}) where slices differ by"
        f" {figure.deviation:.3f}; judge more with --slices, --resume keeps these"
    )


def table_text(table: AccuracyTable) -> str:
    """The table as its file holds it."""
    head = asdict(table)
    lines = ["  " + json.dumps(each, allow_nan=False) for each in head.pop("slices")]
    start = json.dumps(head, indent=1, allow_nan=False).removesuffix("\n}")
    return f'{start},\n "slices": [\n' + ",\n".join(lines) + "\n ]\n}\n"


def save_accuracy_table(table: AccuracyTable, path: Path) -> None:
    """Write the table atomically, one slice a line."""
    write_atomic(path, table_text(table))


def load_accuracy_table(path: Path) -> AccuracyTable:
    """Raises InputError for another file or schema."""
    value = read_json(path, "accuracy table")
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        schema = value.get("schema") if isinstance(value, dict) else None
        raise InputError(f"{path} is of schema {schema}, not {SCHEMA}; make it again with `facenas appraise`")
    return read_as(AccuracyTable, value, str(path))
