"""What would meet a latency budget that no network of the space meets: a smaller input, another precision here.

What smaller inputs of the same shape take is estimated, for a table need not tell of them: the calibrated cost of operators
falls with the pixels, the offset stays. The least possible of other targets is that of their own tables.
"""

from facenas.devices.target import TARGET_NAMES, Target
from facenas.devices.targets import resolve_target
from facenas.errors import BudgetError, InputError, LatencyBudgetError, TableError
from facenas.latency.this_machine import TableRequest, facts_of_table, is_measured_here, table_as_known
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.any_input import AnyInput
from facenas.searching.budgets import Budgets
from facenas.searching.costs import TableModel
from facenas.searching.exact import ExactSearch
from facenas.searching.problem import Problem
from facenas.spaces.space import Space
from facenas.units import Size, in_ms

_LEAST_SIDE_PX = 32


def with_alternatives(error: LatencyBudgetError, space: Space, input_size: Size, percentile: int) -> BudgetError:
    """The error with what would meet the budget, which is for a percentile of the runs, in its words."""
    words = [str(error), *_smaller_input(error, input_size), *_other_targets(error, space, input_size, percentile)]
    return BudgetError(", or give ".join(words))


def _smaller_input(error: LatencyBudgetError, input_size: Size) -> list[str]:
    """The largest smaller input of the shape at which the least possible is within the budget, by its pixels."""
    shape = AnyInput(input_size.width_px / input_size.height_px)
    try:
        sizes = shape.sizes(_LEAST_SIDE_PX, input_size.long_side_px)
    except InputError:
        return []
    for size in sizes:
        share = size.pixels / input_size.pixels
        least_ms = error.offset_ms + (error.least_ms - error.offset_ms) * share
        if share < 1 and least_ms <= error.limit_ms:
            return [f"--input {size} (the least there is about {in_ms(least_ms)}, estimated by its pixels)"]
    return []


def _other_targets(error: LatencyBudgetError, space: Space, input_size: Size, percentile: int) -> list[str]:
    """Other runtimes and precisions on this machine whose least possible is within the budget."""
    asked = resolve_target(error.target)
    if not is_measured_here(asked):
        return []
    found = []
    for name in TARGET_NAMES:
        target = resolve_target(name)
        if name != error.target and is_measured_here(target):
            least = _least_ms(target, space, input_size, percentile)
            if least is not None and least[0] <= error.limit_ms:
                found.append((least[0], f"--device {name} (the least there is {in_ms(least[0])}, {least[1]})"))
    return [words for _, words in sorted(found)[:2]]


def _least_ms(target: Target, space: Space, input_size: Size, percentile: int) -> tuple[float, str] | None:
    """The least possible latency on a target, and of what machine that is; None where its table does not reach."""
    try:
        table = table_as_known(TableRequest(target, (input_size,), space, percentile=percentile))
        models = {target.name: TableModel(table, percentile, input_size)}
        search = ExactSearch(Problem(space, ScoreSettings(), input_size, models, Budgets({})))
    except TableError:
        return None
    return float(search.least[0] + models[target.name].constant_ms), f"measured {facts_of_table(table).where}"
