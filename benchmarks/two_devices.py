"""Do two devices want different networks? The best for each at equal ranks of latency, and the operators that account for it.

    python benchmarks/two_devices.py --device cpu --device web [--table F] [--networks 300] [--input 640x480] [--out F]

Random networks of the default space tell how the two devices order networks (Kendall's tau), and where their time goes. At a
rank each device has the budget that so many of these networks keep; within it the best by predicted AP is found exactly. What
the best for the other device is worth here is told beside it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import fsum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from prediction_figures import accuracy
from script import about_this_run, run_script

import facenas
from facenas.cli.bar import progress_bar
from facenas.cli.output import print_table, tell
from facenas.errors import InputError
from facenas.files import write_json
from facenas.latency.carriers import random_networks
from facenas.latency.predictor import OperatorCosts, Prediction, predict
from facenas.latency.table import LatencyTable
from facenas.latency.this_machine import Calibrate
from facenas.progress import Progress
from facenas.searching.budgets import Budgets
from facenas.searching.objective import Objective
from facenas.spaces import DEFAULT_SPACE
from facenas.spaces.named import load_space
from facenas.steps.search import SearchSettings
from facenas.steps.tables import open_tables
from facenas.units import DEFAULT_INPUT, Size, parse_size

RANKS_PERCENT = (10, 25, 50, 75)
SEED = 11


@dataclass(frozen=True)
class Best:
    """The best for a device within the latency that `rank_percent` of the networks keep there, and what it takes on both."""

    device: str
    rank_percent: int
    budget_ms: float
    architecture: str
    ap: float
    latency_ms: dict[str, float]


def shares_percent(predictions: Sequence[Prediction], input_size: Size) -> dict[str, float]:
    """The mean share of a network's time by kind of operator, and by how many times smaller than the input is what it
    writes; what no operator accounts for is `rest`."""
    shares: dict[str, float] = defaultdict(float)
    for predicted in predictions:
        for cost in predicted.operators:
            operator = cost.operator
            smaller = input_size.width_px // operator.out_width_px
            name = f"{operator.kind} {operator.kernel_size}x{operator.kernel_size} at 1/{smaller}"
            shares[name] += cost.latency_us / 1e3 / predicted.latency_ms / len(predictions)
    shares["rest"] = 1 - fsum(shares.values())
    return {name: round(100 * share, 1) for name, share in shares.items()}


def best_networks(
    tables: dict[str, LatencyTable], latencies_ms: dict[str, list[float]], input_size: Size, progress: Progress
) -> list[Best]:
    """For each rank and device."""
    found = []
    for rank in RANKS_PERCENT:
        for device, taken_ms in latencies_ms.items():
            budget_ms = float(np.percentile(taken_ms, rank))
            best = facenas.search(
                device=list(tables),
                budgets=Budgets({device: budget_ms}),
                input_size=input_size,
                settings=SearchSettings(rank_by=Objective.ACCURACY),
                tables=list(tables.values()),
                progress=progress,
            ).best
            latency_ms = {name: round(value, 3) for name, value in best.latency_ms.items()}
            found.append(
                Best(device, rank, round(budget_ms, 3), best.architecture, round(best.ap or 0.0, 4), latency_ms)
            )
    return found


def row_of(best: Best, other: Best) -> list[str]:
    """A best beside the other device's of that rank."""
    over = other.latency_ms[best.device] / best.budget_ms - 1
    worth = "the same" if other.architecture == best.architecture else f"AP {other.ap:.3f}"
    there = f", {100 * over:.0f} % over the budget" if over > 0 else ""
    own = f"{best.latency_ms[best.device]:.2f} ms, AP {best.ap:.3f}"
    return [best.device, f"{best.rank_percent} %", f"{best.budget_ms:.2f} ms", own, f"{worth}{there}"]


def main(
    device: Annotated[list[str], typer.Option(help="target, twice")],
    table: Annotated[
        list[Path] | None, typer.Option(help="latency table (default: this machine's); repeatable")
    ] = None,
    networks: Annotated[int, typer.Option(min=30, help="random networks that tell the ranks")] = 300,
    input_size: Annotated[str, typer.Option("--input", help="network input")] = str(DEFAULT_INPUT),
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Rank networks on both, search for both."""
    if len(set(device)) != 2:
        raise InputError(f"two devices are compared, not {len(set(device))}; give --device twice")
    space, size = load_space(DEFAULT_SPACE), parse_size(input_size)
    with progress_bar() as progress:
        tables = open_tables(device, table or [], [size], space, calibrate=Calibrate.ONCE, progress=progress)
        drawn = random_networks(space, networks, seed=SEED)
        predictions = {}
        for name, opened in tables.items():
            costs = OperatorCosts(opened, size)
            predictions[name] = [predict(detector, opened, size, costs) for detector in drawn]
        latencies_ms = {name: [each.latency_ms for each in found] for name, found in predictions.items()}
        bests = best_networks(tables, latencies_ms, size, progress)
    tau = accuracy(*latencies_ms.values())["kendall_tau"]
    shares = {name: shares_percent(found, size) for name, found in predictions.items()}
    tell(f"Kendall's tau of {networks} networks at {size}: {tau:.3f}")
    kinds = sorted({kind for each in shares.values() for kind in each}, key=lambda kind: (len(kind), kind))
    rows = [[kind, *(f"{each.get(kind, 0.0):.1f} %" for each in shares.values())] for kind in kinds]
    print_table("where the time goes", ("operators", *shares), rows)
    rows = []
    for first, second in zip(bests[::2], bests[1::2], strict=True):
        rows += [row_of(first, second), row_of(second, first)]
    print_table("the best", ("for", "rank", "budget", "best", "the other's best here"), rows)
    if out is not None:
        about = {"input": str(size), "networks": networks, "kendall_tau": round(tau, 4), "shares_percent": shares}
        write_json(out, about_this_run() | about | {"best": [asdict(each) for each in bests]})


if __name__ == "__main__":
    run_script(main)
