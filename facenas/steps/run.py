"""Run: a budget in, a verified detector out, in one folder: table, search, data, weights, export, verify, report.

Weights are those of a training on the user's photos. Where there is a supernet of the space the training starts from the
chosen slice of it; and without labelled photos that slice is taken as it is, a detector of real faces without training.

`run.json` holds the settings and the finished steps; a step's files are whole when it is listed. The same call on the
same folder skips what is finished and lets the training go on from its last saved state.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from facenas.cost import latency_cost
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.evaluation.gates import PARITY_GATES, Gate, gate_rows
from facenas.evaluation.pictures import write_evaluation, write_pictures
from facenas.evaluation.verification import Verification
from facenas.exporters.calibration_photos import DEFAULT_COUNT
from facenas.exporters.formats import FORMATS
from facenas.files import write_json
from facenas.latency.table import LatencyTable, load_table, save_table
from facenas.latency.this_machine import Calibrate, TableRequest, facts_of_table, table_of_this_machine
from facenas.locks import only_one
from facenas.progress import SILENT, Progress
from facenas.report.run_page import write_report
from facenas.run_folder import (
    EVALUATION,
    PREDICTION,
    RUN,
    SEARCH,
    SYNTHETIC,
    TABLE,
    VERIFICATION,
    WEIGHTS,
    RunRecord,
    Step,
)
from facenas.runtimes.runtime import require_available, runtime_of
from facenas.scoring.ddsar import DEFAULT_ALPHA, ScoreSettings
from facenas.searching.budgets import Budgets
from facenas.searching.objective import Objective
from facenas.searching.result import SearchResult
from facenas.shown import Rows, Shown
from facenas.spaces import DEFAULT_SPACE, ELASTIC_SPACE
from facenas.spaces.elastic_space import elastic_space
from facenas.spaces.named import load_space
from facenas.steps.export import ExportSettings, export
from facenas.steps.predict import predict
from facenas.steps.search import SearchSettings, search
from facenas.steps.slice import slice
from facenas.steps.synthetic import SYNTHETIC_RECIPE, TRAIN_PHOTOS, VAL_PHOTOS, write_synthetic_photos
from facenas.steps.train import TrainingSettings, train
from facenas.steps.verify import verify
from facenas.training.photos import training_photos
from facenas.training.recipe import Recipe
from facenas.typed_json import read_file
from facenas.units import DEFAULT_INPUT, LOW_PERCENTILE, LatencyBudget, Size, as_latency_budget
from facenas.zoo import zoo_accuracy_table, zoo_supernet

BUDGET_RESERVE = 0.03
"""Less than the budget is searched for: prediction and measurement each have their error."""
_DRAWN_PHOTOS = 6
_NEWER = ("supernet", "photos")  # runs before there were these go on


@dataclass(frozen=True)
class RunSettings:
    """`val`: labelled photos to verify on (default: a part of the data); `epochs`: length of the training (default: 90
    synthetic, 12 on photos); `space`: default facenas-edge, without photos the one whose supernet ships; `supernet`: of the
    space (default: the zoo's); `photos`: folder of unlabelled ones for the norms of its slice (default: synthetic ones);
    `alpha`: weight of the kernel sizes in the score; `table`: default the shipped one."""

    val: Path | None = None
    epochs: int | None = None
    space: str | None = None
    supernet: Path | None = None
    photos: Path | None = None
    input_size: Size = DEFAULT_INPUT
    alpha: float = DEFAULT_ALPHA
    table: Path | None = None
    seed: int = 0
    calibrate: Calibrate = Calibrate.ONCE


@dataclass(frozen=True)
class _Asked:
    """What a run was asked for; `data` None: a synthetic set."""

    device: str
    budget: LatencyBudget
    data: Path | None
    settings: RunSettings

    def to_json(self) -> dict[str, Any]:
        """Plain values of what decides the result."""
        settings = {field.name: getattr(self.settings, field.name) for field in fields(self.settings)}
        del settings["calibrate"]  # it decides when the table is made, and then the table is there
        settings = {key: value for key, value in settings.items() if value is not None or key not in _NEWER}
        plain = {"device": self.device, "budget": self.budget, "data": self.data, **settings}
        return {
            key: str(value) if isinstance(value, Path | Size | LatencyBudget) else value for key, value in plain.items()
        }


@dataclass(frozen=True, repr=False)
class RunResult(Shown):
    """The verdict of a run."""

    folder: Path
    passed: bool
    steps: tuple[Step, ...]
    gates: tuple[Gate, ...]

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        return {"run_dir": str(self.folder), "passed": self.passed, "steps": [asdict(step) for step in self.steps]}

    def line(self) -> str:
        """The verdict, and the page that shows why."""
        failed = any(gate.passed is False for gate in self.gates)
        verdict = "passed" if self.passed else "FAILED" if failed else "NOT PROVED, a gate was not measured"
        return f"{verdict}: {self.folder / 'report.html'}"

    def shown(self) -> tuple[Rows, ...]:
        """The gates."""
        return (gate_rows(self.gates),)


def run(
    latency: str | float | LatencyBudget,
    device: str = "cpu",
    *,
    data: Path | str | None = None,
    settings: RunSettings = RunSettings(),
    out: Path | str | None = None,
    progress: Progress = SILENT,
) -> RunResult:
    """Do all steps that folder `out` (default: runs/DEVICE-LATENCY) lacks, for `latency` (`5ms`, `5ms@p90` or
    milliseconds) on `device`, trained on the labelled photos of `data` (default: no training, a slice of the supernet; where
    the space has none, a synthetic set).

    Raises InputError where the folder holds a run with other settings, and as the steps do.
    """
    if settings.space is None:
        ships = data is None and zoo_supernet(ELASTIC_SPACE) is not None
        settings = replace(settings, space=ELASTIC_SPACE if ships else DEFAULT_SPACE)
    asked = _Asked(device, as_latency_budget(latency), None if data is None else Path(data), settings)
    folder = Path(out) if out is not None else Path("runs") / f"{device}-{asked.budget}"
    return _Run(asked, folder, progress).finish()


class _Run:
    """The steps of one run; each returns a one-line summary and leaves its files in the folder."""

    def __init__(self, asked: _Asked, folder: Path, progress: Progress) -> None:
        self.asked, self.settings, self.folder, self.progress = asked, asked.settings, folder, progress
        self.target = resolve_target(asked.device)
        require_available(self.target)
        formats = runtime_of(self.target).formats
        if self.target.precision not in formats:
            raise InputError(
                f"device '{asked.device}' runs no exported file in {self.target.precision}, so there is nothing to verify;"
                " search for it, and run on another"
            )
        self.space = self.settings.space or DEFAULT_SPACE
        self.supernet = self.settings.supernet or zoo_supernet(self.space)
        if self.supernet is not None:
            elastic_space(self.space)
        if self.settings.photos is not None and not self._is_slice:
            raise InputError(
                f"--photos {self.settings.photos} are for a slice of a supernet; train on labelled ones with --data"
            )
        if self.settings.epochs is not None and self._is_slice:
            raise InputError(
                f"--epochs {self.settings.epochs}: a slice of a supernet is not trained; add --data, or leave it out"
            )
        _ = self._recipe  # refused now, not after the search
        self.format = FORMATS[formats[self.target.precision]]
        self.model = folder / self.format.file_name
        self.steps: list[Step] = []
        self._open()

    def _open(self) -> None:
        path = self.folder / RUN
        if not path.exists():
            return
        record = read_file(RunRecord, path, "run")
        if record.settings != self.asked.to_json():
            before = record.settings
            changed = sorted(key for key, value in self.asked.to_json().items() if before.get(key) != value)
            raise InputError(f"{self.folder} holds a run with another {', '.join(changed)}; choose another --out")
        # What failed because the machine was slow is tried again.
        again = {"verify"} if any(g.name.startswith("latency") and g.passed is False for g in self.gates) else set()
        self.steps = [step for step in record.steps if step.name not in again]

    def finish(self) -> RunResult:
        """Do what is not done, while no other process does."""
        with only_one(self.folder / "run.lock", f"a run in {self.folder}"):
            return self._finish()

    def _finish(self) -> RunResult:
        for name, step in (
            ("table", self.make_table),
            ("search", self.search),
            ("data", self.prepare_data),
            ("slice", self.slice) if self._is_slice else ("train", self.train),
            ("export", self.export),
            ("verify", self.verify),
        ):
            self._do(name, step)
        self._save()
        write_report(self.folder)
        return RunResult(self.folder, self.passed, tuple(self.steps), self.gates)

    def _do(self, name: str, step: Callable[[], str]) -> None:
        if any(done.name == name for done in self.steps):
            self.progress.note(f"{name}: already done")
            return
        started = time.monotonic()
        summary = step()
        self.steps.append(Step(name, round(time.monotonic() - started, 1), summary))
        self._save()
        self.progress.note(f"{name}: {summary}")

    def _save(self) -> None:
        """Write run.json: the settings, the finished steps and the verdict so far."""
        asked = self.asked
        record = RunRecord(
            device=asked.device,
            budgets={latency_cost(asked.device).key: asked.budget.limit_ms},
            data=SYNTHETIC if asked.data is None else str(asked.data),
            input=str(self.settings.input_size),
            passed=self.passed,
            settings=asked.to_json(),
            steps=tuple(self.steps),
            percentile=asked.budget.percentile,
            supernet="" if self.supernet is None else self.supernet.stem,
        )
        write_json(self.folder / RUN, asdict(record))

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Those of the verification, none before it is done."""
        path = self.folder / VERIFICATION
        return read_file(Verification, path, "verification").gates if path.exists() else ()

    @property
    def passed(self) -> bool:
        """Whether the verification is done, no gate failed, and those of the file itself could be decided."""
        decided = all(gate.passed for gate in self.gates if gate.name in PARITY_GATES)
        return bool(self.gates) and decided and all(gate.passed is not False for gate in self.gates)

    @property
    def _is_slice(self) -> bool:
        """Whether the weights are the supernet's as they are."""
        return self.supernet is not None and self.asked.data is None

    @property
    def table(self) -> LatencyTable:
        """The table of the run, made this machine's before."""
        return load_table(self.folder / TABLE)

    def make_table(self) -> str:
        """The shipped or given table, made this machine's where it is of another one."""
        settings, percentile = self.settings, self.asked.budget.percentile
        space = load_space(self.space)
        request = TableRequest(self.target, settings.input_size, space, settings.table, percentile, settings.calibrate)
        table = table_of_this_machine(request, self.progress)
        save_table(table, self.folder / TABLE)
        return facts_of_table(table).words

    def search(self) -> str:
        """The best architecture under the budget, and where its milliseconds go."""
        settings, table, budget = self.settings, self.table, self.asked.budget
        percentiles = {} if budget.percentile == LOW_PERCENTILE else {self.target.name: budget.percentile}
        limit_ms = {self.asked.device: budget.limit_ms * (1 - BUDGET_RESERVE)}
        result = search(
            device=self.asked.device,
            budgets=Budgets(limit_ms, percentiles=percentiles),
            space=self.space,
            input_size=settings.input_size,
            settings=self._search_settings(),
            tables=[table],
            progress=self.progress,
        )
        write_json(self.folder / SEARCH, result.to_json())
        best = result.best
        prediction = predict(best.architecture, self.asked.device, input_size=settings.input_size, table=table)
        write_json(self.folder / PREDICTION, prediction.to_json())
        return f"{best.architecture}, DDSAR {best.ddsar:.3f}, predicted {prediction.latency_ms:.2f} ms"

    def _search_settings(self) -> SearchSettings:
        """By accuracy where it is known, which sees neck and head, too."""
        path = zoo_accuracy_table(self.space) if self.settings.supernet is None else None
        if path is None:
            return SearchSettings(ScoreSettings(self.settings.alpha))
        return SearchSettings(accuracy=path, rank_by=Objective.ACCURACY)

    def prepare_data(self) -> str:
        """Nothing for the user's photos; without any, a synthetic set."""
        if self.asked.data is not None:
            return f"photos of {self.asked.data}"
        write_synthetic_photos(self.folder / "data", self.progress)
        return f"{TRAIN_PHOTOS} synthetic photos to train or calibrate on, {VAL_PHOTOS} to verify on"

    @property
    def _data(self) -> tuple[Path, Path | None]:
        if self.asked.data is None:
            return self.folder / "data" / "train", self.folder / "data" / "val"
        return self.asked.data, self.settings.val

    def _chosen(self) -> str:
        return read_file(SearchResult, self.folder / SEARCH, "search result").best.architecture

    def slice(self) -> str:
        """The chosen slice of the supernet as a checkpoint."""
        assert self.supernet is not None
        cut = slice(
            self.supernet,
            self._chosen(),
            photos=self.settings.photos,
            out=self.folder / WEIGHTS,
            progress=self.progress,
        )
        return f"{cut.architecture} of {cut.supernet}, norms from {cut.crops} crops of {cut.photos} photos"

    @property
    def _recipe(self) -> Recipe:
        recipe = SYNTHETIC_RECIPE if self.asked.data is None else Recipe()
        epochs = recipe.epochs if self.settings.epochs is None else self.settings.epochs
        return replace(recipe, epochs=epochs, seed=self.settings.seed)

    def train(self) -> str:
        """A checkpoint of the chosen architecture."""
        recipe = self._recipe
        data, val = self._data
        result = train(
            self._chosen(),
            data,
            val=val,
            recipe=recipe,
            settings=TrainingSettings(self.settings.input_size, init=self.supernet, resume=True, may_begin=True),
            out=self.folder / "training",
            progress=self.progress,
        )
        best = ", ".join(f"{name} {value:.3f}" for name, value in result.best.items() if value is not None)
        return f"{recipe.epochs} epochs of {result.photos} photos, best AP {best}"

    def export(self) -> str:
        """The exported file of the best checkpoint."""
        data = self._data[0]
        photos = len(training_photos(*self._data).train.photos)
        artefact = export(
            self.folder / WEIGHTS,
            self.format.name,
            self.target.precision,
            settings=ExportSettings(
                self.settings.input_size, calibration=data, calibration_count=min(DEFAULT_COUNT, photos)
            ),
            out=self.model,
            progress=self.progress,
        )
        return f"{artefact.path.name}, {artefact.size_bytes / 1e6:.2f} MB, sha256 {artefact.sha256[:12]}"

    def verify(self) -> str:
        """All gates, and pictures of what the artefact finds."""
        photos = training_photos(*self._data).validation
        verification = verify(
            self.model,
            self.folder / WEIGHTS,
            photos,
            device=self.asked.device,
            latency=self.asked.budget,
            table=self.table,
            progress=self.progress,
        )
        if verification.evaluation is not None:
            write_evaluation(self.folder / EVALUATION, verification.evaluation)
        write_pictures(self.folder / "photos", self.model, photos, _DRAWN_PHOTOS)
        write_json(self.folder / VERIFICATION, verification.to_json())
        failed = [gate.name for gate in verification.gates if gate.passed is False]
        return f"failed: {', '.join(failed)}" if failed else "all gates passed" if self.passed else verification.line()
