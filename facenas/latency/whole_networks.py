"""Operators' times from whole networks timed end to end, for a runtime that tells no times of layers.

With the counts c of operators in networks and f(o) the work of an operator of one kind (a constant, multiply-accumulates in
blocks of 16 channels and as they are, values that pass),

    latency = sum_o c_o * t_o + offset,    t_o = (w_kind . f(o)) * (1 + d_o),    w, offset >= 0,

in two steps. First w, by non-negative least squares of relative errors, robustly: far fewer unknowns than networks. Then
the deviations d, for which there are fewer networks than unknowns, as a ridge with a prior by which operators that are alike
deviate alike,

    d ~ N(0, s^2 K),    K(o, p) = (exp(-|z_o - z_p|^2 / 2) + [o = p]) / 2,    z: kind, and logarithms of kernel, stride,
                                                                             channels and size,

which has a closed solution (facenas/latency/operator_fit.py has the noise). Its strength s is the one whose predictions of
left-out networks are best, and those predictions are the error of the table. The same operator at another input is another
operator that is alike. A table of another machine, where there is one, is one more kind of work.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facenas.architecture import IMAGE_CHANNELS
from facenas.arrays import BoolArray, Float64Array
from facenas.latency.calibration import FOLDS
from facenas.latency.operator_fit import END_TO_END_NOISE, WholeNetworks
from facenas.operators import Kind, Operator

_STRENGTHS = (0.03, 0.06, 0.12, 0.25, 0.5)
_CHANNEL_BLOCK = 16
_ROBUST_SCALE = 0.05  # relative errors beyond this weigh less
_ROBUST_ROUNDS = 5
_DISTURBED = 1.5
_LEAST_FACTOR, _MOST_FACTOR = 0.3, 3.0


@dataclass(frozen=True, eq=False)
class Recovered:
    """`times_ns` [operators] and their `doubts`, relative standard deviations; `offset_ns` of every network; `held_out_ns`
    [networks]: each latency as the networks of the other folds predict it; `judged` bool [networks]: whether these hold all
    of its operators."""

    times_ns: Float64Array
    doubts: Float64Array
    offset_ns: float
    held_out_ns: Float64Array
    judged: BoolArray
    strength: float


def recover(operators: Sequence[Operator], networks: WholeNetworks, prior_ns: Float64Array | None = None) -> Recovered:
    """The times of `operators` [m] that `networks`, with counts [n, m] of them, took; `prior_ns` [m]: those of another
    machine."""
    work, alike = work_of(operators, prior_ns), _alike(operators)
    fold_of = np.arange(len(networks.latencies_ns)) % FOLDS
    held_out_ns, judged = np.zeros((len(_STRENGTHS), len(fold_of))), np.zeros(len(fold_of), bool)
    for fold in range(min(FOLDS, len(fold_of))):
        out = fold_of == fold
        kept = WholeNetworks(networks.counts[~out], networks.latencies_ns[~out])
        judged[out] = ~networks.counts[out][:, ~kept.counts.any(0)].any(1)
        held_out_ns[:, out] = [
            solved.predict_ns(networks.counts[out]) for solved in _solutions(work, alike, kept, _STRENGTHS)
        ]
    if not judged.any():  # of a handful of networks each is the only one of its kind
        judged[:] = True
    best = int(np.argmin(np.abs(held_out_ns / networks.latencies_ns - 1)[:, judged].mean(1)))
    solved = _solutions(work, alike, networks, (_STRENGTHS[best],))[0]
    return Recovered(solved.times_ns, solved.doubts, solved.offset_ns, held_out_ns[best], judged, _STRENGTHS[best])


def work_of(operators: Sequence[Operator], prior_ns: Float64Array | None) -> Float64Array:
    """[operators, kinds * features], of which an operator has only those of its kind above zero."""
    rows = np.array([_work(operator) for operator in operators], np.float64)
    if prior_ns is not None:
        rows = np.column_stack([rows, prior_ns])
    kinds = [_kind(operator) for operator in operators]
    return np.column_stack([rows * np.array([each == kind for each in kinds])[:, None] for kind in sorted(set(kinds))])


def _kind(operator: Operator) -> str:
    """Kernels that runtimes write apart, or do not have at all."""
    if operator.kind is Kind.CONV and operator.in_channels <= IMAGE_CHANNELS:
        return "image"
    return f"{operator.kind} {operator.kernel_size} {operator.stride}"


def _work(operator: Operator) -> tuple[float, ...]:
    ins, outs = (
        -(-channels // _CHANNEL_BLOCK) * _CHANNEL_BLOCK for channels in (operator.in_channels, operator.out_channels)
    )
    places = operator.out_height_px * operator.out_width_px
    if operator.kind is Kind.CONV:
        blocked = ins * outs * operator.kernel_size**2 * places
    else:
        blocked = outs * operator.kernel_size**2 * places
    return 1.0, blocked, operator.macs, operator.in_values, operator.out_values


def _alike(operators: Sequence[Operator]) -> Float64Array:
    """K, [operators, operators], without the part of each operator's own."""
    places = np.array(
        [
            (
                4.0 * list(Kind).index(operator.kind),
                2 * np.log2(operator.kernel_size),
                2 * operator.stride,
                np.log2(operator.in_channels),
                np.log2(operator.out_channels),
                np.log2(operator.height_px * operator.width_px) / 2,
                operator.add,
            )
            for operator in operators
        ],
        np.float64,
    )
    squares = (places**2).sum(1)
    distances = squares[:, None] + squares - 2 * places @ places.T
    return np.asarray(np.exp(-np.maximum(distances, 0) / 2))


@dataclass(frozen=True, eq=False)
class _Solution:
    times_ns: Float64Array
    doubts: Float64Array
    offset_ns: float

    def predict_ns(self, counts: Float64Array) -> Float64Array:
        return np.asarray(counts @ self.times_ns + self.offset_ns)


def _solutions(
    work: Float64Array, alike: Float64Array, networks: WholeNetworks, strengths: Sequence[float]
) -> list[_Solution]:
    """One for each strength."""
    first_ns, offset_ns = _by_work(work, networks)
    expected_ns = networks.counts @ first_ns + offset_ns
    shares = networks.counts * first_ns / expected_ns[:, None]
    off = networks.latencies_ns / expected_ns - 1
    covariance = (shares @ alike + shares) / 2  # of networks with operators, at strength 1
    between = covariance @ shares.T
    found = []
    for strength in strengths:
        noise = np.full(len(off), END_TO_END_NOISE)
        for _ in range(_ROBUST_ROUNDS):
            rest = off - strength**2 * between @ _solve(strength, between, noise, off)
            noise = END_TO_END_NOISE * np.sqrt(1 + (rest / (_DISTURBED * END_TO_END_NOISE)) ** 2)
        solved = _solve(strength, between, noise, np.column_stack([off, strength**2 * covariance]))
        deviations = strength**2 * covariance.T @ solved[:, 0]
        known = strength**2 * np.einsum("nm,nm->m", covariance, solved[:, 1:])
        doubts = np.sqrt(np.maximum(strength**2 - known, 0))
        times_ns = first_ns * np.clip(1 + deviations, _LEAST_FACTOR, _MOST_FACTOR)
        found.append(_Solution(times_ns, doubts, offset_ns))
    return found


def _solve(strength: float, between: Float64Array, noise: Float64Array, right: Float64Array) -> Float64Array:
    return np.asarray(np.linalg.solve(strength**2 * between + np.diag(noise**2), right))


def _by_work(work: Float64Array, networks: WholeNetworks) -> tuple[Float64Array, float]:
    """Every operator's time by its work alone, and the offset."""
    from scipy.optimize import nnls

    relative = np.column_stack([networks.counts @ work, np.ones(len(networks.latencies_ns))])
    relative /= networks.latencies_ns[:, None]
    scales = np.maximum(relative.max(0), 1e-300)
    weights = np.ones(len(relative))
    for _ in range(_ROBUST_ROUNDS):
        solution = nnls(relative / scales * weights[:, None], weights)[0]
        errors = relative / scales @ solution - 1
        weights = (1 + (errors / _ROBUST_SCALE) ** 2) ** -0.25
    factors = solution / scales
    return work @ factors[:-1], float(factors[-1])
