"""What a search gives back: candidates with their costs, the certificate, the frontier; equal inputs give equal bytes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from facenas.architecture import Detector
from facenas.cost import detector_costs
from facenas.errors import InputError
from facenas.graph import inventory
from facenas.score import ScoreSettings, ddsar_score, sar_scores
from facenas.search.exact import ExactSearch, Labels
from facenas.search.problem import Problem

FRONTIER_POINTS = 60
MEDIAN_SAMPLE = 300


@dataclass(frozen=True)
class Candidate:
    """A detector and what it costs; `latency_ms` by target, predicted."""

    architecture: str
    ddsar: float
    latency_ms: Mapping[str, float]
    flops: int
    params: int
    layers: int
    peak_memory_bytes: int


@dataclass(frozen=True)
class Certificate:
    """`bound`: no network of the space within the budgets scores more; `labels`: partial networks that were formed."""

    optimal: bool
    bound: float
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
    """The best candidate first in `top`."""

    space: str
    input: str
    settings: ScoreSettings
    budgets: Mapping[str, float]
    provenance: Mapping[str, str]
    top: tuple[Candidate, ...]
    certificate: Certificate
    frontier: tuple[Candidate, ...]
    ranges: tuple[CostRange, ...]

    @property
    def best(self) -> Candidate:
        """The certified optimum."""
        return self.top[0]

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        return {
            **asdict(self.best),
            "certificate": asdict(self.certificate),
            "space": self.space,
            "input": self.input,
            "score": asdict(self.settings),
            "budgets": dict(self.budgets),
            "provenance": dict(self.provenance),
            "ranges": [asdict(entry) for entry in self.ranges],
            "top": [asdict(candidate) for candidate in self.top],
            "frontier": [asdict(candidate) for candidate in self.frontier],
        }


def candidate_of(problem: Problem, detector: Detector) -> Candidate:
    """A detector with its score and costs, each computed from the whole network (not from the sweep's sums)."""
    costs = detector_costs(detector, problem.input_size)
    operators = inventory(detector, problem.input_size)
    sar = sar_scores(detector.backbone, problem.settings)
    return Candidate(
        str(detector),
        round(ddsar_score(sar, problem.settings.stage_weights), 9),
        {
            name: round(model.constant_ms + sum(model.operator_ms(operator) for operator in operators), 6)
            for name, model in problem.latency_models.items()
        },
        costs.flops,
        costs.params,
        detector.backbone.layers,
        costs.peak_memory_bytes,
    )


def require_top(top: int) -> None:
    """Raises InputError where `top` candidates cannot be asked for."""
    if not 1 <= top <= 100:
        raise InputError(f"--top {top} is outside 1..100")


def run_search(problem: Problem, *, top: int, provenance: Mapping[str, str]) -> SearchResult:
    """Solve, list the `top` best, sweep the frontier of the first target's latency (FLOPs where there is no target)."""
    require_top(top)
    search = ExactSearch(problem)
    solution = search.enumerate_top(top, search.solve())
    front = _thin(search.frontier(0))
    limits = {resource.name: resource.limit for resource in problem.resources if np.isfinite(resource.limit)}
    if problem.budgets.memory_bytes is not None:
        limits["memory"] = problem.budgets.memory_bytes
    return SearchResult(
        problem.space.name,
        str(problem.input_size),
        problem.settings,
        limits,
        dict(provenance),
        tuple(candidate_of(problem, problem.detector(choice)) for choice in solution.choices),
        Certificate(True, round(solution.bound, 9), problem.space.size, solution.labels),
        tuple(candidate_of(problem, problem.detector([int(i) for i in path])) for path in front.path),
        cost_ranges(problem, search.least),
    )


def _thin(front: Labels) -> Labels:
    """At most FRONTIER_POINTS of a frontier, its ends among them, evenly along it."""
    if len(front) <= FRONTIER_POINTS:
        return front
    return front.take(np.unique(np.linspace(0, len(front) - 1, FRONTIER_POINTS).round().astype(np.intp)))


def cost_ranges(problem: Problem, least: Any) -> tuple[CostRange, ...]:
    """Where the budgets lie in the space: its least costs (exact), and median and largest of a seeded random sample."""
    generator = np.random.default_rng(0)
    sample = [
        candidate_of(problem, detector)
        for _, detector in zip(range(MEDIAN_SAMPLE), problem.space.random_detectors(generator), strict=False)
    ]
    ranges = []
    for index, resource in enumerate(problem.resources):
        name = resource.name
        if name.startswith("latency "):
            values = [candidate.latency_ms[name.removeprefix("latency ")] for candidate in sample]
        else:
            values = [float(getattr(candidate, name)) for candidate in sample]
        limit = resource.limit if np.isfinite(resource.limit) else None
        smallest = round(float(least[index] + resource.constant), 6)
        ranges.append(CostRange(name, smallest, float(np.median(values)), float(max(values)), limit))
    return tuple(ranges)
