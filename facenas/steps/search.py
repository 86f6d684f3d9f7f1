"""Search: the best detector of a space within budgets, with its certificate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from facenas.accuracy.accuracy_table import AccuracyTable, load_accuracy_table
from facenas.accuracy.predicted_ap import PredictedAP, judged_inputs, judged_long_sides_px, predicted_ap
from facenas.cost import latency_cost
from facenas.data.face_sizes import FaceSizes
from facenas.errors import InputError, LatencyBudgetError
from facenas.latency.table import LatencyTable
from facenas.latency.this_machine import Calibrate, facts_of_table
from facenas.progress import SILENT, Progress
from facenas.scoring.ddsar import DEFAULT_ALPHA, PAPER_STAGE_WEIGHTS, ScoreSettings
from facenas.scoring.zero_cost import ZeroCostProxy, require_torch
from facenas.searching.alternatives import with_alternatives
from facenas.searching.any_input import AnyInput, AskedInput, as_inputs
from facenas.searching.budgets import Budgets
from facenas.searching.confirm import confirm, require_confirmable
from facenas.searching.costs import TableModel
from facenas.searching.evolution import EvolutionSettings, require_evolvable, run_evolution
from facenas.searching.objective import Objective
from facenas.searching.problem import Problem
from facenas.searching.rerank import rerank
from facenas.searching.result import InputChoice, SearchResult, best_at_input, require_top, run_search
from facenas.searching.slack import slack_budgets
from facenas.spaces import DEFAULT_SPACE
from facenas.spaces.elastic_space import elastic_space
from facenas.spaces.named import load_space
from facenas.spaces.space import Space
from facenas.steps.end_to_end import budgets_of_network
from facenas.steps.judge import Judging, judge_slices
from facenas.steps.tables import open_at, open_tables
from facenas.units import DEFAULT_INPUT, LOW_PERCENTILE, LatencyBudget, Size, as_latency_budget, in_ms, parse_size
from facenas.zoo import zoo_accuracy_table

STATE_FILE = "evolution.json"


class Algorithm(StrEnum):
    """How the search searches."""

    EXACT = "exact"
    EVOLUTION = "evolution"


@dataclass(frozen=True)
class SearchSettings:
    """How to search. `score`: DDSAR's constants; without them `alpha`, and stage weights by the sizes of `faces`: those that an
    accuracy table of the space learnt (alpha is then 0), else the shares of the octaves; without faces the published ones.
    `faces` weigh the predicted AP, too. `accuracy`: that table (default: the zoo's). `rank_by`: what is maximised; `judge`:
    choose among the best by DDSAR and by accuracy, each judged as a slice; `top`: how many of the best to list; `kernels`:
    only kernels of these sizes; `confirm`: measure the best here and take the first that meets its budgets; `rerank`: put the
    best in the order of another measure; `calibrate`: whether tables are made this machine's first; `end_to_end`: latency
    budgets are for decoding, letterbox and suppression of photos of that size, too.

    `seed` is for the evolution, the random ranking and `rerank`. An evolution keeps its state in `state_folder`, and with
    `resume` goes on from there.
    """

    score: ScoreSettings | None = None
    alpha: float | None = None
    faces: FaceSizes | None = None
    accuracy: Path | str | AccuracyTable | None = None
    judge: Judging | None = None
    rank_by: Objective = Objective.DDSAR
    top: int = 5
    kernels: frozenset[int] | None = None
    algorithm: Algorithm = Algorithm.EXACT
    confirm: bool = False
    rerank: ZeroCostProxy | None = None
    seed: int = 0
    calibrate: Calibrate = Calibrate.ONCE
    state_folder: Path | None = None
    resume: bool = False
    end_to_end: Size | None = None

    def __post_init__(self) -> None:
        require_top(self.top)
        ScoreSettings(DEFAULT_ALPHA if self.alpha is None else self.alpha)
        EvolutionSettings(self.seed)
        if self.resume and self.algorithm is not Algorithm.EVOLUTION:
            raise InputError("--resume is for --algorithm evolution; the exact search takes seconds, run it again")
        if self.resume and self.state_folder is None:
            raise InputError("--resume needs the --out folder of the search that was stopped")


def search(
    latency: str | float | LatencyBudget | None = None,
    device: str | Sequence[str] = "cpu",
    *,
    budgets: Budgets | None = None,
    space: str | Space = DEFAULT_SPACE,
    input_size: AskedInput = None,
    settings: SearchSettings = SearchSettings(),
    tables: Sequence[Path | str | LatencyTable] = (),
    progress: Progress = SILENT,
) -> SearchResult:
    """Find the detector of `space` that scores best within `latency` (`5ms`, `5ms@p90` or milliseconds) on `device`, and
    prove that none scores more.

    `input_size`: one, several, or any of a shape (default: any of 4:3 that the space's accuracy table tells of, 640x480
    where there is none); among several the accuracy table chooses. `budgets`: of several devices, FLOPs, parameters, memory
    ...; no device at all searches without latencies; `tables`: ones to use as they are, or files (default: those that ship).
    Raises BudgetError where nothing meets the budgets, InputError for unusable words, TableError where a device has no
    table, BusyMachineError where the machine is too busy to measure on.
    """
    devices = [name.lower() for name in ([device] if isinstance(device, str) else device)]
    budgets = _with_latency(budgets or Budgets({}), latency, devices)
    if settings.rerank is not None:
        require_torch()
    if settings.confirm:
        require_confirmable(devices)
    chosen = load_space(space) if isinstance(space, str) else space
    if settings.kernels is not None:
        chosen = chosen.with_kernels(settings.kernels)
    if settings.algorithm is Algorithm.EVOLUTION:
        require_evolvable(chosen)
    accuracy = accuracy_of(chosen, settings)
    sizes, percentiles = inputs_to_search(input_size, accuracy, settings.algorithm), budgets.percentiles
    if settings.end_to_end is not None:  # around the largest input, which takes longest
        budgets = budgets_of_network(budgets, sizes[0], settings.end_to_end, progress)

    def opened(inputs: Sequence[Size]) -> dict[str, LatencyTable]:
        return open_tables(
            devices, tables, inputs, chosen, percentiles=percentiles, calibrate=settings.calibrate, progress=progress
        )

    found, sizes = open_at(opened, sizes, asked=input_size is not None, progress=progress)
    plan = _Plan(chosen, sizes[0], found, budgets, settings, progress, accuracy)
    choices: tuple[InputChoice, ...] = ()
    try:
        if len(sizes) > 1:
            choices = tuple(map(plan.best_at, sizes))
            plan = replace(plan, input_size=_most_accurate(choices) or sizes[-1])
        if settings.confirm:
            result = confirm(plan.search, budgets.latency_ms, plan.input_size, progress)
        else:
            result = plan.search(budgets.latency_ms)
    except LatencyBudgetError as error:
        percentile = percentiles.get(error.target, LOW_PERCENTILE)
        raise with_alternatives(error, chosen, plan.input_size, percentile) from error
    _note_slack(plan, result, progress)
    return replace(result, inputs=choices)


def _note_slack(plan: "_Plan", result: SearchResult, progress: Progress) -> None:
    """Say which latency budgets bind nothing; none does where a network of the result's sample is above each."""
    latencies = {latency_cost(name).key for name in plan.budgets.latency_ms}
    if not any(
        each.limit is not None and each.largest <= each.limit for each in result.ranges if each.name in latencies
    ):
        return
    for name, most_ms in slack_budgets(plan.problem(plan.budgets.latency_ms)).items():
        progress.note(
            f"{name}: the budget of {in_ms(plan.budgets.latency_ms[name])} binds nothing, because the slowest network of space "
            f"'{plan.space.name}' takes {in_ms(most_ms)} there; a larger space may hold better ones (for GPUs --space "
            "facenas-orin)"
        )


def inputs_to_search(asked: AskedInput, accuracy: AccuracyTable | None, algorithm: Algorithm) -> tuple[Size, ...]:
    """The inputs, largest first. Raises InputError for several where nothing compares them."""
    if asked is None:
        asked = DEFAULT_INPUT if accuracy is None or algorithm is Algorithm.EVOLUTION else AnyInput()
    if isinstance(asked, AnyInput) or asked == "any":
        if accuracy is None:
            raise InputError(
                "--input any needs an accuracy table, which compares inputs, and the space has none; give one size"
            )
        shape = asked if isinstance(asked, AnyInput) else AnyInput()
        sizes = shape.sizes(*judged_long_sides_px(accuracy))
    else:
        sizes = as_inputs(asked)
    if len(sizes) > 1 and accuracy is None:
        raise InputError(
            f"inputs {', '.join(map(str, sizes))} are compared by an accuracy table, and the space has none; give one size"
        )
    if len(sizes) > 1 and accuracy is not None:
        for size in sizes:
            judged_inputs(accuracy, size)  # one beyond those judged is refused
    if len(sizes) > 1 and algorithm is Algorithm.EVOLUTION:
        raise InputError("--algorithm evolution searches one input; give one size with --input")
    return sizes


def _most_accurate(choices: Sequence[InputChoice]) -> Size | None:
    """The input whose best has the highest predicted AP, of equal ones the smallest; None where none has a best."""
    found = [
        (choice.best.ap or 0.0, -parse_size(choice.input).pixels, choice.input) for choice in choices if choice.best
    ]
    return parse_size(max(found)[2]) if found else None


def _with_latency(budgets: Budgets, latency: str | float | LatencyBudget | None, devices: Sequence[str]) -> Budgets:
    """The budgets with that of the one device. Raises InputError where there is not one, or it has a budget already."""
    if latency is None:
        return budgets
    if len(devices) != 1:
        raise InputError(f"latency '{latency}' is for one device, here are {len(devices)}; give budgets by device")
    budget, device = as_latency_budget(latency), devices[0]
    if device in budgets.latency_ms:
        raise InputError(
            f"two latency budgets for '{device}': {latency} and {budgets.latency_ms[device]:g}ms; keep one"
        )
    percentiles = {} if budget.percentile == LOW_PERCENTILE else {device: budget.percentile}
    return replace(budgets, latency_ms={device: budget.limit_ms}, percentiles=percentiles)


def accuracy_of(space: Space, settings: SearchSettings) -> AccuracyTable | None:
    """The accuracy table that is given, or the zoo's for the space. Raises InputError where it is of another space."""
    given = settings.accuracy
    if not isinstance(given, AccuracyTable):
        path = zoo_accuracy_table(space.name) if given is None else Path(given)
        given = None if path is None else load_accuracy_table(path)
    if given is not None:
        given.require_space(elastic_space(space.name))
    if settings.judge is not None and given is None:
        raise InputError(f"--judge needs an accuracy table of space '{space.name}'; make one: facenas appraise")
    return given


@dataclass(frozen=True)
class _Plan:
    """All that a search asks for but its latencies: it can be searched more than once, for others."""

    space: Space
    input_size: Size
    tables: Mapping[str, LatencyTable]
    budgets: Budgets
    settings: SearchSettings
    progress: Progress
    accuracy: AccuracyTable | None

    def problem(self, latency_ms: Mapping[str, float]) -> Problem:
        """The problem with these latency budgets and the plan's others."""
        models = {
            name: TableModel(table, self.budgets.percentiles.get(name, LOW_PERCENTILE), self.input_size)
            for name, table in self.tables.items()
        }
        budgets = replace(self.budgets, latency_ms=latency_ms)
        settings, known = self.settings, self.predicted
        predicts = None if known is None else known.model
        return Problem(
            self.space, self.score, self.input_size, models, budgets, settings.rank_by, settings.seed, predicts
        )

    def best_at(self, input_size: Size) -> InputChoice:
        """The best at another input, within the plan's own latencies."""
        return best_at_input(replace(self, input_size=input_size).problem(self.budgets.latency_ms))

    @property
    def face_shares(self) -> tuple[float, ...] | None:
        """In the octaves that accuracy tables are of."""
        return None if self.settings.faces is None else self.settings.faces.shares()

    @property
    def predicted(self) -> PredictedAP | None:
        """What the accuracy table says at the input; None where it does not tell, and nothing asks for it."""
        if self.accuracy is None:
            return None
        try:
            return predicted_ap(self.accuracy, self.input_size, self.face_shares)
        except InputError:
            if self.settings.rank_by is Objective.ACCURACY or self.settings.judge is not None:
                raise
            return None

    @property
    def score(self) -> ScoreSettings:
        """DDSAR's constants."""
        settings, accuracy = self.settings, self.accuracy
        if settings.score is not None:
            return settings.score
        if accuracy is None:
            alpha = DEFAULT_ALPHA if settings.alpha is None else settings.alpha
            faces, side_px = settings.faces, self.input_size.long_side_px
            return ScoreSettings(alpha, stage_weights=faces.shares(side_px) if faces else PAPER_STAGE_WEIGHTS)
        weights = accuracy.learned_weights(self.input_size, self.face_shares)
        return ScoreSettings(settings.alpha or 0.0, stage_weights=weights)

    def search(self, latency_ms: Mapping[str, float]) -> SearchResult:
        """Search, and put the best in the order of `rerank`. Only a search for the plan's own budgets keeps its state."""
        settings = self.settings
        provenance = {name: table.provenance for name, table in self.tables.items()}
        if settings.algorithm is Algorithm.EXACT:
            result = run_search(self.problem(latency_ms), top=settings.top, provenance=provenance)
        else:
            folder = settings.state_folder if latency_ms == self.budgets.latency_ms else None
            result = run_evolution(
                self.problem(latency_ms),
                EvolutionSettings(settings.seed),
                top=settings.top,
                provenance=provenance,
                state_path=None if folder is None else folder / STATE_FILE,
                resume=settings.resume,
                progress=lambda done, total: self.progress(done, total, "evolution"),
            )
        facts = {name: facts_of_table(table) for name, table in self.tables.items()}
        known = self.predicted
        about = None if known is None else known.facts
        result = replace(result, tables=facts, percentiles=self.budgets.percentiles, accuracy=about)
        if settings.judge is not None:
            return judge_slices(
                settings.judge, self._of_both_rankings(result, latency_ms), self.input_size, self.progress
            )
        if settings.rerank is None:
            return result
        what = f"reranking by {settings.rerank}"
        return rerank(result, settings.rerank, settings.seed, lambda done, total: self.progress(done, total, what))

    def _of_both_rankings(self, result: SearchResult, latency_ms: Mapping[str, float]) -> SearchResult:
        """The result with the best of the other of DDSAR and accuracy among its candidates."""
        other = Objective.DDSAR if self.settings.rank_by is Objective.ACCURACY else Objective.ACCURACY
        settings = replace(self.settings, rank_by=other, judge=None, rerank=None)
        found = replace(self, settings=settings).search(latency_ms).top
        known = {candidate.architecture for candidate in result.top}
        return replace(result, top=(*result.top, *(each for each in found if each.architecture not in known)))
