"""The DamoFD release's search, as the baseline to compare the exact search with: evolution, drawn and scored as arrays.

What is known of it: a population of 512, 96,000 candidates, each a member with one or two stages mutated; the worst are
dropped. What is not known was chosen here, and is:

- parents are drawn evenly, one or two stages are equally likely, and a mutated stage is drawn evenly from all stages of
  the space at its position, whatever their input width; the stage after it takes on the new width;
- candidates that the space or the budgets rule out are dropped at once, and so are those that the population holds;
- 32 candidates at a time are made from one population, where the release makes one;
- it starts from the networks within budget among 512 random ones (more, until there is one), which count as candidates.

Equal seeds give equal results, also through a stop and a resume: the state file holds the generator and the population.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facenas.architecture import STAGE_COUNT, Stage
from facenas.arrays import Float64Array, IndexArray
from facenas.errors import BudgetError, InputError
from facenas.files import read_json, write_json
from facenas.progress import DoneOf
from facenas.searching.budgets import Budgets
from facenas.searching.exact import ExactSearch, without_kernels
from facenas.searching.problem import POSITIONS, START, Problem
from facenas.searching.result import Certificate, SearchResult, compose_result, require_top
from facenas.spaces.space import Space

Genes = IndexArray
_SAVES = 20


@dataclass(frozen=True)
class EvolutionSettings:
    """The released sizes; `batch`: candidates made from one population."""

    seed: int = 0
    population: int = 512
    candidates: int = 96_000
    batch: int = 32

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError(f"seed {self.seed} must be 0 or more")


class _Decoder:
    """From genes [n, 5] to networks. A gene is a stage without its input width, which the stage before decides.

    Tables by position, [states, genes]: the choice's index (-1: not in the space, or over the memory budget), the next
    state, the value; and the costs [states, genes, resources]. The end, which has no gene, follows from the last state.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.gene_counts: list[int] = []
        self._tables: list[tuple[Genes, Genes, Float64Array, Float64Array]] = []
        states = [START]
        for position in range(POSITIONS):
            genes, count = _genes(problem, position)
            moves = [problem.moves(position, state) for state in states]
            following = sorted({state for options in moves for state in options})
            shape = (len(states), count)
            index, after = np.full(shape, -1, np.intp), np.zeros(shape, np.intp)
            value, costs = np.zeros(shape), np.zeros((*shape, len(problem.resources)))
            for row, options in enumerate(moves):
                for state, (chosen, chosen_costs) in options.items():
                    index[row, genes[chosen]] = chosen
                    after[row, genes[chosen]] = following.index(state)
                    value[row, genes[chosen]] = problem.scores[position][chosen]
                    costs[row, genes[chosen]] = chosen_costs
            self._tables.append((index, after, value, costs))
            if position < STAGE_COUNT:
                self.gene_counts.append(count)
            states = following or [START]

    def evaluate(self, genes: Genes) -> tuple[Float64Array, Genes]:
        """Values [n] (-inf where the space or a budget rules a network out) and the indices of the choices [n, 6]."""
        count = len(genes)
        genes = np.concatenate([genes, np.zeros((count, 1), np.intp)], axis=1)
        state, choice = np.zeros(count, np.intp), np.zeros((count, POSITIONS), np.intp)
        value, costs = np.zeros(count), np.zeros((count, len(self.problem.resources)))
        for position, (index, after, values, stage_costs) in enumerate(self._tables):
            here = (state, genes[:, position])
            choice[:, position] = index[here]
            value += values[here]
            costs += stage_costs[here]
            state = after[here]
        possible = (choice >= 0).all(axis=1) & (costs <= self.problem.limits + 1e-9).all(axis=1)
        return np.where(possible, value, -np.inf), choice


def _genes(problem: Problem, position: int) -> tuple[Genes, int]:
    """The gene of every choice at a position, and how many genes there are."""
    if position == STAGE_COUNT:
        return np.zeros(len(problem.ends), np.intp), 1
    designs = sorted({_design(stage) for stage in problem.stages[position]}, key=str)
    gene_of = {design: gene for gene, design in enumerate(designs)}
    return np.array([gene_of[_design(stage)] for stage in problem.stages[position]], np.intp), len(designs)


def _design(stage: Stage) -> Stage:
    """A stage without its input width."""
    return replace(stage, in_channels=stage.out_channels)


class _Evolution:
    """A population [n, 5] of distinct networks within budget, best first, and the generator that changes it."""

    def __init__(self, problem: Problem, settings: EvolutionSettings) -> None:
        self.settings = settings
        self.decoder = _Decoder(problem)
        self.generator = np.random.default_rng(settings.seed)
        self.genes = np.zeros((0, STAGE_COUNT), np.intp)
        self.values = np.zeros(0)
        self.candidates = 0

    def step(self) -> None:
        """Make one batch of candidates and drop the worst of all."""
        left = self.settings.candidates - self.candidates
        if len(self.genes):
            made = self._mutated(min(self.settings.batch, left))
        else:
            made = self.generator.integers(0, self.decoder.gene_counts, (min(self.settings.population, left), 5))
        values, _ = self.decoder.evaluate(made)
        fits = np.isfinite(values)
        self._keep(np.concatenate([self.genes, made[fits]]), np.concatenate([self.values, values[fits]]))
        self.candidates += len(made)

    def _mutated(self, count: int) -> Genes:
        genes = self.genes[self.generator.integers(0, len(self.genes), count)]
        first = self.generator.integers(0, STAGE_COUNT, count)
        second = (first + self.generator.integers(1, STAGE_COUNT, count)) % STAGE_COUNT
        two = self.generator.integers(0, 2, count).astype(bool)
        drawn = self.generator.integers(0, self.decoder.gene_counts, genes.shape)
        rows = np.arange(count)
        genes[rows, first] = drawn[rows, first]
        genes[rows[two], second[two]] = drawn[rows[two], second[two]]
        return genes

    def _keep(self, genes: Genes, values: Float64Array) -> None:
        """The best distinct ones; of equals those that came first."""
        order = np.argsort(-values, kind="stable")
        _, first = np.unique(genes[order], axis=0, return_index=True)
        order = order[np.sort(first)][: self.settings.population]
        self.genes, self.values = genes[order], values[order]

    def to_json(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {
            "candidates": self.candidates,
            "generator": self.generator.bit_generator.state,
            "genes": self.genes.tolist(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `to_json` gave."""
        self.candidates = int(state["candidates"])
        self.generator.bit_generator.state = state["generator"]
        self.genes = np.array(state["genes"], np.intp).reshape(-1, STAGE_COUNT)
        self.values, _ = self.decoder.evaluate(self.genes)


def run_evolution(
    problem: Problem,
    settings: EvolutionSettings,
    *,
    top: int,
    provenance: Mapping[str, str],
    state_path: Path | None = None,
    resume: bool = False,
    progress: DoneOf | None = None,
) -> SearchResult:
    """The best networks that the evolution met; the certificate says that nothing is proved.

    With `state_path` the state is saved now and then, and `resume` goes on from it (from the start where there is none
    yet). Raises BudgetError where no budget can be met or no network within all of them was met, InputError where the
    state is another search's.
    """
    require_top(top)
    require_evolvable(problem.space)
    least = ExactSearch(problem).least
    evolution, digest = _Evolution(problem, settings), _digest(problem, settings)
    if resume and state_path is not None and state_path.exists():
        _restore(evolution, state_path, digest)
    saved_every = max(1, settings.candidates // _SAVES)
    while evolution.candidates < settings.candidates:
        before = evolution.candidates
        evolution.step()
        if evolution.candidates // saved_every > before // saved_every:
            if state_path is not None:
                write_json(state_path, {"search": digest, **evolution.to_json()})
            if progress is not None:
                progress(evolution.candidates, settings.candidates)
    if not len(evolution.genes):
        raise BudgetError(
            f"none of {settings.candidates:,} random networks of space '{problem.space.name}' meets the budgets, so the "
            "evolution has nothing to start from; raise a budget or use --algorithm exact"
        )
    return compose_result(
        problem,
        _best(evolution, top),
        Certificate(False, None, problem.space.size, evolution.candidates),
        provenance,
        least=least,
        algorithm="evolution",
        seed=settings.seed,
    )


def require_evolvable(space: Space) -> None:
    """Raises InputError for a space whose necks and heads are a choice, which the release's search has none of."""
    if space.chooses_ends:
        raise InputError(
            f"the release's evolution searches backbones, and space '{space.name}' leaves neck and head open; use"
            " --algorithm exact"
        )


def _best(evolution: _Evolution, top: int) -> list[tuple[int, ...]]:
    """The best members that differ in more than kernel sizes."""
    _, choices = evolution.decoder.evaluate(evolution.genes)
    seen: dict[str, tuple[int, ...]] = {}
    for row in choices.tolist():
        seen.setdefault(without_kernels(evolution.decoder.problem, row), tuple(row))
        if len(seen) == top:
            break
    return list(seen.values())


def _digest(problem: Problem, settings: EvolutionSettings) -> str:
    """Tells one search from another: stages, values, costs, limits and settings."""
    digest = hashlib.sha256(json.dumps([repr(settings), _text_of(problem.budgets)]).encode())
    for stages, scores, costs in zip(problem.stages, problem.scores[:STAGE_COUNT], problem.costs, strict=True):
        digest.update("".join(map(str, stages)).encode())
        digest.update(scores.tobytes())
        digest.update(costs.tobytes())
    digest.update(problem.limits.tobytes())
    return digest.hexdigest()


def _text_of(budgets: Budgets) -> str:
    """The budgets by these fields in this order, whatever fields they get: else no stopped evolution would go on."""
    names = ("latency_ms", "flops", "params", "layers", "memory_bytes", "released_flops", "percentiles")
    return f"Budgets({', '.join(f'{name}={getattr(budgets, name)!r}' for name in names)})"


def _restore(evolution: _Evolution, path: Path, digest: str) -> None:
    state = read_json(path, "state of an evolution")
    try:
        if state["search"] != digest:
            raise InputError(f"{path} is the state of another search; use its settings, or start without --resume")
        evolution.restore(state)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        raise InputError(f"{path} is no state of an evolution ({error!r}); start without --resume") from error
