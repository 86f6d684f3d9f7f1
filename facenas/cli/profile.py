"""`facenas profile`: measure a device into a latency table."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.names import ARCHITECTURE, DEVICE, SPACE
from facenas.spaces import DEFAULT_SPACE


def profile(
    device: Annotated[str, typer.Option(help="target to measure, for example cpu", **DEVICE)],
    host: Annotated[
        str | None, typer.Option(help="where it is: user@host, ssh://user@host:port, adb, adb:SERIAL (default: here)")
    ] = None,
    python: Annotated[str | None, typer.Option(help="Python of the host (default: python3)")] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            help=f"search space whose operators the table shall hold; repeatable (default: {DEFAULT_SPACE})", **SPACE
        ),
    ] = None,
    input: Annotated[
        str | None,
        typer.Option(
            help="any (192x160 to 960x736, the default here), or one size such as 640x480 (default elsewhere)"
        ),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(help="further architecture whose operators the table shall hold; repeatable", **ARCHITECTURE),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="how long to measure, and a least number of rounds (default: 240; of one size 150)", min=0),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="table file (default: latency_tables/DEVICE.json)")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue a profile that was stopped")] = False,
    even_if_busy: Annotated[
        bool, typer.Option("--even-if-busy", help="also keep what was measured beside other work on this machine")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="a third of the networks: less sure, for a device that is lent for minutes")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Measure every operator of a search space on a device.

    This machine's CPU takes about four minutes; a Jetson, whose engines are built there, an hour or two.

    With --host, or for a device that `facenas device add` keeps, the device is elsewhere: an agent is copied there,
    run by its Python, and removed. Without, for a board that is not here (jetson-orin-nano, jetson-agx-orin) the table
    is modelled from published figures.
    """
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result
    from facenas.steps.profile import ProfileSettings
    from facenas.steps.profile import profile as run_profile

    settings = ProfileSettings(
        host, python, also or (), seconds=seconds, resume=resume, even_if_busy=even_if_busy, quick=quick
    )
    with progress_bar() as progress:
        result = run_profile(device, space=space or (), input_size=input, out=out, settings=settings, progress=progress)
    print_result(result, json)
