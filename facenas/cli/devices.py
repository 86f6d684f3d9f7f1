"""`facenas devices`: the targets there are, whether they can be used here, and their tables."""

from typing import Annotated, Any

import typer


def devices(json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False) -> None:
    """List the targets that --device names."""
    from facenas.cli.output import print_json, print_table
    from facenas.devices.targets import TARGET_NAMES, resolve_target, why_unavailable
    from facenas.latency.shipped import shipped_table_path
    from facenas.latency.table import load_table

    entries: list[dict[str, Any]] = []
    for name in TARGET_NAMES:
        target = resolve_target(name)
        reason = why_unavailable(target)
        path = shipped_table_path(name)
        table = None if path is None else load_table(path)
        entries.append(
            {
                "target": name,
                "hardware": target.hardware,
                "runtime": target.runtime,
                "precision": target.precision,
                "available": reason is None,
                "reason": reason,
                "table": None if table is None else f"{len(table.operators)} operators, {table.date[:10]}",
                "provenance": None if table is None else table.provenance,
                "error_percent": None if table is None else round(table.calibration.error_percent, 1),
            }
        )
    if json:
        print_json(entries)
        return
    rows = [
        (
            entry["target"],
            entry["hardware"],
            f"{entry['runtime']} {entry['precision']}",
            "yes" if entry["available"] else entry["reason"],
            entry["table"] or f"none; facenas profile --device {entry['target']}",
            "" if entry["provenance"] is None else f"{entry['provenance']}, mean error {entry['error_percent']:.0f} %",
        )
        for entry in entries
    ]
    print_table("targets", ("target", "hardware", "runtime", "available", "table", "provenance"), rows)
