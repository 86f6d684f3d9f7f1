"""`facenas verify`: does the exported file answer like its reference, as fast as predicted?"""

from pathlib import Path
from typing import Annotated

import typer


def verify(
    artefact: Annotated[Path, typer.Argument(help="exported model (.onnx)")],
    reference: Annotated[Path, typer.Option(help="checkpoint.safetensors, or another export of the same architecture")],
    data: Annotated[Path, typer.Option(help="labelled photos")],
    device: Annotated[str, typer.Option(help="target to measure on")] = "cpu",
    latency: Annotated[str | None, typer.Option(help="budget, for example 5ms")] = None,
    table: Annotated[Path | None, typer.Option(help="latency table for the prediction (default: shipped)")] = None,
    require: Annotated[str | None, typer.Option(help="'measured': a gate that was not tried fails")] = None,
    out: Annotated[
        Path | None, typer.Option(help="file for the result (default: verify.json beside the model)")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Prove an exported file against its reference.

    Exit code 1 when a gate fails.
    """
    from facenas.cli.gates import print_gates
    from facenas.cli.output import print_json
    from facenas.cli.progress import progress_bar
    from facenas.detector.face_detector import described_size
    from facenas.devices.targets import require_available, resolve_target
    from facenas.errors import InputError, TableError
    from facenas.evaluation.evaluation_set import load_evaluation_set
    from facenas.evaluation.latency_check import check_latency
    from facenas.evaluation.verify import Limits
    from facenas.evaluation.verify import verify as run_gates
    from facenas.files import write_json
    from facenas.latency.table import find_table
    from facenas.units import parse_latency_ms

    if require not in (None, "measured"):
        raise InputError(f"--require '{require}' is unknown; there is: measured")
    budget_ms = None if latency is None else parse_latency_ms(latency)
    target = resolve_target(device)
    require_available(target)
    try:
        found_table = find_table(target, described_size(artefact), table)
    except TableError:
        if table is not None:
            raise
        found_table = None  # without a table the prediction is not measured, and its gate says so
    photos = load_evaluation_set(data)
    with progress_bar() as report:
        check = check_latency(artefact, target, found_table, budget_ms, report)
        verification = run_gates(artefact, reference, photos, check, Limits(), report)
    write_json(out or artefact.parent / "verify.json", verification.to_json())
    if json:
        print_json(verification.to_json())
    else:
        print_gates(verification)
    if not verification.passed or (require == "measured" and not verification.all_measured):
        raise typer.Exit(1)
