"""`facenas profile`: measure a device into a latency table."""

from pathlib import Path
from typing import Annotated

import typer


def profile(
    device: Annotated[str, typer.Option(help="target to measure, for example cpu")],
    space: Annotated[str, typer.Option(help="search space whose operators the table shall hold")] = "facenas-edge",
    input: Annotated[str, typer.Option(help="network input, WIDTHxHEIGHT")] = "640x480",
    also: Annotated[
        list[str] | None, typer.Option(help="further architecture whose operators the table shall hold; repeatable")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="table file (default: latency_tables/DEVICE.json)")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue a profile that was stopped")] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Measure every operator of a search space on a device, in about three minutes.

    For a board that is not here (jetson-orin-nano, jetson-agx-orin) the table is modelled from published figures.
    """
    from facenas.architecture import resolve_detector
    from facenas.cli.output import note, print_json, print_table
    from facenas.cli.progress import progress_bar
    from facenas.devices.targets import MODELLED_NAMES, resolve_target
    from facenas.latency.profiler import profile as measure
    from facenas.latency.roofline import modelled_table
    from facenas.latency.shipped import table_file_name
    from facenas.latency.table import save_table
    from facenas.space import load_space
    from facenas.units import parse_size

    target, size = resolve_target(device), parse_size(input)
    path = out or Path("latency_tables", table_file_name(target, size))
    further = [resolve_detector(text) for text in also or ()]
    if target.name in MODELLED_NAMES:
        table = modelled_table(target, load_space(space), size, also=further)
        save_table(table, path)
    else:
        with progress_bar() as report:
            table = measure(
                target,
                load_space(space),
                size,
                path,
                also=further,
                resume=resume,
                progress=lambda done, total: report(done, total, f"profiling {target}"),
            )
    for failure in table.failures:
        note(f"kept out: {failure}")
    if table.unstable_operators:
        note(
            f"{table.unstable_operators} of {len(table.operators)} operators are flagged unstable: the machine is busy"
        )
    calibration = table.calibration
    if json:
        print_json(
            {
                "table": str(path),
                "operators": len(table.operators),
                "seconds": round(table.seconds, 1),
                "calibration_error_percent": round(calibration.error_percent, 3),
                "unstable_operators": table.unstable_operators,
                "failures": list(table.failures),
            }
        )
        return
    print_table(
        f"latency table {path}",
        ("target", "operators", "seconds", "mean error", "90 % interval"),
        [
            (
                f"{target} ({table.provenance})",
                str(len(table.operators)),
                f"{table.seconds:.0f}",
                f"{calibration.error_percent:.1f} % on {calibration.networks} networks, cross-validated",
                f"{100 * (calibration.low_ratio - 1):+.1f} % to {100 * (calibration.high_ratio - 1):+.1f} %",
            )
        ],
    )
