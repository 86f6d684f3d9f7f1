"""Run: a budget in, a verified detector out, in one folder: table, search, data, weights, export, verify, report.

Weights are those of a training on the user's photos. Where there is a supernet of the space the training starts from the
chosen slice of it; and without labelled photos that slice is taken as it is, a detector of real faces without training.

`run.json` holds the settings, the finished steps and the SHA-256 of what they made; a step's files are whole when it is
listed. The same call on the same folder skips what is finished, lets the training go on from its last saved state, and does
a step again, with all that follow, whose files are gone or are others than those that it made.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facenas.detector.face_detector import FaceDetector
from facenas.devices.targets import resolve_target
from facenas.errors import DeviceError, InputError
from facenas.evaluation.gates import Gate, gate_rows, outcome, proved
from facenas.evaluation.pictures import write_evaluation, write_pictures
from facenas.evaluation.verification import Verification
from facenas.exporters.calibration_photos import DEFAULT_COUNT
from facenas.exporters.formats import FORMATS
from facenas.files import sha256_of, write_atomic, write_json
from facenas.latency.table import LatencyTable, load_table, save_table
from facenas.latency.this_machine import facts_of_table
from facenas.locks import only_one
from facenas.progress import SILENT, Progress
from facenas.report.run_page import write_report
from facenas.run_folder import (
    EVALUATION,
    PREDICTION,
    RANKED,
    RUN,
    SEARCH,
    SYNTHETIC,
    TABLE,
    VERIFICATION,
    WEIGHTS,
    RunRecord,
    Step,
    about_now,
    files_of_step,
)
from facenas.runtimes.runtime import load_model, require_available, runtime_of
from facenas.searching.any_input import as_text
from facenas.searching.result import SearchResult
from facenas.shown import Rows, Shown
from facenas.spaces.elastic_space import elastic_space
from facenas.steps.export import ExportSettings, export
from facenas.steps.place import place_of
from facenas.steps.predict import predict
from facenas.steps.run_ranking import rank_of_run, require_trainable
from facenas.steps.run_search import search_of_run, table_of_run
from facenas.steps.run_settings import Asked, RunSettings
from facenas.steps.slice import slice
from facenas.steps.synthetic import TRAIN_PHOTOS, VAL_PHOTOS, recipe_of, write_synthetic_photos
from facenas.steps.train import TrainingSettings, train
from facenas.steps.verify import verify
from facenas.training.photos import training_photos
from facenas.typed_json import read_file
from facenas.units import LatencyBudget, Size, as_latency_budget, parse_size
from facenas.zoo import zoo_supernet

_DRAWN_PHOTOS = 6


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
        verdict = "passed" if self.passed else "FAILED" if failed else "NOT PROVED, for not all gates could be decided"
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
    device = device.lower()
    asked = Asked(device, as_latency_budget(latency), None if data is None else Path(data), settings)
    folder = Path(out) if out is not None else Path("runs") / f"{device}-{asked.budget}"
    run = _Run(asked, folder, progress)
    with only_one(folder / "run.lock", f"a run in {folder}"):
        return run.finish()


class _Run:
    """The steps of one run; each returns a one-line summary and leaves its files in the folder."""

    def __init__(self, asked: Asked, folder: Path, progress: Progress) -> None:
        self.asked, self.settings, self.folder, self.progress = asked, asked.settings, folder, progress
        self.target = resolve_target(asked.device)
        self._require_place()
        formats = runtime_of(self.target).formats
        if self.target.precision not in formats:
            raise InputError(
                f"device '{asked.device}' runs no exported file in {self.target.precision}, so there is nothing to verify;"
                " search for it, and run on another"
            )
        self.space = self.settings.space
        self.supernet = self.settings.supernet or zoo_supernet(self.space)
        if self.supernet is not None:
            elastic_space(self.space)
        if self.settings.photos is not None and not self._is_slice:
            raise InputError(
                f"--photos {self.settings.photos} are for a slice of a supernet; train on labelled ones with --data"
            )
        if self._is_slice:
            self.settings.require_no_training()
        require_trainable(asked)  # refused now, not after the search
        self.start = self.settings.init or self.supernet
        self.cut = False  # whether the training that was done last stopped before its end
        self.format = FORMATS[formats[self.target.precision]]
        self.model = folder / self.format.file_name
        self.steps, self.about, self.sha256 = list[Step](), dict[str, str](), dict[str, str]()
        self._open()
        if asked.data is not None and not self.steps:
            training_photos(*self._data)  # as above

    def _require_place(self) -> None:
        """Raises InputError, MissingPackageError or DeviceError where nothing runs the files of the target."""
        if self.target.elsewhere:
            with place_of(self.target, self.progress):
                return
        require_available(self.target)

    def _open(self) -> None:
        path = self.folder / RUN
        if not path.exists():
            return
        record = read_file(RunRecord, path, "run")
        if record.settings != self.asked.to_json():
            changed = sorted(key for key, value in self.asked.to_json().items() if record.settings.get(key) != value)
            raise InputError(f"{self.folder} holds a run with another {', '.join(changed)}; choose another --out")
        # What failed because the machine was slow is tried again.
        again = {"verify"} if any(g.name.startswith("latency") and g.passed is False for g in self.gates) else set()
        self.sha256, self.about = dict(record.sha256), dict(record.about)
        for step in record.steps:
            if changed := [name for name in self._made_by(step.name) if not self._is_as_made(name)]:
                self.progress.note(f"{step.name}: {', '.join(changed)} was changed or is gone since; again from here")
                for name in changed:  # a training that has ended makes it of its last state
                    (self.folder / name).unlink(missing_ok=True)
                break
            if not step.finished:
                self.progress.note(f"{step.name}: was stopped early; it goes on, and what follows is made again")
                break
            if step.name not in again:
                self.steps.append(step)

    def _made_by(self, step: str) -> tuple[str, ...]:
        exported = Path(self.format.file_name)
        return files_of_step(step, exported, self.format.weights_of(exported))

    def _is_as_made(self, name: str) -> bool:
        path = self.folder / name
        return path.is_file() and self.sha256.get(name) in (None, sha256_of(path))

    def finish(self) -> RunResult:
        """Do what is not done."""
        for name, step in (
            ("table", self.make_table),
            ("search", self.search),
            ("data", self.prepare_data),
            ("rank", self.rank),
            ("slice", self.slice) if self._is_slice else ("train", self.train),
            ("export", self.export),
            ("verify", self.verify),
        ):
            if name != "rank" or self.settings.top is not None:
                self._do(name, step)
        self._save()
        write_report(self.folder)
        return RunResult(self.folder, self.passed, tuple(self.steps), self.gates)

    def _do(self, name: str, step: Callable[[], str]) -> None:
        if any(done.name == name for done in self.steps):
            self.progress.note(f"{name}: already done")
            return
        started, self.about = time.monotonic(), about_now()
        summary = step()
        finished = not (name == "train" and self.cut)
        self.steps.append(Step(name, round(time.monotonic() - started, 1), summary, finished))
        self.sha256 |= {made: sha256_of(self.folder / made) for made in self._made_by(name)}
        self._save()
        self.progress.note(f"{name}: {summary}")

    def _save(self) -> None:
        """Write run.json: the settings, the finished steps and the verdict so far."""
        asked = self.asked
        record = RunRecord(
            device=asked.device,
            budgets=asked.budgets().limits,
            data=SYNTHETIC if asked.data is None else str(asked.data),
            input=as_text(self.settings.input_size) if self._found is None else self._found.input,
            passed=self.passed,
            settings=asked.to_json(),
            steps=tuple(self.steps),
            percentile=asked.budget.percentile,
            supernet="" if self.supernet is None else self.supernet.stem,
            about=self.about,
            sha256=self.sha256,
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
        return proved(self.gates)

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
        table = table_of_run(self.asked, self.progress)
        save_table(table, self.folder / TABLE)
        return facts_of_table(table).words

    def search(self) -> str:
        """The best architecture under the budgets, and where its milliseconds go."""
        (self.folder / RANKED).unlink(missing_ok=True)
        result = search_of_run(self.asked, self.table, self.progress)
        predicted_ms = self._write_found(result)
        best = result.best
        return f"{best.architecture} at {result.input}, DDSAR {best.ddsar:.3f}, predicted {predicted_ms:.2f} ms"

    def _write_found(self, result: SearchResult) -> float:
        """Write what the search, or a ranking of its best, chose, and return its predicted latency in ms."""
        write_json(self.folder / SEARCH, result.to_json())
        prediction = predict(result.best.architecture, self.asked.device, input_size=result.input, table=self.table)
        write_json(self.folder / PREDICTION, prediction.to_json())
        return prediction.latency_ms

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

    @property
    def _found(self) -> SearchResult | None:
        path = self.folder / SEARCH
        return read_file(SearchResult, path, "search result") if path.exists() else None

    def _chosen(self) -> tuple[str, Size]:
        """The architecture and the input."""
        assert self._found is not None
        return self._found.best.architecture, parse_size(self._found.input)

    def rank(self) -> str:
        """The search's result with the one first that short trainings found best."""
        if not (self.folder / RANKED).exists():  # the order in which they are ranked
            write_atomic(self.folder / RANKED, (self.folder / SEARCH).read_text(encoding="utf-8"))
        ranked = rank_of_run(self.asked, self.folder, self._data, self.start, self.progress)
        self._write_found(ranked.result)
        return ranked.words

    def slice(self) -> str:
        """The chosen slice of the supernet as a checkpoint."""
        assert self.supernet is not None
        cut = slice(
            self.supernet,
            self._chosen()[0],
            photos=self.settings.photos,
            out=self.folder / WEIGHTS,
            progress=self.progress,
        )
        return f"{cut.architecture} of {cut.supernet}, norms from {cut.crops} crops of {cut.photos} photos"

    def train(self) -> str:
        """A checkpoint of the chosen architecture."""
        recipe = recipe_of(self.asked.data, self.settings.epochs, self.settings.seed)
        data, val = self._data
        architecture, input_size = self._chosen()
        result = train(
            architecture,
            data,
            val=val,
            recipe=recipe,
            settings=TrainingSettings(
                input_size,
                init=self.start,
                teacher=self.settings.teacher,
                resume=True,
                may_begin=True,
                max_minutes=self.settings.max_minutes,
            ),
            out=self.folder / "training",
            progress=self.progress,
        )
        best = ", ".join(f"{name} {value:.3f}" for name, value in result.best.items() if value is not None)
        self.cut = not result.finished
        trained = f"{recipe.epochs} epochs of {result.photos} photos, best AP {best or 'not known yet'}"
        if self.cut:
            return f"stopped at step {result.step:,} of {result.steps:,}, the same command trains on; {trained}"
        return trained

    def export(self) -> str:
        """The exported file of the best checkpoint."""
        data = self._data[0]
        photos = len(training_photos(*self._data).train.photos)
        artefact = export(
            self.folder / WEIGHTS,
            self.format.name,
            self.target.precision,
            settings=ExportSettings(
                self._chosen()[1],
                calibration=data,
                calibration_count=min(DEFAULT_COUNT, photos),
                device=self.target.name if self.format.name == "trt" else None,
            ),
            out=self.model,
            progress=self.progress,
        )
        if artefact.path != self.model:  # a board that answered before does not any more
            raise DeviceError(f"{self.target} built no engine; run this again when it is back")
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
        runs_it = None if runtime_of(self.target).estimates else self.target
        with place_of(self.target, self.progress) as place:
            load = load_model if runs_it is None else place.load
            detector = FaceDetector(self.model, runs_it, load=load)
            write_pictures(self.folder / "photos", detector, photos, _DRAWN_PHOTOS)
        write_json(self.folder / VERIFICATION, verification.to_json())
        return outcome(verification.gates)
