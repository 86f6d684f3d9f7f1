"""What a comparison of detectors found: accuracy and latency of each, on the same photos, machine and run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from facenas.errors import InputError

SCHEMA = 1
Setting = Literal["easy", "medium", "hard"]
SETTINGS: tuple[Setting, ...] = ("easy", "medium", "hard")


@dataclass(frozen=True)
class DetectorResult:
    """`latency_ms`: the network alone, 20th percentile of runs in turns, at `input`; `spread_ms`: 75th minus 25th; `usual`:
    whether that is the input that it is used at."""

    name: str
    ours: bool
    input: str
    easy: float
    medium: float
    hard: float
    latency_ms: float
    spread_ms: float
    samples: int
    usual: bool = True

    def precision(self, setting: Setting) -> float:
        """Average precision of a setting."""
        return {"easy": self.easy, "medium": self.medium, "hard": self.hard}[setting]


@dataclass(frozen=True)
class DetectorComparison:
    """`photos`: how many, `data`: the name of their set; `cpu`: the machine; `commit` as in a benchmark record; `device`: the
    target that all ran on, and its `runtime`."""

    schema: int
    date: str
    commit: str
    cpu: str
    versions: Mapping[str, str]
    data: str
    photos: int
    detectors: tuple[DetectorResult, ...]
    device: str = "cpu"
    runtime: str = "onnxruntime"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def pareto_front(detectors: Sequence[DetectorResult], setting: Setting) -> list[DetectorResult]:
    """Those that no other detector beats in both latency and average precision, by rising latency."""
    front: list[DetectorResult] = []
    for each in sorted(detectors, key=lambda detector: (detector.latency_ms, -detector.precision(setting))):
        if not front or each.precision(setting) > front[-1].precision(setting):
            front.append(each)
    return front


@dataclass(frozen=True)
class Distance:
    """How far a detector lies off the front: `precision`: how much more the best one that is no slower has (0: none
    has more); `slower`: its latency over that of the fastest which is no less precise (1: none is faster)."""

    detector: DetectorResult
    precision: float
    slower: float

    @property
    def on_front(self) -> bool:
        """Whether no other detector is both as fast and more precise, or faster and as precise."""
        return self.precision <= 0 and self.slower <= 1


def distance(detector: DetectorResult, detectors: Sequence[DetectorResult], setting: Setting) -> Distance:
    """Of one detector to the front of all."""
    own = detector.precision(setting)
    best = max(each.precision(setting) for each in detectors if each.latency_ms <= detector.latency_ms)
    fastest_ms = min(each.latency_ms for each in detectors if each.precision(setting) >= own)
    return Distance(detector, best - own, detector.latency_ms / fastest_ms)


def nearest_of_ours(detectors: Sequence[DetectorResult], setting: Setting) -> Distance:
    """Our detector that lies least far off the front; of several on it the most precise. Raises InputError where there is
    none of ours."""
    ours = [distance(each, detectors, setting) for each in detectors if each.ours]
    if not ours:
        raise InputError("no detector of ours takes part; give one with --model")
    return min(ours, key=lambda each: (each.precision, each.slower, -each.detector.precision(setting)))
