"""The option of all commands that speak of milliseconds here: whether a table is made this machine's first."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from facenas.latency.this_machine import Calibrate

CalibrateOption = Annotated[
    bool | None,
    typer.Option(
        "--calibrate/--no-calibrate",
        envvar="FACENAS_CALIBRATE",
        show_envvar=True,
        help="measure on this machine anew, in about a minute; or take the table as it is "
        "(default: measured once where the table is of another machine, and kept)",
    ),
]


def calibration_asked(calibrate: bool | None) -> "Calibrate":
    """What the option asks for."""
    from facenas.latency.this_machine import Calibrate

    return {None: Calibrate.ONCE, True: Calibrate.ANEW, False: Calibrate.NEVER}[calibrate]
