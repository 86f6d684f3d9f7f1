"""`facenas devices`: the targets there are, whether they can be used or reached, and their tables."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from facenas.devices.own_devices import OwnDevice


def devices(json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False) -> None:
    """List the targets that --device names; own devices elsewhere are asked whether they answer."""
    from concurrent.futures import ThreadPoolExecutor

    from facenas.cli.output import print_json, print_table
    from facenas.devices.own_devices import load_devices
    from facenas.devices.target import JETSON, TARGET_NAMES
    from facenas.devices.targets import resolve_target
    from facenas.runtimes.runtime import why_unavailable

    own = load_devices()
    with ThreadPoolExecutor(max_workers=8) as pool:
        asked = dict(zip(own, pool.map(_why_unreachable, own.values()), strict=True))
    entries: list[dict[str, Any]] = []
    for name in dict.fromkeys((*TARGET_NAMES, *own)):
        target = own[name].target if name in own else resolve_target(name)
        reason = asked[name] if name in own else why_unavailable(target)
        if name == JETSON and name not in own:
            reason = "say where it is: facenas profile --device jetson --host user@host, or facenas device add"
        entries.append(
            {
                "target": name,
                "hardware": target.hardware,
                "runtime": target.runtime,
                "precision": target.precision,
                "available": reason is None,
                "reason": reason,
                **_table_entry(name),
            }
        )
    if json:
        print_json(entries)
        return
    print_table("targets", ("target", "hardware", "runtime", "usable", "table"), map(_row, entries))
    _print_reasons(entries)


def _row(entry: "Mapping[str, Any]") -> tuple[str, ...]:
    table = "none"
    if entry["table"] is not None:
        days = entry["age_days"]
        age = "today" if days == 0 else "1 day" if days == 1 else f"{days} days"
        table = f"{entry['provenance']}, error {entry['error_percent']:.1f} %, {age}"
    runtime = f"{entry['runtime']} {entry['precision']}"
    return entry["target"], entry["hardware"], runtime, "yes" if entry["available"] else "no", table


def _print_reasons(entries: "Sequence[Mapping[str, Any]]") -> None:
    """Below the table, why targets cannot be used, each reason once; and how to make the tables that are missing."""
    targets_of: dict[str, list[str]] = {}
    for entry in entries:
        if entry["reason"] is not None:
            targets_of.setdefault(entry["reason"], []).append(entry["target"])
    for reason, targets in targets_of.items():
        print(f"not usable: {', '.join(targets)}: {reason}")
    for entry in entries:
        if entry["available"] and entry["table"] is None:
            print(f"without a table: {entry['target']}: {_cure(entry['target'])}")


def _cure(name: str) -> str:
    from facenas.devices.targets import resolve_target
    from facenas.runtimes.runtime import runtime_of

    if runtime_of(resolve_target(name)).tells_layers:
        return f"make one: facenas profile --device {name}"
    return "its runtime tells no times of layers, so its files are run and timed, but not predicted"


def _table_entry(name: str) -> dict[str, Any]:
    """What is told of the target's table at the default input: that of ./latency_tables, else the one that ships."""
    from datetime import UTC, datetime

    from facenas.devices.targets import resolve_target
    from facenas.errors import TableError
    from facenas.latency.table import find_table
    from facenas.units import DEFAULT_INPUT

    try:
        table = find_table(resolve_target(name), DEFAULT_INPUT)
    except TableError:
        return {"table": None, "provenance": None, "error_percent": None, "age_days": None}
    made = datetime.fromisoformat(table.date)
    age = datetime.now(UTC) - (made if made.tzinfo else made.replace(tzinfo=UTC))
    return {
        "table": f"{len(table.operators)} operators, {table.date[:10]}",
        "provenance": table.provenance,
        "error_percent": round(table.calibration.error_percent, 1),
        "age_days": max(0, age.days),
    }


def _why_unreachable(device: "OwnDevice") -> str | None:
    """None where the device answers and has its runtime, else why not."""
    from facenas.devices.host import transport_for
    from facenas.errors import FacenasError
    from facenas.remote.remote_agent import RemoteAgent

    try:
        with RemoteAgent(device.target, transport_for(device.host), python=device.python) as agent:
            agent.connect()
    except FacenasError as error:
        return str(error)
    return None
