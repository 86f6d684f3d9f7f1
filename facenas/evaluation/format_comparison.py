"""What a comparison of one detector's files found: size, what is really computed, gates, average precision, latency; and
which to take, the fastest whose gates pass."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from facenas.evaluation.gates import VERDICTS, Gate, LatencyCheck, Precision, proved, undecided
from facenas.shown import Rows, Shown
from facenas.units import in_ms


@dataclass(frozen=True)
class FormatResult:
    """One file on its target. `latency_ms`: of the whole file, 20th percentile of runs of all files in turns, None where
    nothing could be timed; `problem`: why there is no file, or no verdict, in words."""

    target: str
    format: str
    precision: str
    file: str = ""
    size_bytes: int = 0
    operators: Mapping[str, int] | None = None
    latency_ms: float | None = None
    spread_ms: float | None = None
    gates: tuple[Gate, ...] = ()
    ap: Precision | None = None
    latency: LatencyCheck | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        """Format and precision."""
        return f"{self.format} {self.precision}"

    @property
    def passed(self) -> bool:
        """No gate failed, and those of the file were all decided."""
        return proved(self.gates)

    @property
    def computes(self) -> str:
        """The operators that the runtime really computes in which precision; where it does not tell, the precision."""
        return ", ".join(f"{count} {kind}" for kind, count in (self.operators or {}).items()) or self.precision

    @property
    def verdict(self) -> str:
        """What failed or could not be decided, or else that it passed."""
        failed = [gate.name for gate in self.gates if gate.passed is False]
        if self.problem or failed:
            return self.problem or f"FAILED: {', '.join(failed)}"
        return VERDICTS[True] if self.passed else f"{VERDICTS[None]} {', '.join(undecided(self.gates))}".strip()

    @property
    def time(self) -> str:
        """The latency with its unit, and whether it is an estimate."""
        if self.latency_ms is not None:
            return in_ms(self.latency_ms)
        estimated_ms = None if self.latency is None else self.latency.estimated_ms
        return "" if estimated_ms is None else f"{in_ms(estimated_ms)}, estimated"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"name": self.name, "passed": self.passed, **asdict(self)}


@dataclass(frozen=True, repr=False)
class FormatComparison(Shown):
    """`checkpoint` and `data` by name; `cpu`: the machine."""

    date: str
    cpu: str
    checkpoint: str
    data: str
    results: tuple[FormatResult, ...]

    @property
    def best(self) -> FormatResult | None:
        """The fastest measured whose gates pass."""
        usable = [each for each in self.results if each.passed and each.latency_ms is not None]
        return min(usable, key=lambda each: each.latency_ms or 0.0, default=None)

    def line(self) -> str:
        """The advice."""
        best = self.best
        if best is None or best.latency_ms is None:
            return "take none: no file that could be timed passes all its gates"
        slowest = max((each.latency_ms or 0.0 for each in self.results), default=0.0)
        than = f", {slowest / best.latency_ms:.1f} times as fast as the slowest" if slowest > best.latency_ms else ""
        return f"take {best.name} on {best.target}: {in_ms(best.latency_ms)}{than}, and all its gates pass"

    def shown(self) -> tuple[Rows, ...]:
        """One line a file."""
        columns = ("file", "target", "size", "really computed", "gates", "AP", "largest drop", "latency")
        return (Rows(f"{self.checkpoint}, judged on {self.data}", columns, tuple(map(_row, self.results))),)

    def to_json(self) -> dict[str, Any]:
        """Everything, with the advice."""
        best = self.best
        return {
            "date": self.date,
            "cpu": self.cpu,
            "checkpoint": self.checkpoint,
            "data": self.data,
            "take": None if best is None else {"target": best.target, "name": best.name, "file": best.file},
            "formats": [each.to_json() for each in self.results],
        }


def _row(each: FormatResult) -> tuple[str, ...]:
    size = f"{each.size_bytes / 1e6:.2f} MB" if each.size_bytes else ""
    figures = {} if each.ap is None else each.ap.artefact
    ap = " ".join(f"{figure:.3f}" for figure in figures.values() if figure is not None)
    drop = "" if each.ap is None else each.ap.drop_words
    computed = each.computes if each.file else ""
    return each.name, each.target, size, computed, each.verdict, ap, drop, each.time
