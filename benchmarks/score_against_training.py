"""Does the score choose well? Networks of equal measured latency, trained alike, and what orders them as their AP does.

    python benchmarks/score_against_training.py --data DIR --val DIR [--networks 10] [--epochs 6] [--seeds 1] [--work DIR]
        [--out F]

At the `cpu` latency of damofd-0.5g: that network, the default space's choice, and networks drawn at random from the same
space, all measured in turns in one run; one that is more than 5 % from the median is left out. Each is trained by the
default recipe, once a seed, and judged through its exported file. Beside AP stand DDSAR, FLOPs, parameters, NASWOT and
Zen-score, and Kendall's tau of each with AP. What `--work` already holds is not done again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Any

import typer
from latency_prediction import measure
from script import about_this_run, run_script

from facenas.architecture import Architecture, parse_architecture, published_detector
from facenas.cli.bar import progress_bar
from facenas.cli.output import note, print_table
from facenas.cost import detector_costs
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.files import read_json, write_json
from facenas.latency.carriers import random_networks
from facenas.latency.predictor import OperatorCosts, predict
from facenas.latency.table import find_table
from facenas.ranking.halving import RungResult, RungTask, kendall_tau, run_unfinished
from facenas.ranking.workers import workers
from facenas.runtimes.timing import low_quantile
from facenas.scoring.ddsar import ScoreSettings, ddsar_score, sar_scores
from facenas.scoring.zero_cost import naswot_score, zen_score
from facenas.searching.budgets import Budgets
from facenas.searching.costs import TableModel
from facenas.searching.problem import Problem
from facenas.searching.result import run_search
from facenas.spaces.named import load_space
from facenas.training.photos import training_photos
from facenas.training.recipe import Recipe
from facenas.units import Size

PUBLISHED, SPACE = "damofd-0.5g", "facenas-edge"
SIZE = Size(640, 480)
EQUAL_SHARE = 0.05
SPARE = 4  # drawn beyond the number asked for, as measuring leaves some out
DRAWN_SEED = 5
ORDERS = ("ddsar", "flops", "params", "naswot", "zen")
SETTINGS = ("easy", "medium", "hard")


@dataclass(frozen=True)
class Trained:
    """One network: `latency_ms` measured with the others, `ap` by setting of each seed's training."""

    what: str
    architecture: str
    latency_ms: float
    ddsar: float
    flops: int
    params: int
    naswot: float
    zen: float
    ap: tuple[Mapping[str, float | None], ...]

    def mean_ap(self, setting: str) -> float | None:
        """Mean over the seeds; None where a training has none."""
        values = [figures.get(setting) for figures in self.ap]
        known = [value for value in values if value is not None]
        return fmean(known) if len(known) == len(values) else None


def main(
    data: Annotated[Path, typer.Option(help="labelled photos to train on")],
    val: Annotated[Path, typer.Option(help="labelled photos to judge by")],
    networks: Annotated[int, typer.Option(min=3, help="how many, with the choice and the published one")] = 10,
    epochs: Annotated[int, typer.Option(min=1, help="length of each training")] = 6,
    seeds: Annotated[int, typer.Option(min=1, help="trainings of each network")] = 1,
    seconds: Annotated[float, typer.Option(help="time to measure them for")] = 60.0,
    work: Annotated[Path, typer.Option(help="folder of the trainings")] = Path("runs/score-against-training"),
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Train networks of equal latency alike and compare what would have ordered them."""
    work = work.resolve()  # workers may run elsewhere
    photos = training_photos(data.resolve(), val.resolve())
    asked = {"networks": networks, "epochs": epochs, "data": photos.train.name, "val": photos.validation.name}
    plan_file = work / "plan.json"
    if plan_file.exists():
        plan = read_json(plan_file, "plan")
        if plan["asked"] != asked:
            raise InputError(f"{work} holds trainings for {plan['asked']}, not for {asked}; choose another --work")
    else:
        work.mkdir(parents=True, exist_ok=True)
        plan = {"asked": asked, "measured": about_this_run(), "networks": equally_fast(networks, seconds)}
        write_json(plan_file, plan)
    chosen: list[dict[str, Any]] = plan["networks"]
    tasks = {
        seed * len(chosen) + index: RungTask(
            f"seed {seed}, network {index + 1}",
            entry["architecture"],
            work / f"{index + 1:02d}-seed-{seed}",
            1,
            epochs,
            Recipe(epochs=epochs, seed=seed),
            SIZE,
            strict=False,
        )
        for seed in range(seeds)
        for index, entry in enumerate(chosen)
    }
    with workers(None) as (run_tasks, where), progress_bar() as report:
        note(where)
        results = run_unfinished(tasks, photos, run_tasks, report)
    trained = [
        described(entry, [results[seed * len(chosen) + index] for seed in range(seeds)])
        for index, entry in enumerate(chosen)
    ]
    crops = epochs * len(photos.train.photos)
    taus = {order: {setting: tau(trained, order, setting) for setting in SETTINGS} for order in ORDERS}
    if out is not None:
        result = {"crops_each": crops, "seeds": seeds, "input": str(SIZE), "data": asked["data"], "val": asked["val"]}
        result["measured"] = plan["measured"]
        write_json(out, {**result, "kendall_tau": taus, "networks": [asdict(entry) for entry in trained]})
    show(trained, taus, f"{len(trained)} networks, {crops:,} crops each, {seeds} seed{'s' * (seeds > 1)}")


def equally_fast(count: int, seconds: float) -> list[dict[str, Any]]:
    """Networks within 5 % of their median latency, the search's choice and the published one first."""
    target = resolve_target("cpu")
    table = find_table(target, SIZE)
    costs = OperatorCosts(table)

    def predicted_ms(detector: Architecture) -> float:
        return predict(detector, table, SIZE, costs).latency_ms

    published, space = published_detector(PUBLISHED), load_space(SPACE)
    budget_ms = predicted_ms(published)
    problem = Problem(space, ScoreSettings(), SIZE, {"cpu": TableModel(table)}, Budgets({"cpu": budget_ms}))
    choice = parse_architecture(run_search(problem, top=1, provenance={}).best.architecture)
    drawn = [
        detector
        for detector in random_networks(space, space.size, seed=DRAWN_SEED)
        if abs(predicted_ms(detector) / budget_ms - 1) < EQUAL_SHARE / 2 and detector != choice
    ]
    names = {choice: "the search's choice", published: PUBLISHED}
    names |= dict.fromkeys(drawn[: count - 2 + SPARE], "drawn at random")
    with progress_bar() as report:
        samples, _ = measure(target, SIZE, list(names), seconds, report)
    measured_ms = dict(zip(names, (low_quantile(taken) / 1e6 for taken in samples), strict=True))
    middle_ms = median(measured_ms.values())
    kept = [detector for detector in names if abs(measured_ms[detector] / middle_ms - 1) <= EQUAL_SHARE]
    for detector in (entry for entry in names if entry not in kept):
        left_out = f"{measured_ms[detector]:.2f} ms where the median is {middle_ms:.2f}"
        note(f"left out, {left_out}: {names[detector]} {detector}")
    return [
        {"what": names[detector], "architecture": str(detector), "latency_ms": round(measured_ms[detector], 3)}
        for detector in kept[:count]
    ]


def described(entry: Mapping[str, Any], results: Sequence[RungResult]) -> Trained:
    """The network with what its trainings gave and what the formulas say of it."""
    for result in results:
        if result.problem is not None:
            note(f"{entry['architecture']}: {result.problem}")
    detector, settings = parse_architecture(entry["architecture"]), ScoreSettings()
    costs = detector_costs(detector, SIZE)
    return Trained(
        entry["what"],
        entry["architecture"],
        entry["latency_ms"],
        round(ddsar_score(sar_scores(detector.backbone, settings), settings.stage_weights), 4),
        costs.flops,
        costs.params,
        round(naswot_score(detector, settings.resolution_px, 0), 2),
        round(zen_score(detector, settings.resolution_px, 0), 2),
        tuple(result.figures for result in results),
    )


def tau(trained: Sequence[Trained], order: str, setting: str) -> float | None:
    """Kendall's tau of a formula's values with the AP."""
    return kendall_tau([(getattr(entry, order), entry.mean_ap(setting)) for entry in trained])


def show(trained: Sequence[Trained], taus: Mapping[str, Mapping[str, float | None]], title: str) -> None:
    """The networks, the most accurate first, and the taus."""

    def text(value: float | None, digits: int = 3) -> str:
        return "none" if value is None else f"{value:.{digits}f}"

    ordered = sorted(trained, key=lambda entry: -(entry.mean_ap("hard") or 0))
    rows = [
        (entry.what, f"{entry.latency_ms:.2f}", text(entry.ddsar, 2), *(text(entry.mean_ap(s)) for s in SETTINGS))
        for entry in ordered
    ]
    print_table(title, ("network", "ms", "DDSAR", *SETTINGS), rows)
    print_table(
        "Kendall tau with AP",
        ("order by", *SETTINGS),
        [(order, *(text(taus[order][setting], 2) for setting in SETTINGS)) for order in ORDERS],
    )


if __name__ == "__main__":
    run_script(main)
