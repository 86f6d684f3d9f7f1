"""How right are predictions at inputs that were not profiled? Unseen networks at ten of them, predicted and measured.

    python benchmarks/latency_at_inputs.py --device cpu [--networks 40] [--seconds 120] [--out F]

The table is this machine's (made now, in about a minute, where there is none): its operators were measured at a few inputs and
lie between them at all others (docs/inputs.md). The networks are random ones of the default space, four at each input, all
measured in turns in one run, at the table's pace (facenas/runtimes/companion.py). Where a compiler estimates the target, its
estimate of each network stands for the measurement.
Exit code 1 where fewer than 97 % are within 5 %, one is off by more than 10 %, or the mean error is above 1.5 %.
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from latency_prediction import measure
from prediction_figures import accuracy, held_percent
from script import about_this_run, run_script

from facenas.cli.bar import progress_bar
from facenas.cli.output import note, print_table
from facenas.devices.targets import resolve_target
from facenas.files import write_json
from facenas.latency.carriers import random_networks
from facenas.latency.predictor import predict
from facenas.latency.this_machine import TableRequest, facts_of_table, table_of_this_machine
from facenas.runtimes.timing import low_quantile
from facenas.spaces import DEFAULT_SPACE
from facenas.spaces.named import load_space
from facenas.units import Size, parse_size

SEED = 5  # a profile draws its own networks with others
INPUTS = tuple(
    map(
        parse_size,
        ("224x192", "320x224", "352x288", "384x288", "416x320", "512x384", "576x448", "736x416", "800x608", "896x672"),
    )
)
WITHIN_5_PERCENT, MEAN_ERROR_PERCENT, WORST_PERCENT = 97.0, 1.5, 10.0


@dataclass(frozen=True)
class Compared:
    """One network at one input."""

    architecture: str
    input: str
    predicted_ms: float
    low_ms: float
    high_ms: float
    measured_ms: float


def main(
    device: Annotated[str, typer.Option(help="target")] = "cpu",
    networks: Annotated[int, typer.Option(min=10, help="unseen networks, over all inputs")] = 40,
    seconds: Annotated[float, typer.Option(help="time to measure them for")] = 120.0,
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Compare predicted with measured latencies between the profiled inputs."""
    target, space = resolve_target(device), load_space(DEFAULT_SPACE)
    drawn = random_networks(space, networks, seed=SEED)
    cases = [(detector, INPUTS[place % len(INPUTS)]) for place, detector in enumerate(drawn)]
    with progress_bar() as report:
        table = table_of_this_machine(TableRequest(target, INPUTS, space), report)
        profiled = {str(size) for size in (table.input_size, *table.other_inputs)}
        samples, rounds, companion_ns = measure(target, cases, seconds, report)
    pace = table.companion_ns / companion_ns if table.companion_ns and companion_ns else 1.0
    compared = []
    for (detector, size), taken in zip(cases, samples, strict=True):
        if not len(taken):
            continue
        predicted = predict(detector, table, size)
        interval = round(predicted.latency_ms, 4), round(predicted.low_ms, 4), round(predicted.high_ms, 4)
        compared.append(Compared(str(detector), str(size), *interval, round(pace * low_quantile(taken) / 1e6, 4)))
    figures = accuracy((each.predicted_ms for each in compared), [each.measured_ms for each in compared])
    figures["interval_holds_percent"] = held_percent((each.low_ms, each.measured_ms, each.high_ms) for each in compared)
    if out is not None:
        about = about_this_run() | {
            "device": device,
            "rounds": rounds,
            "pace": round(pace, 4),
            "profiled": sorted(profiled),
        }
        about |= {"table": asdict(facts_of_table(table))}
        write_json(out, about | figures | {"networks": [asdict(each) for each in compared]})
    note(f"{device}: {facts_of_table(table).words}")
    print_table(
        f"{device}: {len(compared)} networks at {len(INPUTS)} inputs, {rounds} rounds, at {pace:.2f} of the table's pace",
        ("input", *(str(size) for size in INPUTS)),
        [("off, %", *(off_at(compared, size) for size in INPUTS))],
    )
    print_table(
        "all", tuple(name.replace("_", " ") for name in figures), [[f"{each:.2f}" for each in figures.values()]]
    )
    missed = figures["within_5_percent"] < WITHIN_5_PERCENT or figures["mean_error_percent"] > MEAN_ERROR_PERCENT
    if missed or figures["worst_error_percent"] > WORST_PERCENT:
        sys.exit(1)


def off_at(compared: list[Compared], size: Size) -> str:
    """By how much the predictions at an input are off, the least and the most."""
    off = [100 * (each.predicted_ms / each.measured_ms - 1) for each in compared if each.input == str(size)]
    return f"{min(off):+.1f} to {max(off):+.1f}"


if __name__ == "__main__":
    run_script(main)
