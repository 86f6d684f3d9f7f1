"""How well a model of AP does on slices that it was not fitted on: its error, and whether it orders them.

    tau = (pairs in the right order - pairs in the wrong order) / pairs that differ in both     (Kendall's)

over all pairs, and over those of equal cost (FLOPs within 5 %), among which a search has to choose. The 90 % intervals are
of slices drawn again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from facenas.architecture import Architecture
from facenas.arrays import BoolArray, Float64Array

Model = Callable[[Architecture], float]
EQUAL_COST = 1.05
_FOLDS = 10
_DRAWS = 1000
_DIGITS = 4


@dataclass(frozen=True)
class Tau:
    """Kendall's tau over `pairs` pairs with its 90 % interval; zeros where there is no pair."""

    tau: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True)
class LeftOut:
    """`error`: root of the mean squared error of AP; `error_90`: nine of ten are within it."""

    error: float
    error_90: float
    all: Tau
    equal_flops: Tau


def judge_model(
    fit: Callable[[Sequence[Architecture], Float64Array], Model],
    detectors: Sequence[Architecture],
    precision: Float64Array,
    flops: Float64Array,
) -> LeftOut:
    """Of models fitted on nine tenths of the slices, what they say of the others; AP and FLOPs by slice [detectors]."""
    said = left_out(fit, detectors, precision)
    errors = np.abs(said - precision)
    everything = np.ones((len(detectors), len(detectors)), bool)
    equal = np.abs(np.log(flops[:, None] / flops)) <= np.log(EQUAL_COST)
    return LeftOut(
        round(float(np.sqrt(np.square(errors).mean())), _DIGITS),
        round(float(np.quantile(errors, 0.9)), _DIGITS),
        tau_with_interval(said, precision, everything),
        tau_with_interval(said, precision, equal),
    )


def left_out(
    fit: Callable[[Sequence[Architecture], Float64Array], Model],
    detectors: Sequence[Architecture],
    precision: Float64Array,
) -> Float64Array:
    """[detectors]: what a model says of each that was fitted on the nine tenths of the slices without it."""
    folds = np.random.default_rng(0).permutation(len(detectors)) % _FOLDS
    said = np.empty(len(detectors))
    for fold in np.unique(folds):
        inside = np.flatnonzero(folds != fold).tolist()
        model = fit([detectors[index] for index in inside], precision[inside])
        for index in np.flatnonzero(folds == fold).tolist():
            said[index] = model(detectors[index])
    return said


def tau_with_interval(one: Float64Array, other: Float64Array, pairs: BoolArray) -> Tau:
    """Kendall's tau of two orders [n] over the pairs [n, n] that count, with its interval."""
    signs = np.triu(np.sign(one[:, None] - one) * np.sign(other[:, None] - other) * pairs, 1)
    differ = (signs != 0).astype(float)
    if not differ.any():
        return Tau(0.0, 0.0, 0.0, 0)
    # Drawn again, a slice may come several times: its pairs then count as often.
    counts = np.random.default_rng(0).multinomial(len(one), np.full(len(one), 1 / len(one)), _DRAWS).astype(float)
    agreeing, counted = (((counts @ each) * counts).sum(axis=1) for each in (signs, differ))
    low, high = np.quantile(agreeing[counted > 0] / counted[counted > 0], (0.05, 0.95))
    tau = signs.sum() / differ.sum()
    return Tau(round(float(tau), 3), round(float(low), 3), round(float(high), 3), int(differ.sum()))
