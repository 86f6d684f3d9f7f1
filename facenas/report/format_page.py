"""The page that compares the files of one detector: which to take, and what each costs."""

from pathlib import Path

from facenas.evaluation.format_comparison import FormatComparison
from facenas.evaluation.gates import Gate
from facenas.files import write_atomic
from facenas.report.charts import Bar, bar_chart
from facenas.report.markup import Html, element, paragraph, section, table
from facenas.report.page import page
from facenas.report.verdict import gate_word
from facenas.units import in_ms
from facenas.version import __version__


def write_formats(comparison: FormatComparison, path: Path) -> None:
    """Write the page; equal comparisons give equal bytes."""
    best = comparison.best
    kind = "verdict failed" if best is None else "verdict passed"
    header = element(
        "header",
        paragraph(f"facenas comparison of the files of {comparison.checkpoint}", kind="eyebrow"),
        element("h1", element("span", comparison.line().capitalize(), class_=kind)),
        paragraph(f"Judged on {comparison.data}; files of this machine timed in turns, in one run.", kind="lead"),
    )
    (rows,) = comparison.shown()
    main = element(
        "main",
        section("latency", "Latency", _chart(comparison)),
        section("files", "All files", table(rows.columns, rows.rows, {2, 5, 6, 7})),
        section("gates", "Gates", _gates(comparison)),
        section(
            "provenance",
            "Where the numbers come from",
            paragraph(
                "Latency is measured: the whole file on its target, one after another in turns, 20th percentile; what is "
                "called estimated is a compiler's word. Gates are those of facenas verify, on each file's own target."
            ),
            paragraph(f"{comparison.date}, on {comparison.cpu}.", kind="note"),
        ),
    )
    footer = element("footer", f"Written by facenas {__version__}.")
    write_atomic(path, page(f"facenas comparison of {comparison.checkpoint}", header, main, footer))


def _chart(comparison: FormatComparison) -> Html:
    timed = [each for each in comparison.results if each.latency_ms is not None]
    if not timed:
        return paragraph("No file could be timed here.", kind="missing")
    bars = [
        Bar(f"{each.name} on {each.target}", ms, in_ms(ms), each.verdict, quiet=each is not comparison.best)
        for each in sorted(timed, key=lambda each: each.latency_ms or 0.0)
        if (ms := each.latency_ms) is not None
    ]
    return bar_chart("Latency of each file", bars, wide_px=1000)


def _gates(comparison: FormatComparison) -> Html:
    judged = [each for each in comparison.results if each.gates]
    names = list(dict.fromkeys(gate.name for each in judged for gate in each.gates))
    rows = []
    for each in judged:
        gates = {gate.name: gate for gate in each.gates}
        rows.append((f"{each.name}, {each.target}", *(_word(gates[name]) if name in gates else "" for name in names)))
    return table(("file", *names), rows)


def _word(gate: Gate) -> Html:
    value = "" if gate.value is None else f" {gate.value:.3g}"
    return element("span", gate_word(gate.passed), value)
