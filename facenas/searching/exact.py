"""The provable optimum: label-setting dynamic programming with dominance and completion bounds.

A label is a partial backbone: its score and costs so far, at a state. Two rules discard labels without losing the
optimum:

- dominance: another label at the same state has at least the score and at most every limited cost;
- bound: the score so far plus the best completion under any single budget alone (from one backward sweep per budget,
  which is a relaxation, so never too low) does not reach the incumbent, a network already known to fit.

What is left at the end holds the optimum under all budgets at once. The certificate says how many labels that took.
Ties are broken by latency, then FLOPs, then the architecture string.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facenas.architecture import STAGE_COUNT
from facenas.arrays import BoolArray, Float64Array, IndexArray
from facenas.searching.dominance import pareto_front, unbeaten
from facenas.searching.problem import COMPLETE, POSITIONS, START, Problem, State

_SCORE_TOLERANCE = 1e-9
_BEAM_LABELS = 400
_MAX_ENUMERATED_LABELS = 4_000_000


@dataclass(frozen=True, eq=False)
class PartialNetworks:
    """n partial networks at one state: score [n], costs [n, resources], and the indices of the choices [n, depth]."""

    score: Float64Array
    costs: Float64Array
    path: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.score)

    def take(self, index: IndexArray | BoolArray) -> "PartialNetworks":
        """The labels at `index`."""
        return PartialNetworks(self.score[index], self.costs[index], self.path[index])


@dataclass(frozen=True, eq=False)
class Completion:
    """How the score can still grow against one resource alone: `cost` ascending, `score` the best for at most it."""

    cost: Float64Array
    score: Float64Array

    def best(self, available: Float64Array) -> Float64Array:
        """The best completion score with `available` [n] of the resource left; -inf where nothing fits."""
        position = np.searchsorted(self.cost, available + 1e-9, side="right") - 1
        return np.asarray(np.where(position >= 0, self.score[np.maximum(position, 0)], -np.inf))


@dataclass(frozen=True, eq=False)
class Solution:
    """`choices`: indices of stages and end of networks, best first; `bound`: none within budget scores more; `labels` made."""

    choices: tuple[tuple[int, ...], ...]
    bound: float
    labels: int


class ExactSearch:
    """Prepared sweeps over one problem; `solve`, `enumerate_top` and `frontier` read them.

    Raises BudgetError where nothing meets the budgets.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.limits = problem.limits
        self.active = [index for index, limit in enumerate(self.limits) if np.isfinite(limit)]
        self.labels_made = 0
        self._completions: list[dict[State, list[Completion]]] = [{} for _ in range(POSITIONS)]
        self._complete_backwards(0, START)
        if START not in self._completions[0]:
            raise problem.refuse_memory()
        self.least = np.array([completion.cost[0] for completion in self._completions[0][START]])
        if (self.least > self.limits).any():
            raise problem.refuse(self.least)

    def _complete_backwards(self, position: int, state: State) -> None:
        """Fill the completions of `state` and of all states after it; a state without any way to the end gets none."""
        if state in self._completions[position]:
            return
        parts: list[list[tuple[Float64Array, Float64Array]]] = [[] for _ in self.limits]
        for following, (chosen, costs) in self.problem.moves(position, state).items():
            scores = self.problem.scores[position][chosen]
            later = None
            if following != COMPLETE:
                self._complete_backwards(position + 1, following)
                later = self._completions[position + 1].get(following)
                if later is None:
                    continue
            for resource in range(len(self.limits)):
                cost = costs[:, resource]
                if later is None:
                    parts[resource].append((cost, scores))
                    continue
                rest = later[resource]
                here = pareto_front(cost, scores)
                total_cost = (cost[here, None] + rest.cost).ravel()
                total_score = (scores[here, None] + rest.score).ravel()
                keep = pareto_front(total_cost, total_score)
                parts[resource].append((total_cost[keep], total_score[keep]))
        if parts[0]:
            completions = []
            for part in parts:
                cost = np.concatenate([cost for cost, _ in part])
                score = np.concatenate([score for _, score in part])
                keep = pareto_front(cost, score)
                completions.append(Completion(cost[keep], score[keep]))
            self._completions[position][state] = completions

    def _bound(self, position: int, state: State, score: Float64Array, costs: Float64Array) -> Float64Array:
        """Upper bound [n] of the final score of labels that stand at `state` before `position`; -inf if infeasible."""
        if state == COMPLETE:
            fits = (costs[:, self.active] <= self.limits[self.active] + 1e-9).all(axis=1)
            return np.asarray(np.where(fits, score, -np.inf))
        completions = self._completions[position][state]
        bound = score + completions[0].score[-1]
        for resource in self.active:
            rest = completions[resource].best(self.limits[resource] - costs[:, resource])
            bound = np.minimum(bound, score + rest)
        return np.asarray(bound)

    def _expand(
        self, position: int, state: State, labels: PartialNetworks, least_score: float
    ) -> Iterator[tuple[State, PartialNetworks]]:
        """All continuations of `labels` by one stage whose bound reaches `least_score`, grouped by next state."""
        for following, (chosen, costs) in self.problem.moves(position, state).items():
            if following != COMPLETE and following not in self._completions[position + 1]:
                continue
            score = (labels.score[:, None] + self.problem.scores[position][chosen]).ravel()
            total = (labels.costs[:, None] + costs).reshape(-1, len(self.limits))
            if following != COMPLETE or len(chosen) > 1:  # the only end there is makes no other network
                self.labels_made += len(score)
            keep = np.flatnonzero(self._bound(position + 1, following, score, total) >= least_score)
            if keep.size:
                before, choice = np.divmod(keep, len(chosen))
                path = np.concatenate([labels.path[before], chosen[choice, None].astype(np.int32)], axis=1)
                yield following, PartialNetworks(score[keep], total[keep], path)

    def _sweep(self, least_score: float, dominance: list[int] | None, beam: int | None = None) -> PartialNetworks:
        """All complete labels of one forward sweep; `dominance`: the costs it respects, None for no dominance."""
        start = PartialNetworks(np.zeros(1), np.zeros((1, len(self.limits))), np.zeros((1, 0), np.int32))
        states: dict[State, list[PartialNetworks]] = {START: [start]}
        for position in range(POSITIONS):
            following: dict[State, list[PartialNetworks]] = {}
            for state, parts in sorted(states.items()):
                labels = _join(parts)
                if dominance is not None:
                    labels = labels.take(nondominated(labels, dominance, self.problem.tie_breakers))
                if beam is not None and len(labels) > beam:
                    bound = self._bound(position, state, labels.score, labels.costs)
                    labels = labels.take(np.argsort(-bound, kind="stable")[:beam])
                for next_state, made in self._expand(position, state, labels, least_score):
                    following.setdefault(next_state, []).append(made)
                if dominance is None and self.labels_made > _MAX_ENUMERATED_LABELS:
                    return start.take(np.zeros(0, np.intp))
            states = following
        if COMPLETE not in states:
            return start.take(np.zeros(0, np.intp))
        labels = _join(states[COMPLETE])
        return labels if dominance is None else labels.take(nondominated(labels, dominance, self.problem.tie_breakers))

    def solve(self) -> Solution:
        """The certified optimum. Raises BudgetError where no network meets all budgets together."""
        incumbent = self._sweep(-1e300, self.active, beam=_BEAM_LABELS)
        least_score = float(incumbent.score.max()) - _SCORE_TOLERANCE if len(incumbent) else -1e300
        best = self._sweep(least_score, self.active)
        if not len(best):
            raise self.problem.refuse(self.least)
        order = self._order(best)
        choice = tuple(int(index) for index in best.path[order[0]])
        return Solution((choice,), float(best.score[order[0]]), self.labels_made)

    def _order(self, labels: PartialNetworks) -> IndexArray:
        """Best first: score (equal within the tolerance), latency, FLOPs, string."""
        rounded = np.round(labels.score / _SCORE_TOLERANCE)
        keys: list[npt.NDArray[Any]] = [labels.path[:, index] for index in reversed(range(labels.path.shape[1]))]
        keys += [*(labels.costs[:, index] for index in reversed(self.problem.tie_breakers)), -rounded]
        return np.lexsort(keys)

    def enumerate_top(self, count: int, solution: Solution) -> Solution:
        """The `count` best networks that differ in more than kernel sizes, neck and head, by enumeration below the optimum."""
        if count <= 1:
            return solution
        margin, chosen = 0.002, list(solution.choices)
        while len(chosen) < count and margin < 20:
            before = self.labels_made
            self.labels_made = 0
            labels = self._sweep(solution.bound - margin, None)
            exhausted = self.labels_made > _MAX_ENUMERATED_LABELS
            self.labels_made += before
            if exhausted:
                break
            seen: dict[str, tuple[int, ...]] = {}
            for row in self._order(labels):
                choice = tuple(int(index) for index in labels.path[row])
                seen.setdefault(without_kernels(self.problem, choice), choice)
                if len(seen) == count:
                    break
            chosen = list(seen.values())
            margin *= 2
        return Solution(tuple(chosen[:count]), solution.bound, self.labels_made)

    def frontier(self, resource: int) -> PartialNetworks:
        """The whole front of score against one resource (its own limit lifted, the others kept), cheapest first."""
        limit = self.limits[resource]
        active = sorted({*self.active, resource})
        try:
            self.limits[resource] = np.inf
            labels = self._sweep(-1e300, active)
        finally:
            self.limits[resource] = limit
        front = pareto_front(labels.costs[:, resource], labels.score)
        return labels.take(front)


def without_kernels(problem: Problem, choice: Sequence[int]) -> str:
    """What stays of a network when kernel sizes, neck and head are forgotten."""
    stages = [problem.stages[position][index] for position, index in enumerate(choice[:STAGE_COUNT])]
    return ";".join(
        f"{s.family} {s.in_channels} {s.out_channels} {s.bottleneck_channels} {s.expansion} {s.sublayers}"
        for s in stages
    )


def _join(parts: list[PartialNetworks]) -> PartialNetworks:
    return PartialNetworks(
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.costs for part in parts]),
        np.concatenate([part.path for part in parts]),
    )


def nondominated(labels: PartialNetworks, resources: list[int], tie_breakers: list[int]) -> IndexArray:
    """Indices of the labels that no other beats: none with at least the score and at most every cost of `resources`.

    A label of equal score beats another only if it is also before it in the order that breaks ties: the
    costs of `tie_breakers`, then the path. Else a tie could be lost to a label that is cheaper in what breaks none.
    """
    if not len(labels):
        return np.zeros(0, np.intp)
    costs = labels.costs[:, resources]
    paths = [labels.path[:, index] for index in reversed(range(labels.path.shape[1]))]
    ties = [labels.costs[:, index] for index in reversed(tie_breakers)]
    keys: list[npt.NDArray[Any]] = [*paths, *ties, -labels.score]
    order = np.lexsort(keys)
    return order[unbeaten(costs[order])]
