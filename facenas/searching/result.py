"""What a search gives back: candidates with their costs, the certificate, the frontier; equal inputs give equal bytes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import fsum
from typing import Any

import numpy as np

from facenas.accuracy.accuracy_table import AccuracyFacts
from facenas.architecture import Architecture
from facenas.arrays import Float64Array
from facenas.cost import MEMORY, cost_of, detector_costs, latency_cost
from facenas.errors import BudgetError, InputError
from facenas.graph import inventory
from facenas.latency.provenance import TableFacts
from facenas.scoring.ddsar import ScoreSettings, ddsar_score, sar_scores
from facenas.scoring.released import released_flops
from facenas.searching.candidate import Candidate
from facenas.searching.exact import ExactSearch, PartialNetworks
from facenas.searching.objective import Objective
from facenas.searching.problem import Problem
from facenas.shown import Rows, Shown

FRONTIER_POINTS = 60
RANKED_QUANTITIES = {
    "flops": "backbone GFLOPs",
    "params": "backbone parameters, millions",
    "random": "random value",
    "accuracy": "predicted AP",
}
MEDIAN_SAMPLE = 300


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

    def in_words(self, value: float) -> str:
        """A value of this cost with its unit."""
        unit = cost_of(self.name).unit
        return f"{value / unit.size:.2f} {unit.symbol}" if unit.symbol else unit.text(value)


@dataclass(frozen=True)
class InputChoice:
    """The best network at one of several inputs; None where none meets the budgets there."""

    input: str
    best: Candidate | None


@dataclass(frozen=True, repr=False)
class SearchResult(Shown):
    """The best candidate first in `top`. `seed`: of the evolution or a random ranking, else None.

    `confirmed`: the candidates were measured (or estimated), and those that met their budgets come first; `tightened_ms`: what
    latencies, by target, they were searched for where no candidate of the budgets themselves met them. `tables`: what must
    be said of the table behind each target's latencies; `percentiles`: of the runs, by target, that latencies and budget
    are of where that is not the 20th; `accuracy`: what must be said of predicted average precisions. `inputs`: where several
    were searched, the best at each, of which `input` is the one of highest AP; all else is of networks there.
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
    accuracy: AccuracyFacts | None = None
    inputs: tuple[InputChoice, ...] = ()

    @property
    def quantity(self) -> str:
        """What was maximised, for a person."""
        return RANKED_QUANTITIES.get(self.ranked_by, "DDSAR")

    def value(self, candidate: Candidate) -> float:
        """What a candidate has of it."""
        if self.ranked_by == Objective.ACCURACY and candidate.ap is not None:
            return candidate.ap
        return candidate.ranked.get(self.ranked_by, candidate.ddsar)

    @property
    def best(self) -> Candidate:
        """The one to take."""
        return self.top[0]

    def line(self) -> str:
        """The best, and what it costs."""
        best = self.best
        latency = ", ".join(f"{value:.2f} ms on {name}" for name, value in best.latency_ms.items())
        costs = f"{latency or f'{best.flops / 1e6:.1f} M FLOPs'}, {best.params:,} parameters"
        ap = "" if best.ap is None else f"AP {best.ap:.3f}, "
        at = f" at {self.input}" if self.inputs else ""
        return f"{best.architecture}{at}, DDSAR {best.ddsar:.4f}, {ap}{costs}; {len(self.top)} in all"

    def shown(self) -> tuple[Rows, ...]:
        """What the networks of the space cost, against the budgets, and the best candidates."""
        inputs = (self._inputs_table(),) if self.inputs else ()
        return *inputs, self._ranges_table(), self._candidates_table()

    @property
    def at_inputs(self) -> str:
        """Behind "networks of the space": that the certificate is of all inputs, where it is."""
        several = self.inputs and self.ranked_by == Objective.ACCURACY
        return f" at any of the {len(self.inputs)} inputs" if several else ""

    @property
    def inputs_beyond(self) -> str:
        """At which inputs no network is within the budgets; empty where one is at all."""
        names = [each.input for each in self.inputs if each.best is None]
        return f"None is within the budgets at {', '.join(names)}" if names else ""

    def _inputs_table(self) -> Rows:
        rows = [
            (
                f"{each.input} (chosen)" if each.input == self.input else each.input,
                f"{each.best.ap:.3f}",
                f"{each.best.ddsar:.4f}",
                *(f"{value:.2f} ms" for value in each.best.latency_ms.values()),
                f"{each.best.flops / 1e6:.1f} M",
            )
            for each in self.inputs
            if each.best is not None
        ]
        columns = ("input", "AP", "DDSAR", *self.provenance, "FLOPs")
        return Rows(f"the best by {self.quantity} at each input", columns, tuple(rows))

    def _ranges_table(self) -> Rows:
        keys = {name: latency_cost(name).key for name in self.provenance}
        names = {keys[name]: f"{keys[name]} ({words})" for name, words in self.provenance.items()}
        rows = [
            (
                names.get(entry.name, entry.name),
                *(entry.in_words(value) for value in (entry.least, entry.median, entry.largest)),
                "" if entry.limit is None else entry.in_words(entry.limit),
            )
            for entry in self.ranges
        ]
        title = f"space {self.space} at {self.input}: {self.certificate.space_size:,} networks"
        columns = ("cost", "least", "median of a sample", "largest of a sample", "budget")
        return Rows(title, columns, tuple(rows))

    def _candidates_table(self) -> Rows:
        best, error = self.best, None if self.accuracy is None else self.accuracy.error_90
        measures = tuple(dict.fromkeys(name for candidate in self.top for name in candidate.reranked))
        columns = (
            "architecture",
            "DDSAR",
            *(["AP"] if best.ap is not None else []),
            *(["judged AP"] if best.judged_ap is not None else []),
            *(RANKED_QUANTITIES[name] for name in best.ranked),
            *measures,
            *(f"{name} ({self.provenance.get(name, 'of unknown provenance')})" for name in best.latency_ms),
            *(f"{name} measured here" for name in best.measured_ms),
            *(f"{name} estimated by Vela" for name in best.estimated_ms),
            "FLOPs",
            "parameters",
        )
        rows = [
            (
                candidate.architecture,
                f"{candidate.ddsar:.4f}",
                *([] if candidate.ap is None else [f"{candidate.ap:.3f} ± {error:.3f}"]),
                *([] if candidate.judged_ap is None else [f"{candidate.judged_ap:.3f}"]),
                *(f"{value:.4f}" for value in candidate.ranked.values()),
                *(f"{candidate.reranked[name]:.3f}" if name in candidate.reranked else "" for name in measures),
                *(f"{value:.2f} ms" for value in candidate.latency_ms.values()),
                *(f"{value:.2f} ms" for value in candidate.found_ms.values()),
                f"{candidate.flops / 1e6:.1f} M",
                f"{candidate.params:,}",
            )
            for candidate in self.top
        ]
        return Rows("best candidates (latency is predicted)", columns, tuple(rows))

    @property
    def words(self) -> str:
        """Below the tables: what was searched for in the end, what the AP is of, and the certificate."""
        lines, best, certificate = [], self.best, self.certificate
        if self.tightened_ms:
            asked = ", ".join(f"{name} {value:.2f} ms" for name, value in self.tightened_ms.items())
            pairs = (("measured", best.measured_ms), ("estimated", best.estimated_ms))
            how = " or ".join(word for word, found in pairs if found)
            lines.append(
                f"the best of the budgets themselves were too slow when {how}; these were searched for {asked}"
            )
        if self.accuracy is not None:
            lines.append(self.accuracy.words)
        size = f"the {certificate.space_size:,} networks of the space{self.at_inputs}"
        if self.inputs_beyond:
            lines.append(self.inputs_beyond)
        if self.inputs and not self.at_inputs:
            lines.append(
                f"{self.quantity} of different inputs does not compare, so {self.input} was chosen by AP;"
                " what follows is of it alone"
            )
        if certificate.bound is None:
            return "\n".join(
                [*lines, f"the best of {certificate.labels:,} candidates; what else {size} hold is not known"]
            )
        known = "certified" if certificate.optimal else "not the certified best, which does not stand first; certified"
        lines.append(
            f"{known}: none of {size} within the budgets has a {self.quantity} above {certificate.bound:.6f}"
            f" ({certificate.labels:,} partial networks were formed)"
        )
        return "\n".join(lines)

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
            **({} if self.accuracy is None else {"accuracy": asdict(self.accuracy)}),
            **({"inputs": [_input_json(each) for each in self.inputs]} if self.inputs else {}),
        }


def _input_json(choice: InputChoice) -> dict[str, Any]:
    return {"input": choice.input, "best": None if choice.best is None else choice.best.to_json()}


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
        ap=None if problem.accuracy is None else round(problem.accuracy(detector), 5),
    )


def _chosen(problem: Problem, choice: Sequence[int]) -> Candidate:
    """The candidate of the indices of stages and end, with what the search maximised where that has no field of its own."""
    candidate = candidate_of(problem, problem.detector(choice))
    if problem.ranking in (Objective.DDSAR, Objective.ACCURACY):
        return candidate
    value = fsum(float(scores[index]) for scores, index in zip(problem.scores, choice, strict=True))
    return replace(candidate, ranked={problem.ranking.value: round(value, 9)})


def best_at_input(problem: Problem) -> InputChoice:
    """The best network of a problem, where several inputs are searched."""
    try:
        (choice,) = ExactSearch(problem).solve().choices
    except BudgetError:
        return InputChoice(str(problem.input_size), None)
    return InputChoice(str(problem.input_size), _chosen(problem, choice))


def require_top(top: int) -> None:
    """Raises InputError where `top` candidates cannot be asked for."""
    if not 1 <= top <= 100:
        raise InputError(f"--top {top} is outside 1..100")


def run_search(problem: Problem, *, top: int, provenance: Mapping[str, str]) -> SearchResult:
    """Solve, list the `top` best, sweep the frontier of the first target's latency (FLOPs where there is no target)."""
    require_top(top)
    search = ExactSearch(problem)
    solution = search.enumerate_top(top, search.solve())
    certificate = Certificate(True, round(solution.bound + problem.base_value, 9), problem.space.size, solution.labels)
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
