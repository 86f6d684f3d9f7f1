"""What an accuracy table says of networks at an input: the additive model, and what must be said beside its figures.

Between two inputs at which slices were judged, AP is linear in the logarithm of the long side, which faces are scaled by;
nothing is extrapolated. For the faces of a user it is the mean of the octaves of face size, weighted by their shares:

    AP = sum over octaves of share * AP(octave) / sum of these shares
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, log

from facenas.accuracy.accuracy_table import MIN_FACES, AccuracyFacts, AccuracyTable
from facenas.accuracy.additive_model import AdditiveModel, mixed
from facenas.data.face_sizes import OCTAVE_NAMES
from facenas.errors import InputError
from facenas.units import Size, parse_size

BY_FACES = "of the faces given"


@dataclass(frozen=True)
class PredictedAP:
    """`model` gives the AP of a network, `facts` what must be said of it."""

    model: AdditiveModel
    facts: AccuracyFacts


def judged_long_sides_px(table: AccuracyTable) -> tuple[int, int]:
    """The least and the largest long side of which the table tells."""
    sides_px = [parse_size(name).long_side_px for name in table.figures]
    return min(sides_px), max(sides_px)


def predicted_ap(table: AccuracyTable, input_size: Size, face_shares: Sequence[float] | None = None) -> PredictedAP:
    """The model at an input, of the table's main figure, or of faces with these shares in the octaves.

    Raises InputError for an input beyond those judged, and where no octave with a share was judged on enough faces.
    """
    name = BY_FACES if face_shares is not None else table.main_figure(input_size)[0]
    shares = {name: 1.0} if face_shares is None else _known_shares(table, face_shares)
    inputs = judged_inputs(table, input_size)
    weighted = [
        (weight * share, table.figures[judged][figure]) for judged, weight in inputs for figure, share in shares.items()
    ]
    judged = " and ".join(each for each, _ in inputs)
    left_out = [(weight, figure.choices_left_out) for weight, figure in weighted]
    facts = AccuracyFacts(
        table.supernet.file,
        table.supernet.sha256,
        table.photos.name,
        name,
        judged if judged == str(input_size) else f"{input_size} (judged at {judged})",
        len(table.slices),
        round(fsum(weight * known.error_90 for weight, known in left_out), 4),
        min(known.all.tau for _, known in left_out),
        min(known.equal_flops.tau for _, known in left_out),
    )
    return PredictedAP(mixed([(weight, figure.choices) for weight, figure in weighted]), facts)


def judged_inputs(table: AccuracyTable, input_size: Size) -> list[tuple[str, float]]:
    """The inputs judged at that an input lies between, by their long sides, with their weights. Raises InputError for an
    input beyond them."""
    sizes = sorted(map(parse_size, table.figures), key=lambda size: size.long_side_px)
    side_px = input_size.long_side_px
    below = [size for size in sizes if size.long_side_px <= side_px]
    above = [size for size in sizes if size.long_side_px >= side_px]
    if not below or not above:
        raise InputError(
            f"the accuracy table knows inputs with a long side of {sizes[0].long_side_px} to {sizes[-1].long_side_px} px,"
            f" not {input_size}; appraise the supernet at that one, too: facenas appraise --input {input_size}"
        )
    low, high = below[-1], above[0]
    if low.long_side_px == high.long_side_px:
        return [(str(low), 1.0)]
    weight = log(side_px / low.long_side_px) / log(high.long_side_px / low.long_side_px)
    return [(str(low), 1 - weight), (str(high), weight)]


def _known_shares(table: AccuracyTable, face_shares: Sequence[float]) -> dict[str, float]:
    """The shares of the octaves that were judged on enough faces, their sum 1."""
    shares = {
        octave: share
        for octave, share in zip(OCTAVE_NAMES, face_shares, strict=True)
        if share
        and table.photos.faces.get(octave, 0) >= MIN_FACES
        and all(octave in each for each in table.figures.values())
    }
    if not shares:
        raise InputError("no face given is of a size that the accuracy table knows; leave --faces out")
    return {octave: share / fsum(shares.values()) for octave, share in shares.items()}
