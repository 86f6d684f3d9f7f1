"""How right are predicted latencies? Networks that took no part in the table, predicted and measured in one run.

    python benchmarks/latency_prediction.py --device cpu [--table F] [--second-table F] [--seconds 120] [--out F]

Random networks of the table's space, and with --published the published detectors that the table reaches to, are measured
end to end in turns (20th percentile of the visits to a quiet machine, as in a profile). Beside the table's prediction
stand two others: that of the table after `facenas calibrate`, done right before, with its seconds; and with --isolated
what the usual table gives, the sum of all operators timed alone, each as a network of one node. With a second table, made
by another profile of this machine, the two tables' predictions are compared. Exit code 1 where a table of this kind of
machine, or else the calibrated one, misses a bar.
"""

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import typer
from onnx import TensorProto, helper, numpy_helper
from prediction_figures import Bars, Compared, summary
from script import about_this_run, run_script

from facenas.architecture import PUBLISHED_NAMES, Architecture, published_detector
from facenas.arrays import IntArray
from facenas.cli.bar import progress_bar
from facenas.cli.output import note, print_table
from facenas.devices.cpu import pin_to_cores
from facenas.devices.fingerprint import differences
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.errors import InputError, TableError
from facenas.files import write_json
from facenas.graph import inventory
from facenas.latency.carriers import random_networks
from facenas.latency.journal import Visit
from facenas.latency.operator_times import (
    companion_ns,
    end_to_end_samples,
    network_to_visit,
    quiet_so_far_ns,
    undisturbed_visit,
)
from facenas.latency.predictor import OperatorCosts, predict
from facenas.latency.short_profile import short_profile
from facenas.latency.table import LatencyTable, find_table, load_table
from facenas.operators import Kind, Operator
from facenas.quiet import Patience
from facenas.runtimes.local_agent import LocalAgent
from facenas.runtimes.runtime import load_model, read_fingerprint, runtime_of
from facenas.runtimes.timing import latency_of, low_quantile
from facenas.spaces.named import load_space
from facenas.spaces.space import Space
from facenas.units import Size, parse_size

SEED = 2  # a profile draws its calibration networks with another
RUNS_PER_VISIT = 4
MIN_ROUNDS = 5


def main(
    device: Annotated[str, typer.Option(help="target")] = "cpu",
    table: Annotated[Path | None, typer.Option(help="latency table (default: the shipped one)")] = None,
    second_table: Annotated[Path | None, typer.Option(help="table of a second profile of this machine")] = None,
    space: Annotated[str | None, typer.Option(help="search space to draw from (default: the table's)")] = None,
    input: Annotated[str, typer.Option(help="network input, WIDTHxHEIGHT")] = "640x480",
    networks: Annotated[int, typer.Option(help="random networks to compare")] = 40,
    seconds: Annotated[float, typer.Option(help="time to measure them for")] = 120.0,
    published: Annotated[bool, typer.Option("--published", help="also the published detectors")] = False,
    isolated: Annotated[bool, typer.Option("--isolated", help="also time every operator alone")] = False,
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Compare predicted with measured latencies."""
    target, size = resolve_target(device), parse_size(input)
    found = find_table(target, size, table)
    if isolated and (target.runtime, target.precision) == ("onnxruntime", "int8"):
        raise InputError(f"{target}: quantising takes whole networks, no single operators; add --no-isolated")
    differs = differences(found.fingerprint, read_fingerprint(target))
    for difference in differs:
        note(f"the table is from another machine: {difference}")
    drawn_from = load_space(space or found.space)
    detectors = networks_to_compare(found, drawn_from, networks, published=published)
    with progress_bar() as report:
        start = time.monotonic()
        calibrated = short_profile(
            target,
            drawn_from,
            size,
            found,
            progress=lambda done, total: report(done, total, "calibrating"),
        )
        calibrating_s = time.monotonic() - start
        samples, rounds, _ = measure(target, [(each, size) for each in detectors.values()], seconds, report)
        alone = {}
        if isolated:
            operators = sorted({entry for detector in detectors.values() for entry in inventory(detector, size)})
            for index, operator in enumerate(operators, 1):
                alone[operator] = time_alone(operator, target)
                report(index, len(operators), "timing operators alone")
    compared = compare(found, calibrated, detectors, samples, alone)
    second = None if second_table is None else disagreement_percent(found, load_table(second_table), detectors.values())
    result = summary(compared, Bars(), second) | {
        "device": device,
        "space": drawn_from.name,
        "input": input,
        "rounds": rounds,
        "table_of_this_machine": not differs,
        "calibrating_s": round(calibrating_s, 1),
        "p90_off_percent": p90_off_percent(calibrated, detectors, samples),
    }
    if out is not None:
        about = about_this_run() | {"table_date": found.date}
        write_json(out, about | result | {"networks": [asdict(entry) for entry in compared]})
    show(result)
    if result["missed_when_calibrated" if differs else "missed"]:
        sys.exit(1)


def networks_to_compare(table: LatencyTable, space: Space, count: int, *, published: bool) -> dict[str, Architecture]:
    """Random networks of the space and those published detectors that the table reaches to, by name."""
    random = random_networks(space, count, seed=SEED)
    detectors = {str(detector): detector for detector in random}
    for name in PUBLISHED_NAMES if published else ():
        try:
            predict(published_detector(name), table, table.input_size)
        except TableError as error:
            note(f"left out {name}: {error}")
            continue
        detectors[name] = published_detector(name)
    return detectors


def measure(
    target: Target, cases: Sequence[tuple[Architecture, Size]], seconds: float, report: Any
) -> tuple[list[IntArray], int, int]:
    """Nanoseconds of the runs of each network while the machine was quiet, in turns for `seconds`; the rounds; and what the
    companion took. One that cannot be measured is named and has no runs."""
    networks = [network_to_visit(detector, size, layers=False) for detector, size in cases]
    visits: list[Visit] = []
    estimates = runtime_of(target).estimates  # the same each time, whatever else the machine does
    patience, least_rounds = Patience(note, judges=not estimates), 1 if estimates else MIN_ROUNDS
    start, rounds = time.monotonic(), 0
    with LocalAgent(target) as agent:
        while rounds < least_rounds or time.monotonic() - start < seconds:
            for index in np.random.default_rng(rounds).permutation(len(networks)):
                ask = partial(
                    agent.measure, *cases[index], runs=RUNS_PER_VISIT, layers=False, quiet_ns=quiet_so_far_ns(visits)
                )
                visits.append(undisturbed_visit(ask, networks[index], rounds, patience))
                spent = min(time.monotonic() - start, seconds)
                report(int(spent), int(seconds), f"measuring on {target}, round {rounds + 1}")
            rounds += 1
    for failure in sorted({f"left out, {visit.network}: {visit.failure}" for visit in visits if visit.sample is None}):
        note(failure)
    taken = {network.key: samples for network, samples in end_to_end_samples(visits, networks)}
    none = np.zeros(0, np.int64)
    return [taken.get(network.key, none) for network in networks], rounds, companion_ns(visits)


def p90_off_percent(
    table: LatencyTable, detectors: dict[str, Architecture], samples: Sequence[IntArray]
) -> list[float]:
    """By how many percent the 90th percentile of each network is off the prediction of the calibrated table."""
    costs, ratio, off_percent = OperatorCosts(table), table.calibration.p90_ratio or 1.0, []
    for detector, taken in zip(detectors.values(), samples, strict=True):
        predicted_ms = ratio * predict(detector, table, table.input_size, costs).latency_ms
        off_percent.append(round(100 * (float(np.quantile(taken, 0.9)) / 1e6 / predicted_ms - 1), 2))
    return off_percent


def time_alone(operator: Operator, target: Target) -> float:
    """Milliseconds of a network of this one operator, 20th percentile of 15 runs."""
    model = load_model(lone_operator(operator).SerializeToString(), target, timing_only=True)
    pin_to_cores(target.threads)
    shape = (1, operator.in_channels, operator.height_px, operator.width_px)
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    times = []
    for _ in range(18):
        start = time.perf_counter_ns()
        model.run(x)
        times.append(time.perf_counter_ns() - start)
    return low_quantile(np.array(times[3:], np.int64)) / 1e6


def lone_operator(operator: Operator) -> onnx.ModelProto:
    """An ONNX model of one fused operator; a residual is a constant."""
    generator = np.random.default_rng(0)
    out_shape = [1, operator.out_channels, operator.out_height_px, operator.out_width_px]
    in_shape = [1, operator.in_channels, operator.height_px, operator.width_px]
    constants, nodes = {}, []
    if operator.kind is Kind.UPSAMPLE:
        constants["scales"] = np.array([1, 1, 2, 2], np.float32)
        attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        nodes.append(helper.make_node("Resize", ["x", "", "scales"], ["y"], **attributes))
    else:
        groups = operator.in_channels if operator.kind is Kind.DEPTHWISE else 1
        kernel = operator.kernel_size
        weight_shape = (operator.out_channels, operator.in_channels // groups, kernel, kernel)
        constants["weight"] = generator.standard_normal(weight_shape, dtype=np.float32)
        constants["bias"] = generator.standard_normal(operator.out_channels, dtype=np.float32)
        steps = ["conv", *(["Add"] if operator.add else []), *(["Relu"] if operator.relu else [])]
        names = [*(f"step{index}" for index in range(len(steps) - 1)), "y"]
        pads, strides = [kernel // 2] * 4, [operator.stride] * 2
        inputs = ["x", "weight", "bias"]
        nodes.append(helper.make_node("Conv", inputs, [names[0]], pads=pads, strides=strides, group=groups))
        for index, step in enumerate(steps[1:], 1):
            inputs = [names[index - 1]]
            if step == "Add":
                constants["residual"] = generator.standard_normal(out_shape, dtype=np.float32)
                inputs.append("residual")
            nodes.append(helper.make_node(step, inputs, [names[index]]))
    ends = (("x", in_shape), ("y", out_shape))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "operator", values[:1], values[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def compare(
    table: LatencyTable,
    calibrated: LatencyTable,
    detectors: dict[str, Architecture],
    samples: Sequence[IntArray],
    alone: dict[Operator, float],
) -> list[Compared]:
    """Prediction and measurement of every network."""
    costs = OperatorCosts(table), OperatorCosts(calibrated)
    compared = []
    for (name, detector), taken in zip(detectors.items(), samples, strict=True):
        latency = latency_of(taken)
        lone = sum(alone[operator] for operator in inventory(detector, table.input_size)) if alone else None
        stored = predict(detector, table, table.input_size, costs[0])
        fresh = predict(detector, calibrated, table.input_size, costs[1])
        compared.append(
            Compared(
                name,
                latency.latency_ms,
                latency.spread_ms,
                stored.latency_ms,
                stored.low_ms,
                stored.high_ms,
                fresh.latency_ms,
                fresh.low_ms,
                fresh.high_ms,
                lone,
            )
        )
    return compared


def disagreement_percent(one: LatencyTable, other: LatencyTable, detectors: Iterable[Architecture]) -> float:
    """Median over the networks of how far two tables' predictions are apart."""
    pairs = [[predict(entry, table, one.input_size).latency_ms for table in (one, other)] for entry in detectors]
    return float(np.median([100 * abs(first / second - 1) for first, second in pairs]))


def show(result: dict[str, Any]) -> None:
    """The result as a table."""
    columns = [
        ("this table", result["table"]),
        ("calibrated", result["calibrated_table"]),
        ("isolated operators", result["isolated_sum"]),
    ]
    kinds = [(name, figures) for name, figures in columns if figures is not None]
    rows = [
        (key.replace("_", " "), *(f"{figures[key]:.3f}" if key in figures else "" for _, figures in kinds))
        for key in result["table"]
    ]
    title = (
        f"{result['device']}: {result['count']} networks, {result['fastest_ms']:.1f} to {result['slowest_ms']:.0f} ms, "
        f"{result['rounds']} rounds"
    )
    print_table(title, ("", *(name for name, _ in kinds)), rows)
    if result["second_table_median_difference_percent"] is not None:
        print(f"a second profile differs by {result['second_table_median_difference_percent']:.2f} % at the median")
    off = np.abs(result["p90_off_percent"])
    print(
        f"calibrated in {result['calibrating_s']:.0f} s; the 90th percentile is off by {np.median(off):.1f} % at the median, "
        f"within 10 % for {100 * np.mean(off <= 10):.0f} %"
    )
    for column, missed in (("this table", "missed"), ("calibrated", "missed_when_calibrated")):
        print(f"{column}: " + ("missed " + ", ".join(result[missed]) if result[missed] else "every bar is met"))


if __name__ == "__main__":
    run_script(main)
