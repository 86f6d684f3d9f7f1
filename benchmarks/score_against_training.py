"""Does the search choose well? Networks of equal latency, each trained alone and alike: the choices of the scores, and chance.

    python benchmarks/score_against_training.py --data DIR --val DIR [--latency 6ms --latency 9ms] [--drawn 5] [--epochs 15]
        [--twice 0] [--work DIR] [--out F]

At each latency on `cpu`, input 640x480: what the search chooses by DDSAR with the paper's weights, by DDSAR with the learnt
weights and by the accuracy table, and networks of the default space drawn at random, all measured in turns in one run; a
drawn one that is more than 5 % from its group's median is left out. Each is trained by the default recipe (with `--twice`,
the first so many of each latency from a second seed, too) and judged through its exported file. Beside AP stand what the
formulas say, and Kendall's tau of each with AP. What `--work` already holds is not done again.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Any

import numpy as np
import typer
from latency_prediction import measure
from script import about_this_run, run_script

from facenas.accuracy.accuracy_table import AccuracyTable, load_accuracy_table
from facenas.accuracy.predicted_ap import predicted_ap
from facenas.architecture import Architecture, parse_architecture
from facenas.cli.bar import progress_bar
from facenas.cli.output import note, print_table
from facenas.cost import detector_costs
from facenas.devices.cpu import cores
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.files import read_json, write_json
from facenas.latency.predictor import OperatorCosts, predict
from facenas.latency.this_machine import TableRequest, table_as_known
from facenas.ranking.halving import RungResult, RungTask, kendall_tau, one_after_another, run_unfinished
from facenas.ranking.workers import workers
from facenas.runtimes.timing import low_quantile
from facenas.scoring.ddsar import ScoreSettings, ddsar_score, sar_scores
from facenas.scoring.zero_cost import naswot_score, zen_score
from facenas.searching.budgets import Budgets
from facenas.searching.objective import Objective
from facenas.spaces import DEFAULT_SPACE
from facenas.spaces.named import load_space
from facenas.steps.search import SearchSettings, search
from facenas.training.photos import training_photos
from facenas.training.recipe import Recipe
from facenas.units import DEFAULT_INPUT, parse_latency_ms
from facenas.zoo import zoo_accuracy_table

EQUAL_SHARE = 0.05
SPARE = 2  # drawn beyond the number asked for, as measuring leaves some out
DRAWN_SEED = 5
DRAWN = "drawn at random"
CHOICES = {
    "DDSAR, the paper's weights": SearchSettings(score=ScoreSettings()),
    "DDSAR, learnt weights": SearchSettings(),
    "the accuracy table": SearchSettings(rank_by=Objective.ACCURACY),
}
ORDERS = ("ddsar_paper", "ddsar_learnt", "predicted_ap", "flops", "params", "naswot", "zen")
SETTINGS = ("easy", "medium", "hard")


@dataclass(frozen=True)
class Trained:
    """One network: of which group (`latency`), chosen by `what`, `latency_ms` measured with the others, what formulas say of
    it, `ap` by setting of each seed's training."""

    latency: str
    what: str
    architecture: str
    latency_ms: float
    ddsar_paper: float
    ddsar_learnt: float
    predicted_ap: float
    flops: int
    params: int
    naswot: float
    zen: float
    ap: tuple[Mapping[str, float | None], ...]

    def mean_ap(self, setting: str) -> float | None:
        """Mean over the seeds, of `mean` over the settings, too; None where a training has none."""
        names = SETTINGS if setting == "mean" else (setting,)
        values = [figures.get(name) for figures in self.ap for name in names]
        known = [value for value in values if value is not None]
        return fmean(known) if known and len(known) == len(values) else None


def main(
    data: Annotated[Path, typer.Option(help="labelled photos to train on")],
    val: Annotated[Path, typer.Option(help="labelled photos to judge by")],
    latency: Annotated[list[str], typer.Option(help="latency of a group, repeatable")] = ["6ms", "9ms"],  # noqa: B006
    drawn: Annotated[int, typer.Option(min=0, help="how many are drawn at random for each latency")] = 5,
    epochs: Annotated[int, typer.Option(min=1, help="length of each training")] = 15,
    twice: Annotated[int, typer.Option(min=0, help="how many of each latency are trained from a second seed, too")] = 0,
    seconds: Annotated[float, typer.Option(help="time to measure each group for; 0: as predicted")] = 60.0,
    work: Annotated[Path, typer.Option(help="folder of the trainings")] = Path("runs/score-against-training"),
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Train networks of equal latency alike and compare who chose best."""
    work = work.resolve()  # workers may run elsewhere
    photos = training_photos(data.resolve(), val.resolve())
    asked = {"latencies": latency, "drawn": drawn, "epochs": epochs, "data": photos.train.name}
    asked["val"] = photos.validation.name
    plan_file = work / "plan.json"
    if plan_file.exists():
        plan = read_json(plan_file, "plan")
        if plan["asked"] != asked:
            raise InputError(f"{work} holds trainings for {plan['asked']}, not for {asked}; choose another --work")
    else:
        work.mkdir(parents=True, exist_ok=True)
        groups = [each for limit in latency for each in equally_fast(limit, drawn, seconds)]
        plan = {"asked": asked, "measured": about_this_run(), "networks": groups}
        write_json(plan_file, plan)
    chosen: list[dict[str, Any]] = plan["networks"]
    places = {limit: [index for index, each in enumerate(chosen) if each["latency"] == limit] for limit in latency}
    seeds = {index: 1 + (place < twice) for each in places.values() for place, index in enumerate(each)}
    tasks = {
        seed * len(chosen) + index: RungTask(
            f"seed {seed}, network {index + 1}",
            entry["architecture"],
            work / f"{index + 1:02d}-seed-{seed}",
            1,
            epochs,
            Recipe(epochs=epochs, seed=seed),
            DEFAULT_INPUT,
            strict=False,
        )
        for seed in range(2)
        for index, entry in enumerate(chosen)
        if seed < seeds[index]
    }
    beside = workers(None) if cores() > 1 else nullcontext((one_after_another, "one training after another"))
    with beside as (run_tasks, where), progress_bar() as report:
        note(where)
        results = run_unfinished(tasks, photos, run_tasks, report)
    accuracy = load_accuracy_table(zoo_table())
    trained = [
        described(entry, [results[seed * len(chosen) + index] for seed in range(seeds[index])], accuracy)
        for index, entry in enumerate(chosen)
    ]
    crops = epochs * len(photos.train.photos)
    if out is not None:
        result = {**asked, "crops_each": crops, "input": str(DEFAULT_INPUT), "measured": plan["measured"]}
        taus = {limit: {order: tau(of_group(trained, limit), order, "mean") for order in ORDERS} for limit in latency}
        write_json(out, {**result, "kendall_tau": taus, "networks": [asdict(entry) for entry in trained]})
    for limit in latency:
        show(of_group(trained, limit), f"{limit}: {crops:,} crops each")


def zoo_table() -> Path:
    """The accuracy table that the searches rank by."""
    path = zoo_accuracy_table(DEFAULT_SPACE)
    if path is None:
        raise InputError(f"no accuracy table ships for space '{DEFAULT_SPACE}'; the choices need one")
    return path


def equally_fast(latency: str, drawn: int, seconds: float) -> list[dict[str, Any]]:
    """Networks within 5 % of their median latency, the searches' choices first."""
    target, space, limit_ms = resolve_target("cpu"), load_space(DEFAULT_SPACE), parse_latency_ms(latency)
    found: dict[str, list[str]] = {}
    with progress_bar() as report:
        for what, settings in CHOICES.items():
            budgets = Budgets({"cpu": limit_ms})
            result = search(budgets=budgets, input_size=DEFAULT_INPUT, settings=settings, progress=report)
            found.setdefault(result.best.architecture, []).append(what)
    names = {parse_architecture(text): " and ".join(whats) for text, whats in found.items()}
    table = table_as_known(TableRequest(target, (DEFAULT_INPUT,), space))
    costs, generator, wanted = OperatorCosts(table), np.random.default_rng(DRAWN_SEED), len(names) + drawn + SPARE
    for detector in space.random_detectors(generator):
        if len(names) >= wanted:
            break
        predicted_ms = predict(detector, table, DEFAULT_INPUT, costs).latency_ms
        if abs(predicted_ms / limit_ms - 1) < EQUAL_SHARE / 2:
            names.setdefault(detector, DRAWN)
    measured_ms = {each: predict(each, table, DEFAULT_INPUT, costs).latency_ms for each in names}
    if seconds:
        with progress_bar() as report:
            samples, *_ = measure(target, [(each, DEFAULT_INPUT) for each in names], seconds, report)
        measured_ms = dict(zip(names, (low_quantile(taken) / 1e6 for taken in samples), strict=True))
    middle_ms = median(measured_ms.values())
    chosen = [detector for detector in names if names[detector] != DRAWN]
    by_chance = [detector for detector in names if names[detector] == DRAWN]
    equal = [detector for detector in by_chance if abs(measured_ms[detector] / middle_ms - 1) <= EQUAL_SHARE]
    for detector in (entry for entry in by_chance if entry not in equal):
        note(f"left out, {measured_ms[detector]:.2f} ms where the median is {middle_ms:.2f}: {detector}")
    return [
        {"latency": latency, "what": names[each], "architecture": str(each), "latency_ms": round(measured_ms[each], 3)}
        for each in [*chosen, *equal[:drawn]]
    ]


def described(entry: Mapping[str, Any], results: Sequence[RungResult], accuracy: AccuracyTable) -> Trained:
    """The network with what its trainings gave and what the formulas say of it."""
    for result in results:
        if result.problem is not None:
            note(f"{entry['architecture']}: {result.problem}")
    detector, settings = parse_architecture(entry["architecture"]), ScoreSettings()
    costs = detector_costs(detector, DEFAULT_INPUT)
    return Trained(
        entry["latency"],
        entry["what"],
        entry["architecture"],
        entry["latency_ms"],
        ddsar(detector, settings),
        ddsar(detector, ScoreSettings(0.0, stage_weights=accuracy.learned_weights(DEFAULT_INPUT))),
        round(predicted_ap(accuracy, DEFAULT_INPUT).model(detector), 4),
        costs.flops,
        costs.params,
        round(naswot_score(detector, settings.resolution_px, 0), 2),
        round(zen_score(detector, settings.resolution_px, 0), 2),
        tuple(result.figures for result in results),
    )


def ddsar(detector: Architecture, settings: ScoreSettings) -> float:
    """DDSAR-Score by these weights."""
    return round(ddsar_score(sar_scores(detector.backbone, settings), settings.stage_weights), 4)


def of_group(trained: Sequence[Trained], latency: str) -> list[Trained]:
    """The networks of one latency."""
    return [entry for entry in trained if entry.latency == latency]


def tau(trained: Sequence[Trained], order: str, setting: str) -> float | None:
    """Kendall's tau of a formula's values with the AP."""
    return kendall_tau([(getattr(entry, order), entry.mean_ap(setting)) for entry in trained])


def show(trained: Sequence[Trained], title: str) -> None:
    """The networks, the most accurate first, and the taus."""

    def text(value: float | None, digits: int = 3) -> str:
        return "none" if value is None else f"{value:.{digits}f}"

    figures = (*SETTINGS, "mean")
    ordered = sorted(trained, key=lambda entry: -(entry.mean_ap("mean") or 0))
    rows = [(each.what, f"{each.latency_ms:.2f}", *(text(each.mean_ap(name)) for name in figures)) for each in ordered]
    print_table(title, ("network", "ms", *figures), rows)
    print_table(
        "Kendall tau with AP",
        ("order by", *figures),
        [(order, *(text(tau(trained, order, name), 2) for name in figures)) for order in ORDERS],
    )


if __name__ == "__main__":
    run_script(main)
