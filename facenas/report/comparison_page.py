"""The page that compares detectors: accuracy against latency of ours and of published ones, with the Pareto front."""

from pathlib import Path

from facenas.evaluation.comparison import (
    SETTINGS,
    DetectorComparison,
    DetectorResult,
    Distance,
    Setting,
    nearest_of_ours,
    pareto_front,
)
from facenas.files import write_atomic
from facenas.report.axes import axis_over
from facenas.report.charts import Mark, Series, line_chart
from facenas.report.markup import Html, element, paragraph, section, table
from facenas.report.page import page
from facenas.units import in_ms
from facenas.version import __version__

_MOST_NAMED = 14  # more labels hide each other: then only those of the front are named


def write_comparison(comparison: DetectorComparison, path: Path) -> None:
    """Write the page; equal comparisons give equal bytes. Raises InputError where no detector is ours."""
    nearest = {setting: nearest_of_ours(comparison.detectors, setting) for setting in SETTINGS}
    ours = sum(each.ours for each in comparison.detectors)
    where = f"{comparison.photos} photos of {comparison.data}"
    header = element(
        "header",
        paragraph("facenas comparison of detectors", kind="eyebrow"),
        element("h1", _headline(nearest["hard"])),
        paragraph(
            f"{ours} of ours and {len(comparison.detectors) - ours} published, judged on the same {where} and timed "
            f"in turns on {comparison.device}.",
            kind="lead",
        ),
        element("div", *(_tile(setting, nearest[setting]) for setting in SETTINGS[::-1]), class_="tiles"),
    )
    main = element(
        "main",
        section("hard", "Hard faces", _chart(comparison, "hard"), _front_note(comparison, "hard")),
        section("medium", "Medium faces", _chart(comparison, "medium"), _front_note(comparison, "medium")),
        section("easy", "Easy faces", _chart(comparison, "easy"), _front_note(comparison, "easy")),
        section("detectors", "All detectors", _table(comparison)),
        section("provenance", "Where the numbers come from", *_provenance(comparison)),
    )
    footer = element("footer", f"Written by facenas {__version__}.")
    write_atomic(path, page("facenas comparison of detectors", header, main, footer))


def _headline(nearest: Distance) -> Html:
    if nearest.on_front:
        return element("span", "Our best is on the Pareto front for hard faces", class_="verdict passed")
    return element(
        "span", f"Our best is {nearest.precision:.3f} AP off the front for hard faces", class_="verdict failed"
    )


def _tile(setting: Setting, nearest: Distance) -> Html:
    if nearest.on_front:
        value, note = (
            "on the front",
            f"{nearest.detector.name} at {nearest.detector.input}, AP {nearest.detector.precision(setting):.3f}",
        )
    else:
        value = f"{nearest.precision:.3f} AP off"
        slower = f", or as precise and {nearest.slower:.2f} times as fast" if nearest.slower > 1 else ""
        note = f"{nearest.detector.name} at {nearest.detector.input}; others are as fast and more precise{slower}"
    return element("div", element("span", setting), element("b", value), element("span", note), class_="tile")


def _chart(comparison: DetectorComparison, setting: Setting) -> Html:
    front = pareto_front(comparison.detectors, setting)
    points = tuple((each.latency_ms, each.precision(setting)) for each in front)
    latencies = [each.latency_ms for each in comparison.detectors]
    precisions = [each.precision(setting) for each in comparison.detectors]
    named = {id(each) for each in (front if len(latencies) > _MOST_NAMED else comparison.detectors)}
    marks = [
        Mark(
            (each.latency_ms, each.precision(setting)),
            (_named(each, comparison),) if id(each) in named else (),
            quiet=not each.ours,
        )
        for each in sorted(comparison.detectors, key=lambda each: not each.ours)
    ]
    return line_chart(
        f"Average precision, {setting}, against latency",
        axis_over("latency, ms (log scale)", latencies, logarithmic=True),
        axis_over(f"average precision, {setting}", precisions),
        [Series("Pareto front", points, steps=True)],
        marks=marks,
        wide_px=1000,
        height_px=420,
    )


def _named(detector: DetectorResult, comparison: DetectorComparison) -> str:
    """Its name, with its input where it stands there at several."""
    alone = sum(each.name == detector.name for each in comparison.detectors) == 1
    return detector.name if alone else f"{detector.name} {detector.input}"


def _front_note(comparison: DetectorComparison, setting: Setting) -> Html:
    names = ", ".join(_named(each, comparison) for each in pareto_front(comparison.detectors, setting))
    words = f"Filled: ours; hollow: published. The line is the Pareto front, what no other beats in both: {names}."
    return paragraph(words, kind="note")


def _table(comparison: DetectorComparison) -> Html:
    front = {id(each) for each in pareto_front(comparison.detectors, "hard")}
    rows = [
        (
            element("b", each.name) if each.ours else each.name,
            *(f"{each.precision(setting):.3f}" for setting in SETTINGS),
            in_ms(each.latency_ms),
            in_ms(each.spread_ms),
            each.input,
            "yes" if id(each) in front else "",
        )
        for each in sorted(comparison.detectors, key=lambda each: each.latency_ms)
    ]
    columns = ("detector", "AP easy", "AP medium", "AP hard", "latency", "spread", "timed at", "on the front (hard)")
    return table(columns, rows, range(1, 6))


def _provenance(comparison: DetectorComparison) -> list[Html]:
    samples = min(each.samples for each in comparison.detectors)
    versions = ", ".join(f"{name} {version}" for name, version in comparison.versions.items())
    return [
        paragraph(
            "Average precision is measured by the WIDER FACE protocol, scores from 0.02, suppression at 0.45. Each detector "
            "sees photos letterboxed (Ultra-Light: stretched) into the input that it is timed at. Published files are re-shaped"
            " to 640x480, and to the other inputs that were asked for, where their shapes allow it."
        ),
        paragraph(
            f"Latency is measured: the network alone, {comparison.runtime}, one thread, all networks in turns, 20th percentile "
            f"of at least {samples} runs; spread is the 75th minus the 25th percentile."
        ),
        paragraph(f"{comparison.date}, commit {comparison.commit}, on {comparison.cpu}; {versions}.", kind="note"),
    ]
