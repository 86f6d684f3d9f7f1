"""What a search gives back: candidates with their costs, the certificate, the frontier; equal inputs give equal bytes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import fsum
from typing import Any

import numpy as np

from facenas.architecture import Architecture
from facenas.arrays import Float64Array
from facenas.cost import FLOPS, LAYERS, MEMORY, PARAMS, RELEASED_FLOPS, detector_costs, latency_cost
from facenas.errors import InputError
from facenas.graph import inventory
from facenas.latency.provenance import TableFacts
from facenas.scoring.ddsar import ScoreSettings, ddsar_score, sar_scores
from facenas.scoring.released import released_flops
from facenas.searching.exact import ExactSearch, PartialNetworks
from facenas.searching.objective import Objective
from facenas.searching.problem import Problem

FRONTIER_POINTS = 60
MEDIAN_SAMPLE = 300


@dataclass(frozen=True)
class Candidate:
    """A detector and what it costs; `latency_ms` by target, predicted.

    `flops` and `params` are the whole detector's at the input size, `released_flops` the backbone's as the release
    counts them. Filled where they were asked for: `ranked`, the value of another ranking than DDSAR (which was
    maximised), `reranked`, that of a measure that put the best in order, and what confirmed it by target: `measured_ms`,
    or `estimated_ms` where only the vendor's compiler tells it.
    """

    architecture: str
    ddsar: float
    latency_ms: Mapping[str, float]
    flops: int
    params: int
    layers: int
    peak_memory_bytes: int
    released_flops: int | None = None
    ranked: Mapping[str, float] = field(default_factory=dict)
    reranked: Mapping[str, float] = field(default_factory=dict)
    measured_ms: Mapping[str, float] = field(default_factory=dict)
    estimated_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def found_ms(self) -> Mapping[str, float]:
        """The measurements and estimates, by target."""
        return {**self.measured_ms, **self.estimated_ms}

    @property
    def costs(self) -> dict[str, float]:
        """What budgets can limit, by the key of the cost."""
        costs = {latency_cost(target).key: value for target, value in self.latency_ms.items()}
        counted = {FLOPS: self.flops, PARAMS: self.params, LAYERS: self.layers, MEMORY: self.peak_memory_bytes}
        counted |= {RELEASED_FLOPS: self.released_flops or 0}
        return costs | {cost.key: float(value) for cost, value in counted.items()}

    def to_json(self) -> dict[str, Any]:
        """All fields but the empty ones."""
        return {key: value for key, value in asdict(self).items() if value != {} or key == "latency_ms"}


@dataclass(frozen=True)
class Certificate:
    """`optimal`: the chosen candidate has the best value of the ranking; `bound`: no network of the space within the
    budgets has more, None where that is not known; `labels`: networks, partial ones among them, that were formed.
    """

    optimal: bool
    bound: float | None
    space_size: int
    labels: int


@dataclass(frozen=True)
class CostRange:
    """Least, median (of a seeded sample) and largest (of that sample) cost in the space, and the budget."""

    name: str
    least: float
    median: float
    largest: float
    limit: float | None


@dataclass(frozen=True)
class SearchResult:
    """The best candidate first in `top`. `seed`: of the evolution or a random ranking, else None.

    `confirmed`: the candidates were measured (or estimated), and those that met their budgets come first; `tightened_ms`: what
    latencies, by target, they were searched for where no candidate of the budgets themselves met them. `tables`: what must
    be said of the table behind each target's latencies; `percentiles`: of the runs, by target, that latencies and budget
    are of where that is not the 20th.
    """

    space: str
    input: str
    score: ScoreSettings
    budgets: Mapping[str, float]
    provenance: Mapping[str, str]
    top: tuple[Candidate, ...]
    certificate: Certificate
    frontier: tuple[Candidate, ...]
    ranges: tuple[CostRange, ...]
    algorithm: str = "exact"
    ranked_by: str = "ddsar"
    seed: int | None = None
    confirmed: bool = False
    tightened_ms: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, TableFacts] = field(default_factory=dict)
    percentiles: Mapping[str, int] = field(default_factory=dict)

    @property
    def best(self) -> Candidate:
        """The one to take."""
        return self.top[0]

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        return {
            **self.best.to_json(),
            "certificate": asdict(self.certificate),
            "algorithm": self.algorithm,
            "ranked_by": self.ranked_by,
            "seed": self.seed,
            "confirmed": self.confirmed,
            "tightened_ms": dict(self.tightened_ms),
            "space": self.space,
            "input": self.input,
            "score": asdict(self.score),
            "budgets": dict(self.budgets),
            "percentiles": dict(self.percentiles),
            "provenance": dict(self.provenance),
            "tables": {name: asdict(facts) for name, facts in self.tables.items()},
            "ranges": [asdict(entry) for entry in self.ranges],
            "top": [candidate.to_json() for candidate in self.top],
            "frontier": [candidate.to_json() for candidate in self.frontier],
        }


def candidate_of(problem: Problem, detector: Architecture) -> Candidate:
    """A detector with its score and costs, each computed from the whole network (not from the sweep's sums)."""
    costs = detector_costs(detector, problem.input_size)
    operators = inventory(detector, problem.input_size)
    sar = sar_scores(detector.backbone, problem.settings)
    return Candidate(
        str(detector),
        round(ddsar_score(sar, problem.settings.stage_weights), 9),
        {
            name: round(model.constant_ms + fsum(model.operator_ms(operator) for operator in operators), 6)
            for name, model in problem.latency_models.items()
        },
        costs.flops,
        costs.params,
        detector.backbone.layers,
        costs.peak_memory_bytes,
        released_flops(detector.backbone),
    )


def _chosen(problem: Problem, choice: Sequence[int]) -> Candidate:
    """The candidate of the indices of stages and end, with the value that the search maximised where that is not DDSAR."""
    candidate = candidate_of(problem, problem.detector(choice))
    if problem.ranking is Objective.DDSAR:
        return candidate
    value = fsum(float(scores[index]) for scores, index in zip(problem.scores, choice, strict=True))
    return replace(candidate, ranked={problem.ranking.value: round(value, 9)})


def require_top(top: int) -> None:
    """Raises InputError where `top` candidates cannot be asked for."""
    if not 1 <= top <= 100:
        raise InputError(f"--top {top} is outside 1..100")


def run_search(problem: Problem, *, top: int, provenance: Mapping[str, str]) -> SearchResult:
    """Solve, list the `top` best, sweep the frontier of the first target's latency (FLOPs where there is no target)."""
    require_top(top)
    search = ExactSearch(problem)
    solution = search.enumerate_top(top, search.solve())
    certificate = Certificate(True, round(solution.bound, 9), problem.space.size, solution.labels)
    front = _thin(search.frontier(problem.tie_breakers[0]))
    seed = problem.seed if problem.ranking is Objective.RANDOM else None
    return compose_result(
        problem, solution.choices, certificate, provenance, least=search.least, frontier=front.path, seed=seed
    )


def compose_result(
    problem: Problem,
    choices: Iterable[Sequence[int]],
    certificate: Certificate,
    provenance: Mapping[str, str],
    *,
    least: Float64Array,
    frontier: Iterable[Sequence[int]] = (),
    algorithm: str = "exact",
    seed: int | None = None,
) -> SearchResult:
    """The result of a search that chose networks by their indices; `least` [resources]: least costs there are."""
    limits = {entry.model.cost.key: entry.limit for entry in problem.resources if np.isfinite(entry.limit)}
    if problem.budgets.memory_bytes is not None:
        limits[MEMORY.key] = problem.budgets.memory_bytes
    return SearchResult(
        problem.space.name,
        str(problem.input_size),
        problem.settings,
        limits,
        dict(provenance),
        tuple(_chosen(problem, choice) for choice in choices),
        certificate,
        tuple(_chosen(problem, path) for path in frontier),
        cost_ranges(problem, least),
        algorithm,
        problem.ranking.value,
        seed,
    )


def _thin(front: PartialNetworks) -> PartialNetworks:
    """At most FRONTIER_POINTS of a frontier, its ends among them, evenly along it."""
    if len(front) <= FRONTIER_POINTS:
        return front
    return front.take(np.unique(np.linspace(0, len(front) - 1, FRONTIER_POINTS).round().astype(np.intp)))


def cost_ranges(problem: Problem, least: Float64Array) -> tuple[CostRange, ...]:
    """Where the budgets lie in the space: its least costs (exact), and median and largest of a seeded random sample."""
    generator = np.random.default_rng(0)
    sample = [
        candidate_of(problem, detector).costs
        for _, detector in zip(range(MEDIAN_SAMPLE), problem.space.random_detectors(generator), strict=False)
    ]
    ranges = []
    for index, resource in enumerate(problem.resources):
        key = resource.model.cost.key
        values = [costs[key] for costs in sample]
        limit = resource.limit if np.isfinite(resource.limit) else None
        smallest = round(float(least[index] + resource.model.constant), 6)
        ranges.append(CostRange(key, smallest, float(np.median(values)), float(max(values)), limit))
    return tuple(ranges)
