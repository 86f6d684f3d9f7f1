"""The first half of a run: the table of its device, and the best network under its budgets."""

from dataclasses import replace

from facenas.devices.targets import resolve_target
from facenas.errors import TableError
from facenas.latency.table import LatencyTable
from facenas.latency.this_machine import TableRequest, table_of_this_machine
from facenas.progress import Progress
from facenas.searching.objective import Objective
from facenas.searching.result import SearchResult
from facenas.spaces.named import load_space
from facenas.steps.appraise import default_table_path
from facenas.steps.profile import ProfileSettings, profile
from facenas.steps.run_settings import Asked, RunSettings
from facenas.steps.search import Algorithm, SearchSettings, accuracy_of, inputs_to_search, search
from facenas.steps.tables import open_at
from facenas.units import Size
from facenas.zoo import zoo_accuracy_table

BUDGET_RESERVE = 0.03
"""Less than the latency is searched for: prediction and measurement each have their error."""


def table_of_run(asked: Asked, progress: Progress) -> LatencyTable:
    """The shipped or given table, made this machine's where it is of another one; a device elsewhere without one is profiled.

    Raises TableError where there is none, BusyMachineError where the machine is too busy to measure on.
    """
    settings, target = asked.settings, resolve_target(asked.device)
    space = load_space(settings.space)

    def opened(sizes: tuple[Size, ...]) -> LatencyTable:
        percentile = asked.budget.percentile
        request = TableRequest(target, sizes, space, settings.table, percentile, settings.calibrate)
        return table_of_this_machine(request, progress)

    sizes = inputs_to_search(settings.input_size, accuracy_of(space, _search_settings(settings)), Algorithm.EXACT)
    given = settings.input_size is not None
    size = None if not given else sizes[0] if len(sizes) == 1 else "any"
    try:
        table, _ = open_at(opened, sizes, asked=given, progress=progress)
    except TableError as error:
        if not target.elsewhere or settings.table is not None:
            raise
        progress.note(f"{error}: that is done now, and takes minutes")
        again = ProfileSettings(resume=True)
        profile(asked.device, space=space.name, input_size=size, settings=again, progress=progress)
        table, _ = open_at(opened, sizes, asked=given, progress=progress)
    return table


def search_of_run(asked: Asked, table: LatencyTable, progress: Progress) -> SearchResult:
    """The best network under the budgets. Raises BudgetError where none meets them."""
    settings = asked.settings
    searching = _search_settings(settings)
    if settings.supernet is not None and searching.accuracy not in (None, default_table_path(settings.supernet)):
        progress.note(
            f"AP is predicted as for the supernet that ships; for {settings.supernet}: facenas appraise --supernet"
            f" {settings.supernet} --data PHOTOS"
        )
    one_input = None if table.inputs.others else table.input_size  # as `table_of_run` has said
    return search(
        device=asked.device,
        budgets=asked.budgets(1 - BUDGET_RESERVE),
        space=settings.space,
        input_size=one_input if settings.input_size is None else settings.input_size,
        settings=searching,
        tables=[table],
        progress=progress,
    )


def _search_settings(settings: RunSettings) -> SearchSettings:
    """By accuracy where it is known, which sees neck and head, too: of the supernet given, else of the one that ships."""
    path = zoo_accuracy_table(settings.space)
    if settings.supernet is not None and (own := default_table_path(settings.supernet)).is_file():
        path = own
    found = SearchSettings(faces=settings.faces)
    if settings.top is not None:
        found = replace(found, top=settings.top)
    return found if path is None else replace(found, accuracy=path, rank_by=Objective.ACCURACY)
