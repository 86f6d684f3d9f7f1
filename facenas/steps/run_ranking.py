"""Between a run's search and its training: which of the best networks is worth the long training, by short ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from facenas.checkpoint import load_checkpoint
from facenas.given import given_checkpoint
from facenas.progress import Progress
from facenas.ranking.halving import Ranking, plan_rungs
from facenas.run_folder import RANKED
from facenas.searching.candidate import Candidate
from facenas.searching.result import SearchResult
from facenas.steps.rank import FIRST_EPOCHS, FIRST_EPOCHS_SYNTHETIC, RankSettings, rank
from facenas.steps.run_settings import Asked
from facenas.steps.synthetic import recipe_of
from facenas.training.recipe import Recipe
from facenas.training.teacher import Teacher
from facenas.typed_json import read_file


@dataclass(frozen=True)
class RankedResult:
    """The search's result in the order of the trainings, and what to say of it."""

    result: SearchResult
    words: str


def require_trainable(asked: Asked) -> Recipe:
    """The recipe of the run's training. Raises InputError where its numbers, its start or its teacher are unusable."""
    settings = asked.settings
    recipe = recipe_of(asked.data, settings.epochs, settings.seed)
    if settings.init is not None:
        load_checkpoint(given_checkpoint(settings.init), supernet=True)
    if settings.teacher is not None:
        Teacher(settings.teacher, recipe.size_px)
    if settings.top is not None:
        plan_rungs(settings.top, FIRST_EPOCHS)
    return recipe


def rank_of_run(
    asked: Asked, folder: Path, data: tuple[Path, Path | None], init: Path | str | None, progress: Progress
) -> RankedResult:
    """Train the best of the search in RANKED briefly, as `rank` does, all of them from `init`, the better half on and on.

    What an earlier call finished is not made again. Raises TrainingError where none of them can be trained.
    """
    found = read_file(SearchResult, folder / RANKED, "search result")
    if len(found.top) < 2:
        return RankedResult(found, "the budgets leave one network, so there is nothing to rank")
    ranking = rank(
        (),
        data[0],
        search=folder / RANKED,
        val=data[1],
        recipe=recipe_of(asked.data, None, asked.settings.seed),
        settings=RankSettings(
            len(found.top),
            FIRST_EPOCHS_SYNTHETIC if asked.data is None else FIRST_EPOCHS,
            init=init,
            resume=True,
        ),
        out=(folder / RANKED).parent,
        progress=progress,
    )
    return RankedResult(_in_order(found, ranking), f"of {ranking.line()}")


def _in_order(found: SearchResult, ranking: Ranking) -> SearchResult:
    """The result with its candidates in the order of the ranking, and what each of them reached in its rungs.

    The certificate calls the choice optimal only where it is still the one that was certified.
    """
    known: Mapping[str, Candidate] = {candidate.architecture: candidate for candidate in found.top}
    names = [f"AP after {epochs} epochs" for _, epochs in ranking.rungs]
    top = tuple(
        replace(
            known[each.contender.architecture],
            reranked={
                name: result.ap for name, result in zip(names, each.results, strict=False) if result.ap is not None
            },
        )
        for each in ranking.ranked
    )
    optimal = found.certificate.optimal and top[0].architecture == found.best.architecture
    return replace(found, top=top, certificate=replace(found.certificate, optimal=optimal))
