"""`facenas profile`: measure a device into a latency table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from facenas.devices.target import Target
    from facenas.remote.remote_agent import RemoteAgent


def profile(
    device: Annotated[str, typer.Option(help="target to measure, for example cpu")],
    host: Annotated[
        str | None, typer.Option(help="where it is: user@host, ssh://user@host:port, adb, adb:SERIAL (default: here)")
    ] = None,
    python: Annotated[str | None, typer.Option(help="Python of the host (default: python3)")] = None,
    space: Annotated[str, typer.Option(help="search space whose operators the table shall hold")] = "facenas-edge",
    input: Annotated[str, typer.Option(help="network input, WIDTHxHEIGHT")] = "640x480",
    also: Annotated[
        list[str] | None, typer.Option(help="further architecture whose operators the table shall hold; repeatable")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="how long to measure, beyond a least number of rounds (default: 150)", min=0)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="table file (default: latency_tables/DEVICE.json)")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue a profile that was stopped")] = False,
    even_if_busy: Annotated[
        bool, typer.Option("--even-if-busy", help="also keep what was measured beside other work on this machine")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Measure every operator of a search space on a device, in about three minutes.

    With --host, or for a device that `facenas device add` keeps, the device is elsewhere: an agent is copied there,
    run by its Python, and removed. Without, for a board that is not here (jetson-orin-nano, jetson-agx-orin) the table
    is modelled from published figures.
    """
    from dataclasses import replace

    from facenas.architecture import resolve_detector
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import note, print_json, print_table
    from facenas.devices.target import MODELLED_NAMES
    from facenas.devices.targets import resolve_target
    from facenas.errors import InputError
    from facenas.latency.profiler import default_plan
    from facenas.latency.profiler import profile as measure
    from facenas.latency.roofline import modelled_table
    from facenas.latency.shipped import table_file_name
    from facenas.latency.table import save_table
    from facenas.quiet import Patience
    from facenas.runtimes.local_agent import Agent
    from facenas.spaces.named import load_space
    from facenas.units import parse_size

    target, size = resolve_target(device), parse_size(input)
    path = out or Path("latency_tables", table_file_name(target, size))
    if path.is_dir():  # found at the end, that would cost minutes
        raise InputError(
            f"--out {path} is a folder, and the table is one file; give {path / table_file_name(target, size)}"
        )
    further = tuple(resolve_detector(text) for text in also or ())
    plan = replace(default_plan(target), also=further)
    plan = plan if seconds is None else replace(plan, seconds=seconds)
    remote = _remote_agent(target, host, python)
    if remote is None and target.name in MODELLED_NAMES:
        table = modelled_table(target, load_space(space), size, also=further)
        save_table(table, path)
    else:
        with progress_bar() as report, remote or Agent(target) as agent:
            table = measure(
                agent,
                load_space(space),
                size,
                path,
                plan=plan,
                resume=resume,
                progress=lambda done, total: report(done, total, f"profiling {target}"),
                patience=Patience(note, judges=not even_if_busy),
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
                "warnings": [] if remote is None else list(remote.warnings),
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


def _remote_agent(target: "Target", host: str | None, python: str | None) -> "RemoteAgent | None":
    """The agent on the host given or kept for the target; None where it is this machine's. Raises InputError."""
    from facenas.cli.output import note
    from facenas.devices.host import transport_for
    from facenas.devices.own_devices import load_devices
    from facenas.errors import InputError
    from facenas.remote.remote_agent import RemoteAgent

    kept = load_devices().get(target.name) if target.elsewhere else None
    host, python = host or (kept.host if kept else None), python or (kept.python if kept else "python3")
    if host is not None:
        return RemoteAgent(target, transport_for(host), python=python, note=note)
    if target.elsewhere:
        raise InputError(
            f"device '{target}' is elsewhere; say where: --host user@host, or for good: facenas device add {target} "
            f"--host user@host --runtime {target.runtime} --precision {target.precision}"
        )
    return None
