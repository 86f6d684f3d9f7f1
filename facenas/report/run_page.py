"""report.html: one run as one self-contained page. The verdict and the budget first, then what they rest on.

It needs nothing from outside (facenas/report/page.py), so it opens alike offline and years on.
"""

from pathlib import Path

from facenas.cost import latency_cost
from facenas.files import write_atomic
from facenas.latency.provenance import predicted_from
from facenas.report.markup import Html, element, paragraph, section, table
from facenas.report.page import page
from facenas.report.proof_sections import (
    gate_section,
    latency_section,
    measured_provenance,
    photo_section,
    precision_section,
)
from facenas.report.search_sections import detector_section, frontier_section, milliseconds_section
from facenas.report.training_sections import steps_section, training_section
from facenas.report.verdict import budget_text, verdict, verdict_header
from facenas.run_folder import REPORT, RunFolder, read_run_folder
from facenas.units import in_ms, in_percent
from facenas.version import __version__


def write_report(run_dir: Path, out: Path | None = None) -> Path:
    """Write the page of a run folder (default: its report.html), and return its path; equal folders give equal bytes.

    A piece that is missing or damaged is named on the page. Raises InputError where there is no such folder, neither
    search.json nor verify.json can be used, or the page cannot be written.
    """
    path = out or run_dir / REPORT
    write_atomic(path, _page(read_run_folder(run_dir)))
    return path


def _page(folder: RunFolder) -> str:
    title = ": ".join(filter(None, (f"facenas {verdict(folder)[0].lower()}", budget_text(folder))))
    main = element(
        "main",
        detector_section(folder),
        frontier_section(folder),
        latency_section(folder),
        milliseconds_section(folder),
        training_section(folder),
        precision_section(folder),
        photo_section(folder),
        gate_section(folder),
        _provenance_section(folder),
        steps_section(folder),
    )
    about = folder.run.about if folder.run is not None else {}
    made = f" Run: {', '.join(f'{name} {value}' for name, value in about.items())}." if about else ""
    footer = element("footer", f"Written by facenas {__version__} from the run folder {folder.path.name}.{made}")
    return page(title, verdict_header(folder), main, footer)


def _provenance_section(folder: RunFolder) -> Html:
    """Every number that was measured or predicted, with where it comes from, and which pieces the run folder lacks."""
    rows: list[tuple[str, str, str]] = []
    if folder.search is not None:
        for target, value in folder.search.best.latency_ms.items():
            source = predicted_from(folder.search.provenance.get(target))
            rows.append((f"{latency_cost(target).label}, search", in_ms(value), source))
        rows.append(("score, FLOPs, parameters, layers, memory", "", "computed from the architecture"))
    if folder.prediction is not None:
        total_us = sum(entry.latency_us for entry in folder.prediction.operators)
        source = predicted_from(folder.prediction.provenance)
        rows.append(("latency of the operators", in_ms(folder.prediction.latency_ms), source))
        for name in sorted({entry.source for entry in folder.prediction.operators}):
            shares = [entry.latency_us for entry in folder.prediction.operators if entry.source == name]
            share = in_percent(sum(shares) / total_us) if total_us else ""
            rows.append((f"operators from source '{name}'", share, f"{len(shares)} operators; {source}"))
    if folder.search is not None:
        rows += [(f"table for {name}", "", facts.words) for name, facts in folder.search.tables.items()]
    rows += measured_provenance(folder)
    if folder.run is not None:
        origin = "synthetic, drawn by facenas" if folder.synthetic else f"given: {folder.run.data}"
        rows.append(("training photos", "", origin))
    parts = [table(("number", "value", "where it comes from"), rows, {1})]
    if folder.missing:
        lacking = (element("li", reason) for reason in folder.missing.values())
        parts += [paragraph("Missing from the run folder:", kind="note"), element("ul", *lacking, class_="note")]
    return section("provenance", "Where the numbers come from", *parts)
