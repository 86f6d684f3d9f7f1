"""A latency table as one self-contained page: what its operators cost against their FLOPs, and how it predicts.

Costs are the table's low quantiles in context, before the calibration; FLOPs are multiply-accumulates. Lines of equal
throughput are straight on two logarithmic axes, so an operator that the runtime computes badly stands above its kind.
"""

from collections.abc import Sequence
from pathlib import Path

from facenas.files import write_atomic
from facenas.latency.table import LatencyTable, OperatorTime
from facenas.operators import Kind, Operator
from facenas.report.axes import axis_over
from facenas.report.charts import Point
from facenas.report.markup import Html, element, paragraph, section, table
from facenas.report.page import page
from facenas.report.scatter import SCATTER_STYLE, Level, Slope, scatter_chart
from facenas.units import in_ms, in_percent, in_seconds
from facenas.version import __version__

_THROUGHPUTS = (1, 10, 100)
_DEAREST = 12
_NAMES = {Kind.CONV: "convolution", Kind.DEPTHWISE: "depthwise convolution", Kind.UPSAMPLE: "upsampling"}


def write_table_page(latency_table: LatencyTable, path: Path) -> None:
    """Write the page atomically; equal tables give equal bytes. Raises InputError where it cannot be written."""
    write_atomic(path, _page(latency_table))


def _page(latency_table: LatencyTable) -> str:
    title = f"Latency table: {latency_table.target}"
    main = element(
        "main", _operator_section(latency_table), _prediction_section(latency_table), _origin_section(latency_table)
    )
    footer = element("footer", f"Written by facenas {__version__}.")
    style = element("style", Html(SCATTER_STYLE))
    return page(f"facenas {title[0].lower()}{title[1:]}", style, _header(latency_table, title), main, footer)


def _header(latency_table: LatencyTable, title: str) -> Html:
    fingerprint, calibration = latency_table.fingerprint, latency_table.calibration
    threads = f"{fingerprint.threads} thread{'s' * (fingerprint.threads != 1)}"
    runtime = f"{fingerprint.runtime} {fingerprint.runtime_version}, {fingerprint.precision}, {threads}"
    low, high = (f"{100 * (ratio - 1):+.1f} %" for ratio in (calibration.low_ratio, calibration.high_ratio))
    unstable = latency_table.unstable_operators
    tiles = (
        ("operators", str(len(latency_table.operators)), f"{unstable} flagged unstable" if unstable else "all stable"),
        ("mean error", f"{calibration.error_percent:.1f} %", f"of {calibration.networks} whole networks"),
        ("worst error", f"{calibration.worst_percent:.1f} %", "of a whole network"),
        ("90 % interval", f"{low} to {high}", "of a predicted latency"),
        ("profiled in", in_seconds(latency_table.seconds), latency_table.provenance),
    )
    return element(
        "header",
        paragraph("facenas latency table", kind="eyebrow"),
        element("h1", title),
        paragraph(f"{latency_table.provenance.capitalize()} on {fingerprint.cpu}: {runtime}.", kind="lead"),
        element(
            "div",
            *(
                element("div", element("span", name), element("b", value), element("span", note), class_="tile")
                for name, value, note in tiles
            ),
            class_="tiles",
        ),
    )


def _operator_section(latency_table: LatencyTable) -> Html:
    operators = dict(sorted(latency_table.operators.items()))
    counted = {operator: time for operator, time in operators.items() if operator.macs and time.low_ns}
    rest = {operator: time for operator, time in operators.items() if operator not in counted}
    title = "Cost against FLOPs"
    if not counted:
        return section("operators", title, paragraph("No operator of this table has both.", kind="missing"))
    everything = [_point(operator, time) for operator, time in counted.items()]
    x = axis_over("FLOPs, millions (log scale)", [flops for flops, _ in everything], logarithmic=True)
    y = axis_over("µs (log scale)", [cost for _, cost in everything], logarithmic=True)
    # y [µs] / x [millions of multiply-accumulates] = 1000 / throughput [thousands of millions a second]
    slopes = [Slope(1e3 / throughput, f"{throughput}") for throughput in _THROUGHPUTS]
    kinds = sorted({(operator.kind, operator.kernel_size) for operator in counted})
    charts = []
    for kind, kernel_size in kinds:
        mine = {o: time for o, time in counted.items() if (o.kind, o.kernel_size) == (kind, kernel_size)}
        stable = [_point(operator, time) for operator, time in mine.items() if time.stable]
        doubtful = [_point(operator, time) for operator, time in mine.items() if not time.stable]
        name = f"{_NAMES[kind].capitalize()} {kernel_size}×{kernel_size}"
        chart = scatter_chart(name, x, y, stable, doubtful=doubtful, behind=everything, lines=slopes, height_px=280)
        count = f"{len(mine)} operator{'s' * (len(mine) != 1)}"
        charts.append(element("div", element("h3", f"{name}: {count}"), chart))
    unstable = "Red points are flagged unstable: their early and late samples disagree. "
    words = (
        "Each point is one fused operator in its surroundings, the grey ones are those of other kinds. "
        f"{unstable if latency_table.unstable_operators else ''}On a sloping line the runtime computes 1, 10 or 100 GFLOPs "
        "(thousand million multiply-accumulates) a second: the higher an operator, the less it suits the runtime."
    )
    parts = [paragraph(words, kind="note"), element("div", *charts, class_="columns")]
    if rest:
        costs = sorted(time.low_ns / 1e3 for time in rest.values())
        span = f"{costs[0]:.0f} to {costs[-1]:.0f} µs"
        parts.append(paragraph(f"{len(rest)} operators without FLOPs (upsampling) cost {span}.", kind="note"))
    return section("operators", title, *parts, _dearest(latency_table))


def _point(operator: Operator, time: OperatorTime) -> Point:
    return operator.macs / 1e6, time.low_ns / 1e3


def _dearest(latency_table: LatencyTable) -> Html:
    dearest = sorted(latency_table.operators.items(), key=lambda entry: (-entry[1].low_ns, entry[0]))[:_DEAREST]
    rows = [
        (
            element("code", str(operator)),
            f"{time.low_ns / 1e3:,.0f} µs",
            f"{operator.macs / 1e6:,.1f} M",
            f"{operator.macs / time.low_ns:,.1f}" if time.low_ns else "",
            str(time.samples),
            "" if time.stable else "unstable",
        )
        for operator, time in dearest
    ]
    headers = ("operator", "cost", "FLOPs", "GFLOPs/s", "samples", "flag")
    return element("details", element("summary", "The dearest operators"), table(headers, rows, {1, 2, 3, 4}))


def _prediction_section(latency_table: LatencyTable) -> Html:
    title, pairs_ms = "Predicted against measured", latency_table.calibration.pairs_ms
    if not pairs_ms:
        words = "This table does not hold the latencies of its calibration networks; a new profile keeps them."
        return section("predictions", title, paragraph(words, kind="missing"))
    calibration = latency_table.calibration
    values = [value for pair in pairs_ms for value in pair]
    x = axis_over("predicted, ms (log scale)", values, logarithmic=True)
    y = axis_over("measured, ms (log scale)", values, logarithmic=True)
    interval = [100 * (ratio - 1) for ratio in (calibration.low_ratio, calibration.high_ratio)]
    surplus = [(predicted, 100 * (measured / predicted - 1)) for predicted, measured in pairs_ms]
    surplus_axis = axis_over("measured above predicted, %", [*interval, *(percent for _, percent in surplus), 0.0])
    charts = (
        scatter_chart(title, x, y, list(pairs_ms), lines=[Slope(1.0)]),
        scatter_chart("Error of the predictions", x, surplus_axis, surplus, lines=[Level(value) for value in interval]),
    )
    errors = [abs(predicted / measured - 1) for predicted, measured in pairs_ms]
    within = ", ".join(f"{_share_within(errors, limit)} within {limit:.0%}".replace("%", " %") for limit in (0.05, 0.1))
    words = (
        f"{len(pairs_ms)} whole networks from {in_ms(min(values))} to {in_ms(max(values))}, each predicted without itself: "
        f"{within}, worst {in_percent(max(errors))}. The dashed lines bound the 90 % interval that a prediction is given, "
        "which also allows for another day."
    )
    return section("predictions", title, element("div", *charts, class_="columns"), paragraph(words, kind="note"))


def _share_within(errors: Sequence[float], limit: float) -> str:
    return in_percent(sum(error <= limit for error in errors) / len(errors))


def _origin_section(latency_table: LatencyTable) -> Html:
    fingerprint, calibration, home = latency_table.fingerprint, latency_table.calibration, latency_table.input_size
    inputs = f"{latency_table.inputs}, operators as at {home}" if latency_table.other_inputs else str(home)
    rows = [
        ("provenance", latency_table.provenance),
        ("date", latency_table.date),
        ("input size", inputs),
        ("search space", latency_table.space),
        ("calibration", calibration.note),
        ("latency", f"{calibration.scale:.4f} × sum of operators + {in_ms(calibration.offset_ns / 1e6)}"),
        *((name.replace("_", " "), _words(value)) for name, value in fingerprint.to_json().items()),
    ]
    parts = [table(("what", "value"), rows)]
    if latency_table.failures:
        parts.append(paragraph("Networks that could not be measured and were kept out:", kind="note"))
        parts.append(element("ul", *(element("li", failure) for failure in latency_table.failures), class_="note"))
    return section("origin", "Where the numbers come from", *parts)


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
