"""`facenas calibrate`: measure the operators of a space on this machine, in about a minute, for all later commands."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.names import DEVICE, SPACE
from facenas.spaces import DEFAULT_SPACE
from facenas.units import DEFAULT_INPUT


def calibrate(
    device: Annotated[list[str] | None, typer.Option(help="target, repeatable (default: cpu)", **DEVICE)] = None,
    space: Annotated[str, typer.Option(help="search space whose operators are measured", **SPACE)] = DEFAULT_SPACE,
    input: Annotated[str, typer.Option(help="network input, WIDTHxHEIGHT")] = str(DEFAULT_INPUT),
    table: Annotated[
        list[Path] | None,
        typer.Option(help="latency table that stands beside the measurement, repeatable (default: the shipped one)"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Make the latency tables this machine's, anew: `search`, `predict`, `run` and `verify` then use them.

    They do so by themselves where a table is of another machine; this is for when the machine or its settings changed.
    """
    from dataclasses import asdict

    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_json, print_table
    from facenas.latency.this_machine import Calibrate, facts_of_table
    from facenas.spaces.named import load_space
    from facenas.steps.tables import open_tables
    from facenas.units import parse_size

    with progress_bar() as progress:
        tables = open_tables(
            device or ["cpu"],
            table or [],
            [parse_size(input)],
            load_space(space),
            calibrate=Calibrate.ANEW,
            progress=progress,
        )
    facts = {name: facts_of_table(entry) for name, entry in tables.items()}
    if json:
        print_json({name: asdict(entry) for name, entry in facts.items()})
        return
    print_table(
        "calibrated on this machine",
        ("target", "operators", "seconds", "mean error", "90 % interval", "50th, 90th percentile"),
        [
            (
                name,
                f"{facts[name].operators} ({facts[name].carried_over} carried over)",
                f"{entry.seconds:.0f}",
                f"{entry.calibration.error_percent:.1f} % on {entry.calibration.networks} networks",
                entry.calibration.interval,
                f"{entry.ratio_to(50):.2f}, {entry.ratio_to(90):.2f} times the 20th",
            )
            for name, entry in tables.items()
        ],
    )
