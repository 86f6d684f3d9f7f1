"""`facenas search`: the best DDSAR under the budgets, with its certificate."""

from pathlib import Path
from typing import Annotated

import typer


def search(
    latency: Annotated[list[str] | None, typer.Option(help="budget: 5ms, or device=5ms with several devices")] = None,
    device: Annotated[list[str] | None, typer.Option(help="target; may be given several times (default: cpu)")] = None,
    flops: Annotated[str | None, typer.Option(help="budget of multiply-accumulates, for example 500M")] = None,
    params: Annotated[str | None, typer.Option(help="budget of parameters, for example 0.3M")] = None,
    memory: Annotated[str | None, typer.Option(help="budget of peak activation memory, for example 8MB")] = None,
    layers: Annotated[int | None, typer.Option(help="most layers, as the release counts them")] = None,
    space: Annotated[str, typer.Option(help="search space")] = "facenas-edge",
    input_size: Annotated[str, typer.Option("--input", help="input size, WIDTHxHEIGHT")] = "640x480",
    alpha: Annotated[float, typer.Option(help="weight of the kernel sizes in the score")] = 0.25,
    top: Annotated[int, typer.Option(help="how many of the best, differing in more than kernel sizes")] = 5,
    table: Annotated[
        list[Path] | None, typer.Option(help="latency table of a device (default: the shipped one)")
    ] = None,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="rescale the tables to this machine first")] = False,
    out: Annotated[Path | None, typer.Option(help="folder for search.json")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Find the best score within budgets, provably."""
    from facenas.cli.budgets import parse_budgets
    from facenas.cli.output import note, print_json
    from facenas.cli.progress import progress_bar
    from facenas.cli.results import print_search
    from facenas.cli.tables import open_tables
    from facenas.files import write_json
    from facenas.score import ScoreSettings
    from facenas.search.problem import Problem
    from facenas.search.result import require_top, run_search
    from facenas.search.table_model import TableModel
    from facenas.space import load_space
    from facenas.units import parse_size

    devices = device or ["cpu"]
    require_top(top)
    budgets = parse_budgets(latency or [], devices, flops, params, memory, layers)
    chosen_space, size = load_space(space), parse_size(input_size)
    with progress_bar() as report:
        tables = open_tables(devices, table or [], size, calibrate=calibrate, report=report, note=note)
    problem = Problem(
        chosen_space, ScoreSettings(alpha), size, {name: TableModel(entry) for name, entry in tables.items()}, budgets
    )
    result = run_search(problem, top=top, provenance={name: entry.provenance for name, entry in tables.items()})
    if out is not None:
        write_json(out / "search.json", result.to_json())
    if json:
        print_json(result.to_json())
    else:
        print_search(result)
