"""Ranking by short training: does the score's choice hold when the candidates are trained? Successive halving answers.

    rung r of n:   ceil(K / 2^r) candidates,  E * 2^r epochs behind them,  AP of each;  the better half goes on

Every candidate is in one training of the last rung's length, E * 2^(n-1) epochs, with one warm-up and one cosine over
all of it (`Recipe`), and a rung only stops it on the way. So going on is the same training as one that was never
stopped, no candidate pays for a second warm-up, and those of a rung are judged at the same point of the same schedule.
The rate is still high there; what is judged is the running average of the weights, which is worth a low rate, in the
exported file. What one rung leaves in a candidate's folder (`rung-1.json`, the state) is never made again.

Successive halving: Jamieson and Talwalkar, Non-stochastic Best Arm Identification, AISTATS 2016.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from facenas.architecture import parse_architecture
from facenas.devices.cpu import cores
from facenas.errors import InputError, TrainingError
from facenas.files import make_folder, read_json, sha256_of, write_json
from facenas.progress import Called, Progress
from facenas.ranking.contenders import Contender
from facenas.shown import Rows, Shown
from facenas.training.photos import TrainingPhotos
from facenas.training.recipe import Pace, Recipe
from facenas.typed_json import read_as, read_file
from facenas.units import Size

MAX_CONTENDERS = 64


@dataclass(frozen=True)
class HalvingSettings:
    """How contenders are trained: the first rung's epochs (the recipe's own are set by the rungs), the input size that they
    are meant for; `strict`: a photo that cannot be decoded is refused; `init`: a checkpoint that all start from, of a
    supernet its slices."""

    recipe: Recipe
    first_epochs: int
    input_size: Size
    strict: bool = False
    init: Path | None = None


@dataclass(frozen=True)
class RungTask:
    """One contender in one rung: trained in `folder` until `epochs` of the recipe's are behind it."""

    name: str
    architecture: str
    folder: Path
    rung: int
    epochs: int
    recipe: Recipe
    input_size: Size
    strict: bool
    init: Path | None = None

    @property
    def result_file(self) -> Path:
        """What says that this is done."""
        return self.folder / f"rung-{self.rung}.json"


@dataclass(frozen=True)
class RungResult:
    """`figures`: average precisions by setting, empty where the training failed and `problem` says why."""

    figures: Mapping[str, float | None]
    problem: str | None = None
    left_out: tuple[str, ...] = ()

    @property
    def ap(self) -> float | None:
        """What the candidates are compared by: the mean over the settings."""
        values = [value for value in self.figures.values() if value is not None]
        return round(sum(values) / len(values), 5) if values else None


RunTasks = Callable[[Sequence[RungTask], TrainingPhotos, Progress], list[RungResult]]
"""Runs the tasks of a rung, and gives back their results in the same order."""


@dataclass(frozen=True)
class Ranked:
    """A contender's number in the list it came from, what it reached in each of its rungs, and its last weights."""

    number: int
    contender: Contender
    results: tuple[RungResult, ...]
    checkpoint: Path

    def to_json(self) -> dict[str, Any]:
        """Plain values; AP of the rungs it was in."""
        return {
            "number": self.number,
            **asdict(self.contender),
            "ap": [result.ap for result in self.results],
            "figures": [dict(result.figures) for result in self.results],
            "problem": self.results[-1].problem if self.results else None,
            "checkpoint": str(self.checkpoint) if self.checkpoint.exists() else None,
        }


@dataclass(frozen=True, repr=False)
class Ranking(Shown):
    """The contenders, best first. `kendall_tau`: of DDSAR with the AP of the first rung (None where either is all ties).

    `rungs`: of each the candidates and the epochs behind them; `details`: the photos, and the `provenance` of latencies.
    """

    ranked: tuple[Ranked, ...]
    rungs: tuple[tuple[int, int], ...]
    kendall_tau: float | None
    finished: bool
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The fields of rank.json."""
        return {
            "finished": self.finished,
            "kendall_tau": self.kendall_tau,
            "rungs": [{"candidates": count, "epochs": epochs} for count, epochs in self.rungs],
            "candidates": [entry.to_json() for entry in self.ranked],
            **self.details,
        }

    def line(self) -> str:
        """Who is first."""
        best = self.ranked[0]
        return (
            f"{len(self.ranked)} candidates, the first with AP {_in_words(best.results)}: {best.contender.architecture}"
        )

    def shown(self) -> tuple[Rows, ...]:
        """A row for each contender."""
        provenance = self.details.get("provenance", {})
        rows = [
            (
                entry.contender.architecture,
                str(entry.number),
                f"{entry.contender.ddsar:.4f}",
                *(
                    f"{entry.contender.latency_ms[name]:.2f} ms" if name in entry.contender.latency_ms else ""
                    for name in provenance
                ),
                *(_in_words([result]) for result in entry.results),
                *("" for _ in self.rungs[len(entry.results) :]),
            )
            for entry in self.ranked
        ]
        columns = (
            "architecture",
            "number",
            "DDSAR",
            *(f"{name} ({words})" for name, words in provenance.items()),
            *(f"AP, {epochs} epochs" for _, epochs in self.rungs),
        )
        title = "ranked by short training, best first (latency is predicted, AP the mean of the settings)"
        return (Rows(title, columns, tuple(rows)),)

    @property
    def words(self) -> str:
        """Below the table: who failed, how DDSAR agrees with the trainings, and where the first one's weights are."""
        failed = [(entry.number, entry.results[-1].problem) for entry in self.ranked if entry.results[-1].problem]
        lines = [f"candidate {number} failed: {problem}" for number, problem in failed]
        if self.kendall_tau is None:
            lines.append("no Kendall tau of DDSAR with the AP of the first rung: one of them is the same for all")
        else:
            tau = f"{self.rungs[0][0]} candidates: {self.kendall_tau:+.3f}"
            lines.append(f"Kendall tau of DDSAR with the AP of the first rung, {tau}")
        return "\n".join([*lines, f"checkpoint of the first: {self.ranked[0].checkpoint}"])


def _in_words(results: Sequence[RungResult]) -> str:
    """The AP of the last of them."""
    ap = results[-1].ap if results else None
    return "failed" if ap is None else f"{ap:.3f}"


def plan_rungs(contenders: int, first_epochs: int) -> tuple[tuple[int, int], ...]:
    """Candidates and epochs of each rung; the last one holds two. Raises InputError where there is nothing to compare."""
    if not 2 <= contenders <= MAX_CONTENDERS:
        raise InputError(f"{contenders} candidates to rank; give 2 to {MAX_CONTENDERS} of them")
    if first_epochs < 1:
        raise InputError(f"--epochs {first_epochs} must be at least 1")
    rungs = [(contenders, first_epochs)]
    while rungs[-1][0] > 2:
        count, epochs = rungs[-1]
        rungs.append(((count + 1) // 2, 2 * epochs))
    return tuple(rungs)


def rank(
    contenders: Sequence[Contender],
    photos: TrainingPhotos,
    settings: HalvingSettings,
    out: Path,
    run_tasks: RunTasks,
    progress: Progress,
    *,
    details: Mapping[str, Any],
) -> Ranking:
    """Rank in folder `out`, or go on with what it holds; `rank.json` is written anew after every rung.

    `details` go into rank.json too.
    Raises InputError where `out` holds a ranking of something else, TrainingError where no candidate can be trained.
    """
    rungs = plan_rungs(len(contenders), settings.first_epochs)
    settings = replace(settings, recipe=replace(settings.recipe, epochs=rungs[-1][1]))
    asked = _asked(contenders, photos, settings)
    _require_same(out, asked)
    folders = [out / "candidates" / f"{number:02d}" for number in range(1, len(contenders) + 1)]
    results: list[list[RungResult]] = [[] for _ in contenders]

    def save(*, finished: bool) -> Ranking:
        state = _ranking(contenders, results, folders, rungs, details, finished=finished)
        write_json(out / "rank.json", {**state.to_json(), "asked": asked})
        return state

    if not (out / "rank.json").exists():
        save(finished=False)
    going = list(range(len(contenders)))
    for rung, (count, epochs) in enumerate(rungs, 1):
        able = [number for number in going if not results[number] or results[number][-1].ap is not None]
        going = sorted(able, key=lambda number: _place(results[number]))[:count]
        tasks = {
            number: RungTask(
                f"rung {rung} of {len(rungs)}, {epochs} epochs, candidate {number + 1}",
                contenders[number].architecture,
                folders[number],
                rung,
                epochs,
                settings.recipe,
                settings.input_size,
                settings.strict,
                settings.init,
            )
            for number in sorted(going)
        }
        for number, result in run_unfinished(tasks, photos, run_tasks, progress).items():
            results[number].append(result)
        save(finished=False)
        if all(results[number][-1].ap is None for number in going):
            reason = results[going[0]][-1].problem or "there is no face to find in the photos to validate on"
            raise TrainingError(f"no candidate of rung {rung} has an AP: {reason}")
    return save(finished=True)


def _asked(contenders: Sequence[Contender], photos: TrainingPhotos, settings: HalvingSettings) -> dict[str, Any]:
    """What rank.json says was asked for, so that another ranking is not taken for this one."""
    return {
        "contenders": [asdict(contender) for contender in contenders],
        "recipe": asdict(settings.recipe),
        "photos": {
            "name": photos.train.name,
            "train": len(photos.train.photos),
            "validation": photos.validation.name,
            "validated": len(photos.validation.photos),
        },
        "input": str(settings.input_size),
        "strict": settings.strict,
        **({} if settings.init is None else {"init": sha256_of(settings.init)}),
    }


def _ranking(
    contenders: Sequence[Contender],
    results: Sequence[Sequence[RungResult]],
    folders: Sequence[Path],
    rungs: tuple[tuple[int, int], ...],
    details: Mapping[str, Any],
    *,
    finished: bool,
) -> Ranking:
    ranked = [
        Ranked(number + 1, contenders[number], tuple(results[number]), folders[number] / "best.safetensors")
        for number in sorted(range(len(contenders)), key=lambda number: _place(results[number]))
    ]
    firsts = [(each.ddsar, result[0].ap) for each, result in zip(contenders, results, strict=True) if result]
    return Ranking(tuple(ranked), rungs, kendall_tau(firsts), finished, details)


def _require_same(out: Path, asked: Mapping[str, Any]) -> None:
    """Raises InputError where `out` holds a ranking that was asked for in other words."""
    path = out / "rank.json"
    if not path.exists():
        return
    ranking = read_as(Mapping[str, Any], read_json(path, "ranking"), str(path))  # type: ignore[type-abstract]
    stored = read_as(Mapping[str, Any], ranking.get("asked", {}), f"{path}, asked")  # type: ignore[type-abstract]
    recipe = Recipe(**asked["recipe"])
    names = ("contenders", "photos", "input", "strict", "init")
    changed = [name for name in names if stored.get(name) != asked.get(name)]
    recorded = read_as(Mapping[str, Any], stored.get("recipe", {}), f"{path}, recipe")  # type: ignore[type-abstract]
    changed += recipe.differences(recorded)
    if changed:
        raise InputError(f"{out} holds a ranking with another {', '.join(changed)}; choose another --out or the same")


def run_unfinished(
    tasks: Mapping[int, RungTask], photos: TrainingPhotos, run_tasks: RunTasks, progress: Progress
) -> dict[int, RungResult]:
    """Results by number; tasks that an earlier call finished are read, not run."""
    results = {number: _read_result(task) for number, task in tasks.items() if task.result_file.exists()}
    waiting = {number: task for number, task in tasks.items() if number not in results}
    if waiting:
        results |= zip(waiting, run_tasks(list(waiting.values()), photos, progress), strict=True)
    return results


def _read_result(task: RungTask) -> RungResult:
    return read_file(RungResult, task.result_file, "result of a rung")


def _place(results: Sequence[RungResult]) -> tuple[int, float]:
    """What sorts the best first: who came further, then the AP there; equal ones stay in the order they came in."""
    if not results:
        return 0, 0.0
    ap = results[-1].ap
    return (1, 0.0) if ap is None else (-len(results), -ap)


def kendall_tau(pairs: Sequence[tuple[float, float | None]]) -> float | None:
    """Kendall's tau-b of the pairs with both values, 1 for the same order, -1 for the reverse one."""
    from scipy.stats import kendalltau

    scores, aps = [score for score, ap in pairs if ap is not None], [ap for _, ap in pairs if ap is not None]
    if len(set(scores)) < 2 or len(set(aps)) < 2:
        return None
    return round(float(kendalltau(scores, aps).statistic), 4)


def train_rung(
    task: RungTask, photos: TrainingPhotos, progress: Progress, *, side_by_side: bool = False, pace: Pace = Pace()
) -> RungResult:
    """Train one contender to the end of a rung, going on from its last state, validate it, and write the result.

    `side_by_side`: others train on this machine at the same time, so that it takes one core and its share of memory.
    A training that breaks off (a loss that is not finite) is a result too; the contender is out.
    Raises InputError where photos or folder cannot be used.
    """
    import torch

    from facenas.checkpoint import save_checkpoint
    from facenas.training.loop import Trainer, memory_for_photos
    from facenas.training.session import begin, validate

    make_folder(task.folder)
    detector = parse_architecture(task.architecture)
    trainer = Trainer(detector, task.input_size, task.recipe, task.folder, photos.train.name, init=task.init)
    if side_by_side:
        torch.set_num_threads(1)
    trainer.resume()
    begin(trainer, photos, progress)
    try:
        trained = trainer.run(
            photos.train,
            progress=Called(progress, task.name),
            pace=replace(pace, until_step=replace(task.recipe, epochs=task.epochs).steps(len(photos.train.photos))),
            strict=task.strict,
            cache_bytes=memory_for_photos() // (cores() if side_by_side else 1),
        )
    except TrainingError as error:
        result = RungResult({}, str(error))
    else:
        checkpoint = trainer.average_checkpoint()
        figures = validate(photos.validation, task.folder, checkpoint)
        origin = {**checkpoint.origin, "figures": figures}
        save_checkpoint(task.folder / "best.safetensors", replace(checkpoint, origin=origin))
        result = RungResult(figures, None, trained.problems)
    write_json(task.result_file, {"epochs": task.epochs, **asdict(result)})
    return result


def one_after_another(
    tasks: Sequence[RungTask], photos: TrainingPhotos, progress: Progress, pace: Pace = Pace()
) -> list[RungResult]:
    """Run the tasks in this process."""
    return [train_rung(task, photos, progress, pace=pace) for task in tasks]
