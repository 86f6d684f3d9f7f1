"""`facenas verify`: does the exported file answer like its reference, as fast as predicted?"""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.calibration_option import CalibrateOption, calibration_asked
from facenas.cli.names import DEVICE, MODEL


def verify(
    artefact: Annotated[Path, typer.Argument(help="exported model of any format, or run folder", **MODEL)],
    reference: Annotated[
        Path, typer.Option(help="checkpoint, folder of a run or training, name of the zoo, or export", **MODEL)
    ],
    data: Annotated[Path, typer.Option(help="labelled photos")],
    device: Annotated[
        str | None, typer.Option(help="target to run it on (default: the one that the file names)", **DEVICE)
    ] = None,
    latency: Annotated[str | None, typer.Option(help="budget, for example 5ms; 5ms@p90 for nine of ten runs")] = None,
    table: Annotated[Path | None, typer.Option(help="latency table for the prediction (default: shipped)")] = None,
    calibrate: CalibrateOption = None,
    end_to_end: Annotated[
        bool,
        typer.Option("--end-to-end", help="the budget is for decoding, letterbox and suppression, too, all measured"),
    ] = False,
    ap_drop: Annotated[float | None, typer.Option(help="largest drop of average precision (default: 0.005)")] = None,
    sustained: Annotated[
        str | None,
        typer.Option(help="run it so long without a pause and tell how its latency drifts, for example 10min"),
    ] = None,
    require: Annotated[str | None, typer.Option(help="'measured': a gate that was not tried fails")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="file for the result (default: verify.json beside the model; in a run folder MODEL.verify.json)"
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Prove an exported file against its reference.

    Exit code 1 when a gate fails.
    """
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result, require_all_read, tell
    from facenas.errors import InputError
    from facenas.evaluation.gates import Tolerances
    from facenas.files import require_no_input, write_json
    from facenas.given import given_model
    from facenas.run_folder import place_beside, require_not_the_runs
    from facenas.steps.verify import VerifySettings
    from facenas.steps.verify import verify as run_verify
    from facenas.units import parse_duration_s

    if require not in (None, "measured"):
        raise InputError(f"--require '{require}' is unknown; there is: measured")
    artefact = given_model(artefact)
    place = out or place_beside(artefact)
    require_not_the_runs(place)
    require_no_input(place, [artefact, reference, *([] if table is None else [table])])
    seconds = 0.0 if sustained is None else parse_duration_s(sustained)
    settings = VerifySettings(Tolerances(ap_drop=ap_drop), calibration_asked(calibrate), seconds, end_to_end)
    with progress_bar() as progress:
        verification = run_verify(
            artefact, reference, data, device=device, latency=latency, table=table, settings=settings, progress=progress
        )
    write_json(place, verification.to_json())
    print_result(verification, json)
    if not json:
        tell(verification.words)
    if not verification.passed or (require == "measured" and not verification.all_measured):
        raise typer.Exit(1)
    if verification.evaluation is not None:
        require_all_read(verification.evaluation.unread)
