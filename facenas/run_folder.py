"""A run folder: the names of its files, and every piece read as data, by the types that wrote it; for a piece that is absent
or damaged the reason in words."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from facenas.cost import latency_cost
from facenas.devices.cpu import cores, cpu_model
from facenas.errors import InputError
from facenas.evaluation.verification import Verification
from facenas.files import read_json
from facenas.given import SEARCH as SEARCH
from facenas.given import WEIGHTS as WEIGHTS
from facenas.latency.predictor import Prediction
from facenas.latency.provenance import TableFacts
from facenas.searching.result import SearchResult
from facenas.typed_json import read_as
from facenas.units import LOW_PERCENTILE
from facenas.version import __version__

RUN, TABLE, PREDICTION = "run.json", "table.json", "prediction.json"
VERIFICATION, EVALUATION, CURVE = "verify.json", "evaluation.json", "training/training.jsonl"
RANKING, RANKED = "ranking/rank.json", "ranking/search.json"
REPORT = "report.html"
SYNTHETIC = "synthetic"
Curve = tuple[tuple[float, float], ...]
T = TypeVar("T")


def place_beside(artefact: Path) -> Path:
    """Where a verification that is made by hand goes: beside the file, in a run folder under a name of its own."""
    own = f"{artefact.stem}.verify.json" if (artefact.parent / RUN).exists() else VERIFICATION
    return artefact.parent / own


def require_not_the_runs(place: Path) -> None:
    """Raises InputError where `place` is the verification that a run made itself, which its verdict and page rest on."""
    if place.name == VERIFICATION and (place.parent / RUN).exists():
        raise InputError(f"{place} is the run's own verification; choose another --out, or leave it out")


def about_now() -> dict[str, str]:
    """When, with what and where a step was made."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "facenas": __version__,
        "Python": platform.python_version(),
        "machine": f"{cpu_model()}, {cores()} cores, {platform.platform()}",
    }


@dataclass(frozen=True)
class Step:
    """A step of the run that left its files; `finished`: False where it was told to stop early, so that it can go on."""

    name: str
    seconds: float
    summary: str
    finished: bool = True


@dataclass(frozen=True)
class RunRecord:
    """run.json: what was asked for, and the finished steps. `data`: `synthetic`, or where the photos are; `budgets` by cost
    (`latency cpu`), at this `percentile` of the runs; `settings`: all that decides the result;
    `supernet`: whose slice the weights are, or began as; `sha256`: of the files that its steps made, by name in the folder;
    `about`: date, versions and machine of its last step, by name."""

    device: str
    budgets: Mapping[str, float]
    data: str
    input: str
    passed: bool
    settings: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    percentile: int = LOW_PERCENTILE
    supernet: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)


def files_of_step(step: str, artefact: Path, artefact_weights: Path | None) -> tuple[str, ...]:
    """Where in the run's folder the files lie that a step makes and later ones, or the verdict, rest on; `artefact` and
    `artefact_weights`: likewise."""
    exported = (str(artefact), *(() if artefact_weights is None else (str(artefact_weights),)))
    return {
        "table": (TABLE,),
        "search": (SEARCH,),
        "rank": (RANKING, RANKED, SEARCH),
        "slice": (WEIGHTS,),
        "train": (WEIGHTS,),
        "export": exported,
        "verify": (VERIFICATION,),
    }.get(step, ())


@dataclass(frozen=True)
class LossLine:
    """Mean losses at a step of training/training.jsonl."""

    step: int
    steps: int
    score: float
    box: float
    landmark: float = 0.0
    crops_per_s: float | None = None


@dataclass(frozen=True)
class ValidationLine:
    """Average precisions at a step of training/training.jsonl."""

    step: int
    easy: float | None = None
    medium: float | None = None
    hard: float | None = None
    all: float | None = None


@dataclass(frozen=True)
class TrainingRecord:
    """The training curve; `unread`: lines that could not be read (a kill can cut the last one)."""

    losses: tuple[LossLine, ...]
    validations: tuple[ValidationLine, ...]
    unread: int


@dataclass(frozen=True)
class RunFolder:
    """All pieces of a run. `missing`: by file name, why a piece that is None could not be used."""

    path: Path
    run: RunRecord | None
    search: SearchResult | None
    prediction: Prediction | None
    training: TrainingRecord | None
    verification: Verification | None
    curves: Mapping[str, Curve] | None
    photos: tuple[Path, ...]
    missing: Mapping[str, str]

    @property
    def synthetic(self) -> bool:
        """Whether the detector was trained and judged on synthetic photos."""
        names = (self.run.data if self.run else "", self.verification.data if self.verification else "")
        return SYNTHETIC in names

    @property
    def table(self) -> TableFacts | None:
        """What must be said of the table behind the predicted latency on the run's target, from the best source there is."""
        if self.verification is not None and self.verification.latency.table is not None:
            return self.verification.latency.table
        if self.prediction is not None and self.prediction.table is not None:
            return self.prediction.table
        return None if self.search is None or self.target is None else self.search.tables.get(self.target)

    @property
    def target(self) -> str | None:
        """The target that the run is for."""
        if self.run is not None:
            return self.run.device
        if self.verification is not None:
            return self.verification.latency.target
        return next(iter(self.search.best.latency_ms), None) if self.search is not None else None

    @property
    def budgets(self) -> Mapping[str, float]:
        """What was asked for: of the run, else of the search, else of the verification."""
        if self.run is not None:
            return self.run.budgets
        if self.search is not None:
            return self.search.budgets
        latency = self.verification.latency if self.verification is not None else None
        if latency is None or latency.budget_ms is None:
            return {}
        return {latency_cost(latency.target).key: latency.budget_ms}


def read_run_folder(path: Path) -> RunFolder:
    """Raises InputError where there is no such folder, or neither a usable search.json nor a usable verify.json."""
    if not path.is_dir():
        raise InputError(f"no run folder {path}; give the folder that `facenas run` wrote")
    missing: dict[str, str] = {}

    def piece(kind: type[T], name: str) -> T | None:
        if not (path / name).is_file():
            missing[name] = f"{name} is missing"
            return None
        try:
            return read_as(kind, read_json(path / name, "run's"), name)
        except InputError as error:
            missing[name] = str(error)
            return None

    search, verification = piece(SearchResult, SEARCH), piece(Verification, VERIFICATION)
    if search is None and verification is None:
        raise InputError(f"{path} is no run folder: {missing[SEARCH]}; {missing[VERIFICATION]}; search or verify first")
    photos = tuple(sorted((path / "photos").glob("*.jpg")))
    if not photos:
        missing["photos"] = "photos/ holds no .jpg"
    return RunFolder(
        path,
        piece(RunRecord, RUN),
        search,
        piece(Prediction, PREDICTION),
        _read_training(path, missing),
        verification,
        piece(Mapping[str, Curve], EVALUATION),  # type: ignore[type-abstract]
        photos,
        missing,
    )


def _read_training(path: Path, missing: dict[str, str]) -> TrainingRecord | None:
    name = CURVE
    try:
        lines = (path / name).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        missing[name] = f"{name} is missing"
        return None
    except OSError as error:
        missing[name] = f"{name} cannot be read: {error.strerror}"
        return None
    losses, validations, unread = [], [], 0
    for line in lines:
        try:
            value = json.loads(line)
            if isinstance(value, dict) and "score" in value:
                losses.append(read_as(LossLine, value, name))
            else:
                validations.append(read_as(ValidationLine, value, name))
        except (json.JSONDecodeError, InputError):
            unread += 1
    if not losses and not validations:
        missing[name] = f"{name} holds no line that can be read"
        return None
    return TrainingRecord(tuple(losses), tuple(validations), unread)
