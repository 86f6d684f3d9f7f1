"""`facenas devices`: the targets there are, whether they can be used or reached, and their tables."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facenas.steps.devices import Device


def devices(json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False) -> None:
    """List the targets that --device names; own devices elsewhere are asked whether they answer."""
    from facenas.cli.output import print_json, print_table
    from facenas.steps.devices import list_devices

    found = list_devices()
    if json:
        print_json([entry.to_json() for entry in found])
        return
    print_table("targets", ("target", "hardware", "runtime", "usable", "table"), map(_row, found))
    _print_reasons(found)


def _row(entry: "Device") -> tuple[str, ...]:
    table = "none"
    if entry.table is not None:
        age = {0: "today", 1: "1 day"}.get(entry.age_days or 0, f"{entry.age_days} days")
        table = f"{entry.provenance}, error {entry.error_percent:.1f} %, {age}"
    usable = "yes" if entry.available else "no"
    return entry.target, entry.hardware, f"{entry.runtime} {entry.precision}", usable, table


def _print_reasons(found: "Sequence[Device]") -> None:
    """Below the table, why targets cannot be used, each reason once; and how to make the tables that are missing."""
    from facenas.cli.output import tell

    targets_of: dict[str, list[str]] = {}
    for entry in found:
        if entry.reason is not None:
            targets_of.setdefault(entry.reason, []).append(entry.target)
    for reason, targets in targets_of.items():
        tell(f"not usable: {', '.join(targets)}: {reason}")
    for entry in found:
        if entry.available and entry.table is None:
            tell(f"without a table: {entry.target}: {entry.cure}")
