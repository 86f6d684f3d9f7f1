"""`facenas verify`: does the exported file answer like its reference, as fast as predicted?"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facenas.cli.calibration_option import CalibrateOption

if TYPE_CHECKING:
    from facenas.devices.target import Target
    from facenas.exporters.artefact import Description
    from facenas.latency.table import LatencyTable

    Report = Callable[[int, int, str], None]


def verify(
    artefact: Annotated[Path, typer.Argument(help="exported model of any format")],
    reference: Annotated[Path, typer.Option(help="checkpoint.safetensors, a name of the zoo, or another export")],
    data: Annotated[Path, typer.Option(help="labelled photos")],
    device: Annotated[
        str | None, typer.Option(help="target to run it on (default: the one that the file names)")
    ] = None,
    latency: Annotated[str | None, typer.Option(help="budget, for example 5ms; 5ms@p90 for nine of ten runs")] = None,
    table: Annotated[Path | None, typer.Option(help="latency table for the prediction (default: shipped)")] = None,
    calibrate: CalibrateOption = None,
    ap_drop: Annotated[
        float | None, typer.Option(help="largest drop of average precision (default: 0.015 for int8, else 0.005)")
    ] = None,
    require: Annotated[str | None, typer.Option(help="'measured': a gate that was not tried fails")] = None,
    out: Annotated[
        Path | None, typer.Option(help="file for the result (default: verify.json beside the model)")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Prove an exported file against its reference.

    Exit code 1 when a gate fails.
    """
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_json
    from facenas.cli.results import print_gates
    from facenas.devices.targets import resolve_target
    from facenas.errors import InputError
    from facenas.evaluation.evaluation_set import load_evaluation_set
    from facenas.evaluation.gates import LatencyCheck, Limits
    from facenas.evaluation.latency_check import check_latency
    from facenas.evaluation.verification import require_same_architecture
    from facenas.evaluation.verification import verify as run_gates
    from facenas.exporters.formats import description_of
    from facenas.files import write_json
    from facenas.runtimes.runtime import runtime_of, why_unavailable
    from facenas.units import LOW_PERCENTILE, parse_latency_budget
    from facenas.zoo import checkpoint_path

    if require not in (None, "measured"):
        raise InputError(f"--require '{require}' is unknown; there is: measured")
    reference = checkpoint_path(reference)
    budget = None if latency is None else parse_latency_budget(latency)
    description = description_of(artefact)
    target = resolve_target(device or description.target)
    require_same_architecture(reference, description)  # before anything is measured
    photos = load_evaluation_set(data)
    with progress_bar() as report:
        percentile = LOW_PERCENTILE if budget is None else budget.percentile
        if why_unavailable(target) is None:
            found_table = _table(target, description, table, percentile, calibrate, report)
            check = check_latency(artefact, target, found_table, budget, report)
        else:
            budget_ms = None if budget is None else budget.limit_ms
            check = LatencyCheck(target.name, budget_ms=budget_ms, percentile=percentile)
        # A target that only its compiler knows runs nothing: the file's own target finds the faces.
        runs_it = None if runtime_of(target).estimates else target
        verification = run_gates(artefact, reference, photos, check, Limits(ap_drop=ap_drop), report, runs_it)
    write_json(out or artefact.parent / "verify.json", verification.to_json())
    if json:
        print_json(verification.to_json())
    else:
        print_gates(verification)
    if not verification.passed or (require == "measured" and not verification.all_measured):
        raise typer.Exit(1)


def _table(
    target: "Target",
    description: "Description",
    path: Path | None,
    percentile: int,
    calibrate: bool | None,
    report: "Report",
) -> "LatencyTable | None":
    """The table that the latency is predicted from; None where there is none, unless a path names one."""
    from facenas.cli.output import note
    from facenas.cli.tables import calibration_asked
    from facenas.errors import TableError
    from facenas.latency.this_machine import TableRequest, facts_of_table, table_of_this_machine

    request = TableRequest(
        target, description.input_size, description.detector, path, percentile, calibration_asked(calibrate)
    )
    try:
        table = table_of_this_machine(request, report, note)
    except TableError as error:
        if path is not None:
            raise
        note(str(error))
        return None
    note(f"{target}: {facts_of_table(table).words}")
    return table
