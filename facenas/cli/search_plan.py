"""What a search command asks for, all words parsed: it can be searched more than once, for other latencies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from facenas.cli.search_options import STATE_FILE, Algorithm
from facenas.latency.table import LatencyTable
from facenas.latency.this_machine import facts_of_table
from facenas.scoring.ddsar import ScoreSettings
from facenas.scoring.zero_cost import Measure
from facenas.searching.budgets import Budgets
from facenas.searching.costs import TableModel
from facenas.searching.evolution import EvolutionSettings, run_evolution
from facenas.searching.objective import Ranking
from facenas.searching.problem import Problem
from facenas.searching.rerank import rerank
from facenas.searching.result import SearchResult, run_search
from facenas.spaces.space import Space
from facenas.units import LOW_PERCENTILE, Size


@dataclass(frozen=True)
class SearchPlan:
    """A space, what is maximised, budgets, and how to search. `measure` puts the best in a new order afterwards."""

    space: Space
    settings: ScoreSettings
    input_size: Size
    tables: Mapping[str, LatencyTable]
    budgets: Budgets
    ranking: Ranking
    measure: Measure | None
    algorithm: Algorithm
    seed: int
    top: int
    out: Path | None
    resume: bool

    def problem(self, latency_ms: Mapping[str, float]) -> Problem:
        """The problem with these latency budgets and the plan's others."""
        models = {
            name: TableModel(table, self.budgets.percentiles.get(name, LOW_PERCENTILE))
            for name, table in self.tables.items()
        }
        budgets = replace(self.budgets, latency_ms=latency_ms)
        return Problem(self.space, self.settings, self.input_size, models, budgets, self.ranking, self.seed)

    def search(self, latency_ms: Mapping[str, float], report: Callable[[int, int, str], None]) -> SearchResult:
        """Search, and put the best in the order of `measure`. Only a search for the plan's own budgets keeps its state."""
        provenance = {name: table.provenance for name, table in self.tables.items()}
        if self.algorithm is Algorithm.EXACT:
            result = run_search(self.problem(latency_ms), top=self.top, provenance=provenance)
        else:
            out = self.out if latency_ms == self.budgets.latency_ms else None
            result = run_evolution(
                self.problem(latency_ms),
                EvolutionSettings(self.seed),
                top=self.top,
                provenance=provenance,
                state_path=None if out is None else out / STATE_FILE,
                resume=self.resume,
                progress=lambda done, total: report(done, total, "evolution"),
            )
        facts = {name: facts_of_table(table) for name, table in self.tables.items()}
        result = replace(result, tables=facts, percentiles=self.budgets.percentiles)
        if self.measure is None:
            return result
        what = f"reranking by {self.measure}"
        return rerank(result, self.measure, self.seed, lambda done, total: report(done, total, what))
