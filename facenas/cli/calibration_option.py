"""The option of all commands that speak of milliseconds here: whether a table is made this machine's first."""

from typing import Annotated

import typer

CalibrateOption = Annotated[
    bool | None,
    typer.Option(
        "--calibrate/--no-calibrate",
        envvar="FACENAS_CALIBRATE",
        show_envvar=True,
        help="measure on this machine anew, in half a minute; or take the table as it is "
        "(default: measured once where the table is of another machine, and kept)",
    ),
]
