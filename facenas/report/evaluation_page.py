"""The page of one evaluation: how much a file finds, at which score, and where it fails."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from facenas.evaluation.operating_points import suggested
from facenas.evaluation.wider import Evaluation
from facenas.files import write_atomic
from facenas.report.axes import Axis
from facenas.report.charts import Bar, Guide, Series, bar_chart, line_chart
from facenas.report.markup import Html, element, paragraph, section, table
from facenas.report.page import page
from facenas.report.proof_sections import thinned_curve
from facenas.shown import Rows
from facenas.units import in_percent
from facenas.version import __version__


@dataclass(frozen=True)
class Judged:
    """What was judged, for the page: the file and its SHA-256, the photos, the target that ran it, the date and the versions
    and machine, by name."""

    file: str
    sha256: str
    photos: str
    target: str
    about: Mapping[str, str]


def write_evaluation_page(evaluation: Evaluation, judged: Judged, path: Path) -> None:
    """Write the page; equal evaluations give equal bytes."""
    known = {name: value for name, value in evaluation.average_precisions.items() if value is not None}
    counted = f"{evaluation.images:,} photos of {judged.photos} with {evaluation.faces:,} faces that count"
    title = (
        f"{judged.file}: {', '.join(f'AP {name} {value:.3f}' for name, value in known.items()) or 'no face to find'}"
    )
    tiles = [
        element("div", element("span", f"average precision, {name}"), element("b", f"{value:.3f}"), class_="tile")
        for name, value in known.items()
    ]
    header = element(
        "header",
        paragraph("facenas evaluation", kind="eyebrow"),
        element("h1", judged.file),
        paragraph(f"Judged on {counted}, {_scaled(evaluation)}.", kind="lead"),
        element("div", *tiles, class_="tiles")
        if tiles
        else paragraph("No face counts: nothing is known.", kind="missing"),
    )
    main = element(
        "main",
        _precision_section(evaluation),
        _score_section(evaluation),
        _size_section(evaluation),
        _blind_section(evaluation),
        _provenance_section(evaluation, judged),
    )
    write_atomic(path, page(title, header, main, element("footer", f"Written by facenas {__version__}.")))


def _scaled(evaluation: Evaluation) -> str:
    """What was done to the photos, by the protocol."""
    match evaluation.protocol:
        case "own":
            return f"letterboxed into {evaluation.input}, as the file is used"
        case "vga":
            return f"scaled to {evaluation.input}"
        case _:
            return "unscaled"


def _precision_section(evaluation: Evaluation) -> Html | None:
    known = evaluation.average_precisions
    series = [
        Series(name, thinned_curve(tuple((float(row[0]), float(row[1])) for row in curve)), f"AP {value:.3f}")
        for name, curve in evaluation.curves.items()
        if (value := known.get(name)) is not None
    ]
    if not series:
        return None
    chart = line_chart("Precision and recall", Axis("recall", 0, 1), Axis("precision", 0, 1), series, wide_px=1000)
    return section("precision", "Precision and recall", chart)


def _score_section(evaluation: Evaluation) -> Html | None:
    """What a least score keeps."""
    best, points = suggested(evaluation.points), evaluation.points
    if best is None:
        return None
    series = [
        Series("right of those found", tuple((point.min_score, point.precision) for point in points), dots=True),
        Series("found of all", tuple((point.min_score, point.recall) for point in points), dots=True),
    ]
    guide = Guide(best.min_score, f"suggested {best.min_score:g}")
    chart = line_chart(
        "Precision and recall by least score",
        Axis("least score", 0, 1),
        Axis("share", 0, 1),
        series,
        guides=[guide],
        wide_px=1000,
    )
    words = (
        f"With --min-score {best.min_score:g} of the faces found {in_percent(best.precision)} are right, and "
        f"{in_percent(best.recall)} of all are found: the greatest F1, {best.f1:.3f}."
    )
    rows = [
        (f"{point.min_score:g}", *(f"{value:.3f}" for value in (point.precision, point.recall, point.f1)))
        for point in points
    ]
    columns = ("least score", "right of those found", "found of all", "F1")
    return section("score", "Which score to ask for", paragraph(words), chart, table(columns, rows, {1, 2, 3}))


def _size_section(evaluation: Evaluation) -> Html | None:
    """By size of the faces; landmarks, too."""
    bars = [
        Bar(f"faces {name}", value, f"{value:.3f}") for name, value in evaluation.by_size.items() if value is not None
    ]
    if not bars:
        return None
    parts = [
        bar_chart("Average precision by size of face", bars, wide_px=1000),
        paragraph("Average precision by sqrt(area) of the face, in pixels at a long side of 640.", kind="note"),
    ]
    if evaluation.landmarks is not None:
        errors = {"all": evaluation.landmarks.mean, **evaluation.landmarks.by_size}
        rows = [(name, in_percent(value)) for name, value in errors.items() if value is not None]
        parts.append(element("h3", f"How far the landmarks of {evaluation.landmarks.faces:,} faces are off"))
        parts.append(table(("faces", "mean error, of their size"), rows, {1}))
    return section("size", "By size of face", *parts)


def _blind_section(evaluation: Evaluation) -> Html | None:
    if evaluation.blind_spots is None:
        return None
    return section("blind", "Blind spots", *(part for rows in evaluation.blind_spots.shown() for part in _titled(rows)))


def _titled(rows: Rows) -> tuple[Html, Html]:
    title = f"{rows.title[:1].upper()}{rows.title[1:]}"
    return element("h3", title), table(rows.columns, rows.rows, range(1, len(rows.columns)))


def _provenance_section(evaluation: Evaluation, judged: Judged) -> Html:
    rows = [
        ("file", f"{judged.file}, SHA-256 {judged.sha256[:12]}"),
        ("photos", judged.photos),
        ("run on", judged.target),
        *judged.about.items(),
    ]
    unread = [element("li", line) for line in evaluation.unread]
    return section(
        "provenance",
        "Where the numbers come from",
        paragraph(
            "Measured by the WIDER FACE protocol: a face is found where a box overlaps it by half (IoU 0.5); scores from 0.02."
        ),
        table(("what", ""), rows),
        *(
            [paragraph("Photos that could not be read, and so are not among the figures:"), element("ul", *unread)]
            if unread
            else []
        ),
    )
