"""The largest input at which a file meets a latency budget on a target: the more pixels, the more faces it finds."""

from pathlib import Path

from facenas.devices.target import Target
from facenas.errors import BudgetError
from facenas.exporters.formats import description_of
from facenas.latency.input_sizes import ALL_INPUTS
from facenas.latency.predictor import predict
from facenas.latency.this_machine import Calibrate
from facenas.progress import SILENT, Progress
from facenas.searching.any_input import AnyInput
from facenas.steps.tables import open_tables
from facenas.units import LatencyBudget, Size, in_ms

_LEAST_PX = min(size.long_side_px for size in ALL_INPUTS.all)


def fitting_input(path: Path, target: Target, budget: LatencyBudget, progress: Progress = SILENT) -> Size:
    """Of the inputs of the shape of the file's own, none larger, the largest whose predicted latency is within the budget.

    Raises BudgetError where none is, TableError where no table tells, BusyMachineError where the machine is too busy to
    measure on.
    """
    description = description_of(path)
    own = description.input_size
    sizes = dict.fromkeys((own, *AnyInput(own.width_px / own.height_px).sizes(_LEAST_PX, own.long_side_px)))
    table = open_tables(
        [target.name],
        [],
        tuple(sizes),
        description.detector,
        percentiles={target.name: budget.percentile},
        calibrate=Calibrate.ONCE,
        progress=progress,
    )[target.name]
    latency_ms, ratio = 0.0, table.ratio_to(budget.percentile)
    for size in sizes:
        latency_ms = ratio * predict(description.detector, table, size).latency_ms
        if latency_ms <= budget.limit_ms:
            progress.note(f"{path.stem} at {size}: {in_ms(latency_ms)} predicted on {target}, within {budget}")
            return size
    raise BudgetError(
        f"{path.stem} takes {in_ms(latency_ms)} on {target} even at {size}, more than {budget}; raise the budget, or find a "
        f"faster detector: facenas run --latency {budget}"
    )
