"""The tables of README and docs whose figures come from benchmarks/results: written by this, typed by nobody.

    python benchmarks/tables_of_results.py      # writes them anew, after a benchmark has written its results

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. A test fails where a page and the results differ.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Annotated, Any

import typer
from script import run_script

from facenas.errors import InputError
from facenas.files import read_json, read_text, write_atomic

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
PAGES = (ROOT / "README.md", ROOT / "docs/results.md", ROOT / "docs/formats.md")
_TABLE = re.compile(r"<!-- table: (?P<name>[\w-]+) -->\n(?P<rows>.*?)<!-- end -->", re.DOTALL)
_MAX_BYTES = 1_000_000
_SETTINGS = ("easy", "medium", "hard")
_NAMES = {
    "yunet_n": "YuNet-n",
    "yunet_s": "YuNet-s",
    "scrfd_500m": "SCRFD-500M",
    "scrfd_2.5g": "SCRFD-2.5G",
    "ultra-RFB-320": "Ultra-Light RFB-320",
    "ultra-RFB-640": "Ultra-Light RFB-640",
    "retinaface_mnet0.25": "RetinaFace MobileNet-0.25",
}
_ORDERED_BY = {
    "DDSAR, paper, alpha 0.25": "DDSAR, the paper's weights, alpha 0.25",
    "DDSAR, paper, alpha 0.005": "DDSAR, the paper's weights, alpha 0.005",
    "NASWOT, 40 slices": "NASWOT (40 slices)",
    "Zen, 40 slices": "Zen-score (40 slices)",
    "DDSAR, learnt (left out)": "DDSAR, weights learnt from other slices",
    "additive model (left out)": "additive model of all choices, learnt from other slices",
}
_TARGETS = ("cpu", "cpu-openvino", "cpu-openvino-bf16", "cpu-openvino-int8")
_FRONT_POINTS = 10
_DETECTORS = "detectors-wider_dev100"
_NEIGHBOURS_MS = 15.0
_COLUMNS = ("detector", "input", *(f"AP {name}" for name in _SETTINGS))


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = (columns, ["---"] * len(columns), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def result(name: str) -> Any:
    """What a benchmark wrote."""
    return read_json(RESULTS / f"{name}.json", "benchmark's")


def detectors() -> str:
    """Every detector at every input, by latency on one core; what OpenVINO takes in bfloat16 beside it."""
    other = {(each["name"], each["input"]): each for each in result(f"{_DETECTORS}-cpu-openvino-bf16")["detectors"]}
    found = sorted(result(_DETECTORS)["detectors"], key=lambda each: each["latency_ms"])
    rows = [(*_row(each), f"{other[each['name'], each['input']]['latency_ms']:.1f} ms") for each in found]
    return markdown((*_COLUMNS, "latency, one core", "OpenVINO, bf16"), rows)


def fast_detectors() -> str:
    """Those that are neighbours of ours at the input that they are used at, and YuNet at smaller ones."""
    found = sorted(result(_DETECTORS)["detectors"], key=lambda each: each["latency_ms"])
    rows = [
        _row(each)
        for each in found
        if each["latency_ms"] <= _NEIGHBOURS_MS and (each["usual"] or each["name"].startswith("yunet"))
    ]
    return markdown((*_COLUMNS, "latency, one core"), rows)


def _row(each: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"**{each['name']}**" if each["ours"] else _NAMES[each["name"]],
        each["input"],
        *(f"{each[name]:.3f}" for name in _SETTINGS),
        f"{each['latency_ms']:.1f} ms",
    )


def latency_prediction() -> str:
    """How well tables predict networks that took no part."""

    def row(target: str) -> tuple[str, ...]:
        found = result(f"latency_prediction-{target}")
        shipped, calibrated, alone = found["table"], found["calibrated_table"], found["isolated_sum"]

        def both(key: str, digits: int) -> str:
            return ", ".join(f"{each[key]:.{digits}f} %" for each in (shipped, calibrated))

        return (
            f"`{target}`",
            both("within_5_percent", 0),
            both("mean_error_percent", 1),
            f"{shipped['kendall_tau']:.3f}",
            both("interval_holds_percent", 0),
            f"{100 * mean(abs(off) <= 10 for off in found['p90_off_percent']):.0f} %",
            f"{alone['mean_error_percent']:.0f} %" if alone else "",
        )

    columns = ("target", "within 5 %, calibrated", "mean error, calibrated", "Kendall tau")
    more = (
        "90 % interval holds, calibrated",
        "90th percentile within 10 %",
        "operators timed alone and summed: mean error",
    )
    return markdown((*columns, *more), map(row, (*_TARGETS, "cpu-int8")))


def whole_networks() -> str:
    """How well tables predict where networks were only timed end to end, beside counters where there are any."""

    def row(target: str) -> tuple[str, ...]:
        found = result(f"whole_networks-{target}")
        ways = [found["figures"].get(name) for name in ("counters", "whole networks")]
        cells = [
            "" if way is None else f"{way['within_5_percent']:.0f} %, {way['mean_error_percent']:.1f} %" for way in ways
        ]
        return (f"`{target}`", *cells, f"{found['figures']['whole networks']['kendall_tau']:.3f}")

    columns = ("target", "within 5 % and mean error by counters", "by whole networks", "Kendall tau by whole networks")
    return markdown(columns, map(row, ("cpu", "cpu-openvino-int8", "cpu-litert", "cpu-ncnn")))


def orders() -> str:
    """What orders slices as their mean AP does."""

    def cell(tau: Mapping[str, float]) -> str:
        return f"{tau['tau']:.2f} ({tau['low']:.2f} to {tau['high']:.2f})"

    taus = result("score_against_accuracy")["taus"]["facenas-elastic"]["mean"]
    rows = [(_ORDERED_BY.get(name, name), cell(tau["all"]), cell(tau["equal latency"])) for name, tau in taus.items()]
    return markdown(("ordered by", "all pairs", "equal latency"), rows)


def inputs_front() -> str:
    """Points along the front of AP against latency, the input free; beside each the best at 640x480 that is as fast."""
    found = result("inputs_frontier")
    free, alone = found["free"], found["alone"]
    steps = {round(index * (len(free) - 1) / (_FRONT_POINTS - 1)) for index in range(_FRONT_POINTS)}
    steps |= {index for index, point in enumerate(free) if point["measured_ms"]}

    def row(point: Mapping[str, Any]) -> tuple[str, ...]:
        slower = [each["ap"] for each in alone if each["latency_ms"] <= point["latency_ms"]]
        return (
            f"{point['latency_ms']:.2f} ms",
            f"{point['measured_ms']:.2f} ms" if point["measured_ms"] else "",
            point["input"],
            f"{point['ap']:.3f} ± {point['error_90']:.3f}",
            f"{point['judged_ap']:.3f}",
            f"{max(slower):.3f}" if slower else "none",
        )

    columns = ("latency", "measured", "input", "AP predicted", "judged", "predicted at 640x480 alone")
    return markdown(columns, (row(free[index]) for index in sorted(steps)))


def latency_at_inputs() -> str:
    """How well tables predict between the inputs that they were measured at."""

    def row(path: Path) -> tuple[str, ...]:
        found = read_json(path, "result")
        return (
            f"`{found['device']}`",
            f"{found['table']['error_percent']:.1f} %",
            f"{found['pace']:.2f}",
            f"{found['within_5_percent']:.0f} %",
            f"{found['within_10_percent']:.0f} %",
            f"{found['mean_error_percent']:.1f} %",
            f"{found['kendall_tau']:.3f}",
            f"{found['interval_holds_percent']:.0f} %",
        )

    columns = ("target", "the table's own error", "pace", "within 5 %", "within 10 %", "mean error", "Kendall tau")
    return markdown((*columns, "90 % interval holds"), map(row, sorted(RESULTS.glob("latency_at_inputs-*.json"))))


def trained_alone() -> str:
    """Networks of equal latency that were trained alike, each alone."""
    networks = result("score_against_training")["networks"]
    random = [each for each in networks if each["what"] == "drawn at random"]

    def cells(networks: Sequence[Mapping[str, Any]]) -> list[str]:
        def middle(name: str) -> str:
            values = sorted((each["ap"][0][name] for each in networks), reverse=True)
            spread = (values[0], median(values), values[-1]) if len(values) > 1 else values
            return ", ".join(f"{value:.3f}" for value in spread)

        scores = sorted(each["ddsar"] for each in networks)
        ends = dict.fromkeys(f"{score:.2f}" for score in (scores[0], scores[-1]))
        return [" to ".join(ends), *map(middle, _SETTINGS)]

    rows = [(each["what"], *cells([each])) for each in networks if each["what"] != "drawn at random"]
    rows.append((f"{len(random)} drawn at random: best, median, worst of each", *cells(random)))
    return markdown(("network", "DDSAR", *(f"AP {name}" for name in _SETTINGS)), rows)


def choices_alone() -> str:
    """What the rankings choose at two latencies, and networks drawn at random, each trained alone and alike."""
    rows = [
        (
            each["what"],
            f"{each['latency_ms']:.2f} ms",
            *(f"{each[setting]:.3f}" for setting in _SETTINGS),
            f"{each['mean']:.3f}",
        )
        for latency in ("6ms", "9ms")
        for each in result(f"choices_against_training-{latency}")["networks"]
    ]
    return markdown(("chosen by", "latency", *(f"AP {name}" for name in _SETTINGS), "mean"), rows)


def orders_of_trained() -> str:
    """What orders these networks as their AP does."""
    taus = result("score_against_training")["kendall_tau"]
    names = {"ddsar": "DDSAR", "flops": "FLOPs", "params": "parameters", "naswot": "NASWOT", "zen": "Zen-score"}
    rows = [(f"tau with AP {name}", *(f"{taus[key][name]:.2f}" for key in names)) for name in ("hard", "easy")]
    return markdown(("ordered by", *names.values()), rows)


def install() -> str:
    """What installing takes."""
    found = result("install")
    rows = [(f"`{each['name']}`", f"{each['megabytes']:,} MB", f"{each['seconds']} s") for each in found["installs"]]
    return markdown(("installed", "on the disk", "time"), rows)


def formats_drops() -> str:
    """What each format and precision costs of AP, with its error, and what it is really computed in."""

    def row(each: Mapping[str, Any]) -> tuple[str, ...]:
        gates, ap = each["gates"], each["ap"]
        computed = gates.get("fallbacks", {}).get("note", "; not told").split("; ")[1]
        verdict = {True: "passed", False: "FAILED", None: "too few photos to tell"}[
            gates["average precision"]["passed"]
        ]
        drop = f"{ap['drop']:.4f} ± {ap['drop_error']:.4f}"
        return f"{each['name']}, `{each['target']}`", drop, verdict, f"{gates['boxes']['value']:.3f}", computed

    columns = ("file", "largest AP drop", "gate", "boxes with a partner", "layers computed in")
    return markdown(columns, map(row, result("formats-drops")["formats"]))


def trained_on_a_gpu() -> str:
    """Mean AP of easy, medium and hard by crops seen."""
    each = result("on_a_gpu")["training"]["each"]
    crops = [int(count) for count in next(iter(each.values()))["ap_by_crops"]][::2]
    rows = [
        (name, *(f"{mean(found['ap_by_crops'][str(count)]):.3f}" for count in crops)) for name, found in each.items()
    ]
    return markdown(("mean AP after", *(f"{count / 1e6:.2f} M crops" for count in crops)), rows)


def close_ups() -> str:
    """Faces found by their size and turn, before and after crops as large as the input, turned."""
    found = result("close_ups")["trainings"]
    sizes, turns = ("10%", "40%", "60%", "80%", "95%"), ("15", "30", "45")
    rows = [
        (
            each["name"],
            *(f"{each['size'][size]:.2f}" for size in sizes),
            *(f"{each['roll'][turn]:.2f}" for turn in turns),
            " / ".join(f"{each[setting]:.3f}" for setting in _SETTINGS),
        )
        for each in found
    ]
    columns = (*(f"side {size}" for size in sizes), *(f"turned {turn}°" for turn in turns))
    return markdown(("faces found", *columns, "AP easy / medium / hard"), rows)


def whose_faces() -> str:
    """One budget, two kinds of faces: each answer on both."""
    answers = result("whose_faces")["answers"]
    rows = [
        (
            f"{each['input']}, for a {kind}",
            *(f"{each[photos][faces]:.3f}" for faces in answers for photos in ("real_ap", "synthetic_ap")),
            *(f"{recall:.3f}" for recall in each["close_ups"].values()),
        )
        for kind, each in answers.items()
    ]
    judged = [f"AP of a {faces}'s faces, {photos}" for faces in answers for photos in ("photos", "synthetic")]
    shares = next(iter(answers.values()))["close_ups"]
    return markdown(("chosen", *judged, *(f"recall, close-ups of {share}" for share in shares)), rows)


def landmarks() -> str:
    """How far the five points are off, by size of face."""
    found = result("landmarks")["detectors"]
    sizes = [name for name in found[0]["by_size"] if any(each["by_size"][name] is not None for each in found)]

    def cells(each: Mapping[str, Any]) -> Iterable[str]:
        errors = (each["mean"], *(each["by_size"][name] for name in sizes))
        return ("" if error is None else f"{100 * error:.1f} %" for error in errors)

    rows = [(_NAMES.get(each["name"], f"`{each['name']}`"), *cells(each)) for each in found]
    return markdown(("landmarks off", "all", *sizes), rows)


def fine_tuning() -> str:
    """A detector before and after a few epochs of other photos, on those that took no part and on WIDER FACE's."""
    found = result("fine_tuning")
    rows = [
        (
            f"{each['learning_rate']:g}" if each["learning_rate"] else "before",
            f"{each['held_out']['all']:.3f}",
            ", ".join(f"{each['elsewhere'][setting]:.3f}" for setting in _SETTINGS),
        )
        for each in found["judged"]
    ]
    columns = (f"AP on the {found['held_out']} photos", "AP easy, medium, hard on the 100 of WIDER FACE val")
    return markdown(("learning rate", *columns), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "install": install,
    "detectors": detectors,
    "fast-detectors": fast_detectors,
    "trained-on-a-gpu": trained_on_a_gpu,
    "close-ups": close_ups,
    "fine-tuning": fine_tuning,
    "landmarks": landmarks,
    "latency-prediction": latency_prediction,
    "latency-at-inputs": latency_at_inputs,
    "whole-networks": whole_networks,
    "orders": orders,
    "inputs-front": inputs_front,
    "whose-faces": whose_faces,
    "trained-alone": trained_alone,
    "choices-alone": choices_alone,
    "orders-of-trained": orders_of_trained,
    "formats-drops": formats_drops,
}


def with_tables(page: str) -> str:
    """The page with each of its tables as the results have it. Raises InputError for a name that is none."""

    def table(match: re.Match[str]) -> str:
        if match["name"] not in TABLES:
            raise InputError(f"no table '{match['name']}'; there are {', '.join(TABLES)}")
        return f"<!-- table: {match['name']} -->\n{TABLES[match['name']]()}<!-- end -->"

    return _TABLE.sub(table, page)


def main(
    pages: Annotated[list[Path] | None, typer.Argument(help="pages (default: README, docs: results, formats)")] = None,
    check: Annotated[bool, typer.Option("--check", help="write nothing; exit code 1 where a page differs")] = False,
) -> None:
    """Write the tables of the pages anew."""
    differ = False
    for path in pages or PAGES:
        text = read_text(path, "page", _MAX_BYTES)
        if (written := with_tables(text)) != text:
            differ = True
            print(f"{path}: {'differs from benchmarks/results' if check else 'written anew'}")
            if not check:
                write_atomic(path, written)
    if check and differ:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_script(main)
