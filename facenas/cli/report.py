"""`facenas report`: pages about what there is already: of a run, of a latency table."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.units import DEFAULT_INPUT


def report_table(
    table: Annotated[str, typer.Argument(help="device whose table is drawn, for example cpu, or a table file (.json)")],
    input_size: Annotated[str, typer.Option("--input", help="network input of a device's table, WIDTHxHEIGHT")] = str(
        DEFAULT_INPUT
    ),
    out: Annotated[Path | None, typer.Option(help="page to write (default: latency-table-DEVICE.html)")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Draw a latency table: cost against FLOPs, predicted against measured."""
    from facenas.cli.output import print_json, tell
    from facenas.devices.targets import resolve_target
    from facenas.files import plain_name, require_no_input
    from facenas.latency.table import find_table, load_table
    from facenas.report.table_page import write_table_page
    from facenas.units import parse_size

    if table.endswith(".json"):
        latency_table = load_table(Path(table))
    else:
        latency_table = find_table(resolve_target(table), parse_size(input_size))
    path = out or Path(f"latency-table-{plain_name(latency_table.target)}.html")
    require_no_input(path, [Path(table)])
    write_table_page(latency_table, path)
    if json:
        print_json(
            {
                "page": str(path),
                "target": latency_table.target,
                "provenance": latency_table.provenance,
                "operators": len(latency_table.operators),
                "networks": len(latency_table.calibration.pairs_ms),
            }
        )
    else:
        tell(str(path))


def report_run(
    run: Annotated[Path, typer.Argument(help="run folder, as `facenas run` wrote it")],
    out: Annotated[Path | None, typer.Option(help="page to write (default: report.html in the folder)")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Write the page of a run again, from the files in its folder."""
    from facenas.cli.output import print_json, tell
    from facenas.report.run_page import write_report

    page = write_report(run, out)
    if json:
        print_json({"page": str(page), "run_dir": str(run)})
    else:
        tell(str(page))
