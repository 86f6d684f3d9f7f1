"""What orders networks as their accuracy does? Scores and costs beside the average precision of judged slices.

    python benchmarks/score_against_accuracy.py TABLE.accuracy.json [OTHER.accuracy.json ...] [--zero-cost 60] [--out F]

Each table holds slices of one supernet (`facenas appraise`). For every table and figure: Kendall's tau with AP of DDSAR by
the paper's constants, by weights learnt on this table (left-out slices) and on each other table; of FLOPs, parameters and the
predicted latency; of the additive model, learnt here (left-out) and elsewhere; and of NASWOT and Zen-score on the first
`--zero-cost` slices. Over all pairs, and over those of equal latency (within 5 %), each with its 90 % interval.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from script import about_this_run, run_script

from facenas.accuracy.accuracy_table import AccuracyTable, load_accuracy_table
from facenas.accuracy.additive_model import fit_additive
from facenas.accuracy.left_out import EQUAL_COST, Model, Tau, left_out, tau_with_interval
from facenas.accuracy.stage_weights import fit_stage_weights
from facenas.architecture import Architecture, parse_architecture
from facenas.arrays import Float64Array
from facenas.cli.bar import progress_bar
from facenas.cli.output import print_table
from facenas.cost import detector_costs
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.files import write_json
from facenas.latency.predictor import OperatorCosts, predict
from facenas.latency.this_machine import TableRequest, table_as_known
from facenas.progress import Progress
from facenas.scoring.ddsar import ScoreSettings, ddsar_score, sar_scores
from facenas.scoring.zero_cost import naswot_score, zen_score
from facenas.spaces.elastic_space import elastic_space
from facenas.units import DEFAULT_INPUT

FIGURES = ("mean", "easy", "medium", "hard", "12-24 px", "24-48 px", "48 px and more")
RESOLUTION_PX = 224


def paper_score(alpha: float, detector: Architecture) -> float:
    """DDSAR as published."""
    settings = ScoreSettings(alpha)
    return ddsar_score(sar_scores(detector.backbone, settings), settings.stage_weights)


def latencies_ms(detectors: Sequence[Architecture]) -> Float64Array:
    """Predicted on the CPU by the table that is known here."""
    space = elastic_space("facenas-elastic").space
    table = table_as_known(TableRequest(resolve_target("cpu"), (DEFAULT_INPUT,), space))
    costs = OperatorCosts(table)
    return np.array([predict(detector, table, DEFAULT_INPUT, costs).latency_ms for detector in detectors])


def taus(said: Float64Array, precision: Float64Array, latency_ms: Float64Array) -> dict[str, Tau]:
    """Over all pairs, and over those of equal latency."""
    equal = np.abs(np.log(latency_ms[:, None] / latency_ms)) <= np.log(EQUAL_COST)
    everything = np.ones_like(equal)
    return {
        "all": tau_with_interval(said, precision, everything),
        "equal latency": tau_with_interval(said, precision, equal),
    }


def precisions(table: AccuracyTable, figure: str) -> Float64Array:
    """AP by slice, at the table's first input."""
    size = next(iter(table.figures))
    return np.array([each.precision[size][figure] for each in table.slices], float)


def compare(
    name: str, tables: Mapping[str, AccuracyTable], zero_cost: int, progress: Progress
) -> dict[str, dict[str, dict[str, Any]]]:
    """By figure and by what orders the slices: its taus with AP."""
    table = tables[name]
    space = elastic_space(table.supernet.space)
    table.require_space(space)
    detectors = [parse_architecture(each.architecture) for each in table.slices]
    latency_ms = latencies_ms(detectors)
    costs = [detector_costs(detector, DEFAULT_INPUT) for detector in detectors]
    said: dict[str, Float64Array] = {
        "DDSAR, paper, alpha 0.25": np.array([paper_score(0.25, detector) for detector in detectors]),
        "DDSAR, paper, alpha 0.005": np.array([paper_score(0.005, detector) for detector in detectors]),
        "FLOPs": np.array([float(each.flops) for each in costs]),
        "parameters": np.array([float(each.params) for each in costs]),
        "latency": latency_ms,
    }
    few: dict[str, list[float]] = {"NASWOT": [], "Zen": []}
    for index, detector in enumerate(detectors[:zero_cost]):
        few["NASWOT"].append(naswot_score(detector, RESOLUTION_PX, 0))
        few["Zen"].append(zen_score(detector, RESOLUTION_PX, 0))
        progress(index + 1, zero_cost, f"zero-cost scores of {name}")
    found: dict[str, dict[str, dict[str, Any]]] = {}
    additive = partial(fit_additive, space=space)
    for figure in (each for each in FIGURES if each in next(iter(table.figures.values()))):
        precision = precisions(table, figure)
        learnt: dict[str, Callable[[Sequence[Architecture], Float64Array], Model]] = {
            "DDSAR, learnt": fit_stage_weights,
            "additive model": additive,
        }
        of_figure = dict(said)
        for what, fit in learnt.items():
            of_figure[f"{what} (left out)"] = left_out(fit, detectors, precision)
            for other, elsewhere in tables.items():
                if other != name:
                    others = [parse_architecture(each.architecture) for each in elsewhere.slices]
                    model = fit(others, precisions(elsewhere, figure))
                    of_figure[f"{what} on {other}"] = np.array([model(detector) for detector in detectors])
        rows = {what: taus(values, precision, latency_ms) for what, values in of_figure.items()}
        for what, values in few.items():
            if values:
                count = len(values)
                rows[f"{what}, {count} slices"] = taus(np.array(values), precision[:count], latency_ms[:count])
        found[figure] = {what: {key: asdict(tau) for key, tau in both.items()} for what, both in rows.items()}
    return found


def main(
    tables: Annotated[list[Path], typer.Argument(help="accuracy tables, one a supernet")],
    zero_cost: Annotated[int, typer.Option(help="how many slices NASWOT and Zen-score are computed of")] = 60,
    out: Annotated[Path | None, typer.Option(help="file for the result")] = None,
) -> None:
    """Compare, and print the mean AP's taus."""
    loaded = {path.name.removesuffix(".accuracy.json"): load_accuracy_table(path) for path in tables}
    if len(loaded) != len(tables):
        raise InputError("two accuracy tables have one name; rename one")
    with progress_bar() as progress:
        found = {name: compare(name, loaded, zero_cost, progress) for name in loaded}
    for name, figures in found.items():
        rows = [
            (what, *(f"{tau['tau']:+.2f} ({tau['low']:+.2f} to {tau['high']:+.2f})" for tau in both.values()))
            for what, both in next(iter(figures.values())).items()
        ]
        print_table(f"tau with AP {next(iter(figures))}, {name}", ("ordered by", "all pairs", "equal latency"), rows)
    if out is not None:
        slices = {name: len(table.slices) for name, table in loaded.items()}
        write_json(out, {**about_this_run(), "slices": slices, "taus": found})


if __name__ == "__main__":
    run_script(main)
