"""What a run of the benchmarks says, as rows for a table and as Markdown for a pull request's summary."""

from collections.abc import Sequence

import numpy as np

from facenas.bench.gate import BenchResult
from facenas.bench.record import Record
from facenas.bench.regression import SIGNIFICANCE, TOLERATED, Comparison
from facenas.units import in_ms

TIMING_COLUMNS = ("benchmark", "least", "median", "visits")
COMPARISON_COLUMNS = ("benchmark", "before", "now", "ratio", "98 % interval", "p", "verdict")


def timing_rows(record: Record) -> list[tuple[str, ...]]:
    """Least and median of each workload's visits."""
    return [
        (
            name,
            in_ms(min(timing.samples_ns) / 1e6),
            in_ms(float(np.median(timing.samples_ns)) / 1e6),
            str(len(timing.samples_ns)),
        )
        for name, timing in record.timings.items()
    ]


def comparison_rows(comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """The ratio with its interval, and the verdict."""
    return [
        (
            each.name,
            in_ms(each.before_ms),
            in_ms(each.after_ms),
            f"{each.ratio:.3f}",
            f"{each.low:.3f} to {each.high:.3f}",
            f"{each.p:.2g}",
            each.verdict,
        )
        for each in comparisons
    ]


def verdict(outcome: BenchResult) -> str:
    """One line."""
    slower = [each.name for each in outcome.comparisons if each.regression]
    if slower:
        return f"slower beyond noise than {outcome.against}: {', '.join(slower)}"
    if outcome.not_judged:
        return outcome.not_judged
    return f"nothing is slower beyond noise than {outcome.against}"


def markdown(outcome: BenchResult) -> str:
    """The whole outcome as Markdown."""
    record = outcome.record
    extent = "quick" if record.quick else "full"
    lines = ["## facenas bench", ""]
    if outcome.against:
        word = {True: "Passed", False: "FAILED", None: "Not judged"}[outcome.passed]
        lines += [f"**{word}**: {verdict(outcome)}.", ""]
        lines += _table(COMPARISON_COLUMNS, comparison_rows(outcome.comparisons))
        lines += [
            "",
            "The ratio is of the medians, each time over that of a reference workload run beside it. Slower is p below "
            f"{SIGNIFICANCE:g} (Mann-Whitney) and a ratio above {TOLERATED:g}, on all visits; what looks slower gets up "
            "to three times as many. Visits count only while the machine was about as quiet as at its best.",
            "",
        ]
    lines += _table(TIMING_COLUMNS, timing_rows(record))
    if record.figures:
        lines += ["", *_table(("figure", "value"), [(name, f"{value:.4g}") for name, value in record.figures.items()])]
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    lines += ["", f"Commit {record.commit}, {record.date}, {extent}, on {record.fingerprint.cpu}; {versions}.", ""]
    return "\n".join(lines)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
