"""How fast is the exact search, and what does the release's evolution miss?

    python benchmarks/search.py [--seeds 10] [--out F]

The space facenas-edge, whose table ships, under budgets on latency, FLOPs and parameters, as a whole command from a cold
start; its frontier alone; and the release's own search (65 MFLOPs at 224 and 14 layers, alpha 0.25) by the exact search
and by evolution of 96,000 candidates for several seeds. One core; seconds are of CPU time, which other work disturbs less
than the clock. Exit code 1 where a bar is missed.
"""

import json as json_format
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from script import run_script

from facenas.cli.output import note, print_table
from facenas.devices.targets import resolve_target
from facenas.files import write_json
from facenas.latency.table import find_table
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.budgets import Budgets
from facenas.searching.costs import TableModel
from facenas.searching.evolution import EvolutionSettings, run_evolution
from facenas.searching.exact import ExactSearch
from facenas.searching.problem import Problem
from facenas.spaces.named import load_space
from facenas.units import Size

SIZE = Size(640, 480)
COLD_SECONDS, FRONTIER_SECONDS, EVOLUTION_SECONDS = 10.0, 60.0, 10.0
SPACE = "facenas-edge"
ASKED = ("--space", SPACE, "--latency", "10ms", "--flops", "500M", "--params", "0.4M")


@dataclass(frozen=True)
class Row:
    """One figure against its bar."""

    what: str
    value: str
    bar: str
    passed: bool


def cold_search() -> tuple[float, dict[str, Any]]:
    """CPU seconds of the whole command from its start, and its result."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "facenas.cli.main", "search", *ASKED, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, json_format.loads(done.stdout)


def workloads(quick: bool) -> Mapping[str, Callable[[], object]]:
    """What `facenas bench` times: the whole command from its start, and in full runs the frontier."""
    return {"search: cold start": cold_search} | ({} if quick else {"search: whole frontier": frontier})


def frontier() -> tuple[float, int]:
    """CPU seconds and points of that space's whole frontier of score against latency, without any budget."""
    model = TableModel(find_table(resolve_target("cpu"), SIZE))
    start = time.process_time()
    problem = Problem(load_space(SPACE), ScoreSettings(), SIZE, {"cpu": model}, Budgets({}))
    points = len(ExactSearch(problem).frontier(0))
    return time.process_time() - start, points


def released_problem() -> Problem:
    """The release's search for 0.5G."""
    budgets = Budgets({}, layers=14, released_flops=65e6)
    return Problem(load_space("damofd-0.5g"), ScoreSettings(alpha=0.25), SIZE, {}, budgets)


def main(
    seeds: Annotated[int, typer.Option(min=1, help="how many evolutions")] = 10,
    out: Annotated[Path | None, typer.Option(help="JSON file for all figures")] = None,
) -> None:
    """Time the searches and compare their scores."""
    cold_seconds, found = cold_search()
    front_seconds, front_points = frontier()
    start = time.process_time()
    problem = released_problem()
    exact = ExactSearch(problem).solve()
    exact_seconds = time.process_time() - start
    runs: list[dict[str, Any]] = []
    for seed in range(seeds):
        start = time.process_time()
        best = run_evolution(problem, EvolutionSettings(seed), top=1, provenance={}).best
        seconds = round(time.process_time() - start, 2)
        runs.append({"seed": seed, "ddsar": best.ddsar, "seconds": seconds, "architecture": best.architecture})
        note(f"evolution, seed {seed}: {best.ddsar:.6f} in {seconds:.2f} s")
    slowest, most = max(run["seconds"] for run in runs), max(run["ddsar"] for run in runs)
    certificate = found["certificate"]
    optimal = certificate["optimal"] and found["ddsar"] == certificate["bound"]
    rows = [
        Row(
            f"{SPACE} ({certificate['space_size']:,} networks), three budgets, cold start",
            f"{cold_seconds:.1f} s",
            f"{COLD_SECONDS:g} s, certified",
            cold_seconds <= COLD_SECONDS and optimal,
        ),
        Row(
            f"its whole frontier, {front_points} points",
            f"{front_seconds:.1f} s",
            f"{FRONTIER_SECONDS:g} s",
            front_seconds <= FRONTIER_SECONDS,
        ),
        Row(
            "evolution, 96,000 candidates, slowest",
            f"{slowest:.1f} s",
            f"{EVOLUTION_SECONDS:g} s",
            slowest <= EVOLUTION_SECONDS,
        ),
        Row(
            f"released 0.5G space: exact against the best of {seeds} evolutions",
            f"{exact.bound:.6f} against {most:.6f}",
            "at least as good",
            exact.bound >= most - 1e-9,
        ),
        Row("the exact search there", f"{exact_seconds:.1f} s", "", True),
    ]
    verdict = {True: "yes", False: "NO"}
    print_table(
        "search, one core", ("what", "value", "bar", "met"), [(r.what, r.value, r.bar, verdict[r.passed]) for r in rows]
    )
    if out is not None:
        write_json(out, {"rows": [asdict(row) for row in rows], "evolutions": runs, "exact_ddsar": exact.bound})
    if not all(row.passed for row in rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    run_script(main)
