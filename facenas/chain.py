"""The whole chain in one run folder: table, search, data, train, export, verify, report; resumable step by step.

`run.json` holds the settings and the finished steps; a step's files are whole when it is listed. The same call on the
same folder skips what is finished and lets the training go on from its last saved state.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from facenas.cost import latency_cost
from facenas.errors import InputError, LatencyBudgetError
from facenas.files import read_json, write_json
from facenas.latency.this_machine import Calibrate, TableRequest, facts_of_table, table_of_this_machine
from facenas.training.recipe import Recipe
from facenas.units import LOW_PERCENTILE, LatencyBudget, Size

Report = Callable[[int, int, str], None]
Note = Callable[[str], None]

SYNTHETIC_TRAIN_PHOTOS = 240
SYNTHETIC_VAL_PHOTOS = 60
# Small crops of the drawn photos teach a usable detector in about two minutes on one core.
SYNTHETIC_RECIPE = Recipe(epochs=90, size_px=128, crop_scales=(0.2, 0.27, 0.4, 0.6))
BUDGET_RESERVE = 0.03
_DRAWN_PHOTOS = 6


@dataclass(frozen=True)
class ChainSettings:
    """What a run was asked for. `data` None: a synthetic set; `epochs` None: the default for the data."""

    device: str
    budget: LatencyBudget
    data: Path | None
    val: Path | None
    epochs: int | None
    space: str
    input_size: Size
    alpha: float
    table: Path | None
    seed: int
    calibrate: Calibrate = Calibrate.ONCE

    def to_json(self) -> dict[str, Any]:
        """Plain values of what decides the result."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        del plain["calibrate"]  # it decides when the table is made, and then the table is there
        return {
            key: str(value) if isinstance(value, Path | Size | LatencyBudget) else value for key, value in plain.items()
        }


@dataclass(frozen=True)
class Outcome:
    """The verdict of a run."""

    run_dir: Path
    passed: bool
    steps: tuple[dict[str, Any], ...]
    gates: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        return {"run_dir": str(self.run_dir), "passed": self.passed, "steps": list(self.steps)}


def run_chain(settings: ChainSettings, folder: Path, report: Report, note: Note) -> Outcome:
    """Run all steps that `folder` lacks. Raises InputError where it holds a run with other settings."""
    chain = _Chain(settings, folder, report, note)
    for name, step in (
        ("table", chain.make_table),
        ("search", chain.search),
        ("data", chain.prepare_data),
        ("train", chain.train),
        ("export", chain.export),
        ("verify", chain.verify),
    ):
        chain.do(name, step)
    from facenas.report.run_page import write_report

    chain.save()
    write_report(folder)
    gates = read_json(folder / "verify.json", "verification")["gates"]
    return Outcome(folder, chain.passed, tuple(chain.steps), tuple(gates))


def draw_synthetic_photos(folder: Path, report: Report) -> None:
    """Draw a synthetic set to train on into `folder/train`, one to verify on into `folder/val`."""
    from facenas.data.synthetic import write_synthetic_set

    for part, count, seed in (("train", SYNTHETIC_TRAIN_PHOTOS, 0), ("val", SYNTHETIC_VAL_PHOTOS, 1)):
        progress = partial(_report_counts, report, f"drawing synthetic photos ({part})")
        write_synthetic_set(folder / part, count, seed, report=progress)


def _report_counts(report: Report, what: str, done: int, total: int) -> None:
    report(done, total, what)


class _Chain:
    """The steps of one run; each returns a one-line summary and leaves its files in the folder."""

    def __init__(self, settings: ChainSettings, folder: Path, report: Report, note: Note) -> None:
        from facenas.devices.targets import resolve_target
        from facenas.runtimes.runtime import require_available

        self.settings, self.folder, self.report, self.note = settings, folder, report, note
        self.target = resolve_target(settings.device)
        require_available(self.target)
        if self.target.runtime != "onnxruntime":
            raise InputError(f"`run` exports ONNX for ONNX Runtime; device '{settings.device}' needs another; use cpu")
        self.steps: list[dict[str, Any]] = []
        self._open()

    def _open(self) -> None:
        path = self.folder / "run.json"
        if not path.exists():
            return
        state = read_json(path, "run")
        if state.get("settings") != self.settings.to_json():
            before = state.get("settings", {})
            changed = sorted(key for key, value in self.settings.to_json().items() if before.get(key) != value)
            raise InputError(f"{self.folder} holds a run with another {', '.join(changed)}; choose another --out")
        # What failed because the machine was slow is tried again.
        again = {"verify"} if self._latency_failed() else set()
        self.steps = [entry for entry in state["steps"] if entry["name"] not in again]

    def _latency_failed(self) -> bool:
        path = self.folder / "verify.json"
        if not path.exists():
            return False
        gates = read_json(path, "verification")["gates"]
        return any(gate["name"].startswith("latency") and gate["passed"] is False for gate in gates)

    def save(self) -> None:
        """Write run.json: the settings, the finished steps and the verdict so far."""
        settings = self.settings
        state = {
            "device": settings.device,
            "budgets": {latency_cost(settings.device).key: settings.budget.limit_ms},
            "percentile": settings.budget.percentile,
            "data": self.data_name,
            "input": str(settings.input_size),
            "passed": self.passed,
            "settings": settings.to_json(),
            "steps": self.steps,
        }
        write_json(self.folder / "run.json", state)

    @property
    def data_name(self) -> str:
        """What the detector is trained on; a synthetic set is called that everywhere."""
        return "synthetic" if self.settings.data is None else str(self.settings.data)

    @property
    def passed(self) -> bool:
        """Whether the verification is done and no gate failed."""
        path = self.folder / "verify.json"
        return path.exists() and bool(read_json(path, "verification")["passed"])

    def do(self, name: str, step: Callable[[], str]) -> None:
        """Run a step unless it is finished."""
        if any(entry["name"] == name for entry in self.steps):
            self.note(f"{name}: already done")
            return
        started = time.monotonic()
        summary = step()
        self.steps.append({"name": name, "seconds": round(time.monotonic() - started, 1), "summary": summary})
        self.save()
        self.note(f"{name}: {summary}")

    def make_table(self) -> str:
        """The shipped or given table, made this machine's where it is of another one."""
        from facenas.latency.table import save_table
        from facenas.spaces.named import load_space

        settings = self.settings
        request = TableRequest(
            self.target,
            settings.input_size,
            load_space(settings.space),
            settings.table,
            settings.budget.percentile,
            settings.calibrate,
        )
        table = table_of_this_machine(request, self.report, self.note)
        save_table(table, self.folder / "table.json")
        return facts_of_table(table).words

    def search(self) -> str:
        """The best architecture under the budget, and where its milliseconds go."""
        from facenas.architecture import parse_detector
        from facenas.latency.predictor import predict
        from facenas.latency.table import load_table
        from facenas.scoring.ddsar import ScoreSettings
        from facenas.searching.alternatives import with_alternatives
        from facenas.searching.budgets import Budgets
        from facenas.searching.costs import TableModel
        from facenas.searching.problem import Problem
        from facenas.searching.result import run_search
        from facenas.spaces.named import load_space

        settings = self.settings
        table = load_table(self.folder / "table.json")
        # A little less than the budget: prediction and measurement each have their error.
        budgets = Budgets({settings.device: settings.budget.limit_ms * (1 - BUDGET_RESERVE)})
        models = {settings.device: TableModel(table, settings.budget.percentile)}
        problem = Problem(
            load_space(settings.space), ScoreSettings(settings.alpha), settings.input_size, models, budgets
        )
        try:
            result = run_search(problem, top=5, provenance={settings.device: table.provenance})
        except LatencyBudgetError as error:
            raise with_alternatives(error, problem.space, settings.input_size) from error
        other = settings.budget.percentile != LOW_PERCENTILE
        result = replace(
            result,
            tables={settings.device: facts_of_table(table)},
            percentiles={settings.device: settings.budget.percentile} if other else {},
        )
        write_json(self.folder / "search.json", result.to_json())
        prediction = predict(parse_detector(result.best.architecture), table, settings.input_size)
        facts = {"table": asdict(facts_of_table(table))}
        write_json(self.folder / "prediction.json", prediction.to_json() | facts)
        return f"{result.best.architecture}, DDSAR {result.best.ddsar:.3f}, predicted {prediction.latency_ms:.2f} ms"

    def prepare_data(self) -> str:
        """Nothing for the user's photos; without any, a synthetic set."""
        if self.settings.data is not None:
            return f"photos of {self.settings.data}"
        draw_synthetic_photos(self.folder / "data", self.report)
        return f"{SYNTHETIC_TRAIN_PHOTOS} synthetic photos to train on, {SYNTHETIC_VAL_PHOTOS} to verify on"

    @property
    def _data(self) -> tuple[Path, Path | None]:
        if self.settings.data is None:
            return self.folder / "data" / "train", self.folder / "data" / "val"
        return self.settings.data, self.settings.val

    def train(self) -> str:
        """A checkpoint of the chosen architecture."""
        from facenas.training.photos import training_photos
        from facenas.training.session import train_detector

        recipe = SYNTHETIC_RECIPE if self.settings.data is None else Recipe()
        recipe = replace(recipe, epochs=self.settings.epochs or recipe.epochs, seed=self.settings.seed)
        photos = training_photos(*self._data)
        for line in photos.notes:
            self.note(line)
        result = train_detector(
            self._detector(),
            self.settings.input_size,
            recipe,
            photos,
            self.folder / "training",
            self.report,
        )
        best = ", ".join(f"{name} {value:.3f}" for name, value in result.best.items() if value is not None)
        return f"{recipe.epochs} epochs of {len(photos.train.photos)} photos, best AP {best}"

    def _detector(self) -> Any:
        from facenas.architecture import parse_detector

        return parse_detector(read_json(self.folder / "search.json", "search result")["architecture"])

    def export(self) -> str:
        """The ONNX file of the best checkpoint."""
        from facenas.checkpoint import load_checkpoint
        from facenas.exporters.onnx import export_checkpoint

        checkpoint = load_checkpoint(self.folder / "training" / "best.safetensors")
        artefact = export_checkpoint(checkpoint, self.folder / "model.onnx", dynamic=False)
        return f"{artefact.path.name}, {artefact.size_bytes / 1e6:.2f} MB, sha256 {artefact.sha256[:12]}"

    def verify(self) -> str:
        """All gates, and pictures of what the artefact finds."""
        from facenas.evaluation.gates import Limits
        from facenas.evaluation.latency_check import check_latency
        from facenas.evaluation.pictures import write_evaluation, write_pictures
        from facenas.evaluation.verification import verify
        from facenas.latency.table import load_table
        from facenas.training.photos import training_photos

        photos = training_photos(*self._data).validation
        artefact = self.folder / "model.onnx"
        table = load_table(self.folder / "table.json")
        latency = check_latency(artefact, self.target, table, self.settings.budget, self.report)
        reference = self.folder / "training" / "best.safetensors"
        verification = verify(artefact, reference, photos, latency, Limits(), self.report)
        if verification.evaluation is not None:
            write_evaluation(self.folder / "evaluation.json", verification.evaluation)
        write_pictures(self.folder / "photos", artefact, photos, _DRAWN_PHOTOS)
        write_json(self.folder / "verify.json", verification.to_json())
        failed = [gate.name for gate in verification.gates if gate.passed is False]
        return "all gates passed" if not failed else f"failed: {', '.join(failed)}"
