"""By what a search ranks: DDSAR, or a simpler measure to judge DDSAR's worth against, with the same solver.

Every ranking is a sum over stages and the end (neck and head), which is what the solver needs. DDSAR does not see ends;
FLOPs and parameters are those of the backbone, too: more of them counts as better, within the budgets. So of the ends
that a space leaves open the one that breaks ties is chosen: the lowest latency. `random` gives every choice a value of
its own, drawn evenly from 0..1 with a seed, which ranks networks by nothing that they are. `accuracy` is the average
precision that the additive model of an accuracy table predicts, ends included.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from facenas.accuracy.additive_model import AdditiveModel
from facenas.architecture import STAGE_COUNT, NeckAndHead, Stage
from facenas.arrays import Float64Array
from facenas.cost import count_flops, count_parameters
from facenas.errors import InputError
from facenas.graph import Layer
from facenas.scoring.ddsar import ScoreSettings, sar_score


class Objective(StrEnum):
    """What is maximised: DDSAR-Score, GFLOPs, millions of parameters, a random value from 0 to 5 (to 6 with open ends), or
    the average precision that an accuracy table predicts."""

    DDSAR = "ddsar"
    FLOPS = "flops"
    PARAMS = "params"
    RANDOM = "random"
    ACCURACY = "accuracy"


def stage_values(
    ranking: Objective,
    settings: ScoreSettings,
    position: int,
    stages: Sequence[Stage],
    layers: Sequence[Sequence[Layer]],
    seed: int,
    accuracy: AdditiveModel | None = None,
) -> Float64Array:
    """What each of n `stages` at `position`, with their layers, adds to the ranking's value; float64 [n]."""
    match ranking:
        case Objective.DDSAR:
            side_px = settings.resolution_px >> position
            sar = np.array([sar_score(stage, side_px, settings.alpha) for stage in stages])
            return np.asarray(settings.stage_weights[position] * sar)
        case Objective.FLOPS:
            return np.array([count_flops(stage_layers) / 1e9 for stage_layers in layers])
        case Objective.PARAMS:
            return np.array([count_parameters(stage_layers) / 1e6 for stage_layers in layers])
        case Objective.RANDOM:
            return np.random.default_rng((seed, position)).random(len(stages))
        case Objective.ACCURACY:
            model = _required(accuracy)
            return np.array([model.of_stage(position, stage) for stage in stages])


def _required(accuracy: AdditiveModel | None) -> AdditiveModel:
    if accuracy is None:
        raise InputError("--rank-by accuracy needs an accuracy table of the space; give one with --accuracy")
    return accuracy


def end_values(
    ranking: Objective, ends: Sequence[NeckAndHead], seed: int | None, accuracy: AdditiveModel | None = None
) -> Float64Array:
    """What each of n necks and heads adds to the ranking's value; float64 [n]. `seed`: None where they are no choice."""
    if ranking is Objective.RANDOM and seed is not None:
        return np.random.default_rng((seed, STAGE_COUNT)).random(len(ends))
    if ranking is Objective.ACCURACY:
        model = _required(accuracy)
        return np.array([model.of_end(end) for end in ends])
    return np.zeros(len(ends))
