"""Scatter charts as inline SVG like `charts`; hundreds of points stay a small page.

A point is a stroke of no length with round ends, so that all points of a kind are one path.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from facenas.report.axes import Axis, tick_text
from facenas.report.charts import Point, responsive
from facenas.report.markup import Html, element

_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 14, 26, 42
_WIDE_PX = 470

SCATTER_STYLE = """
svg .points { fill: none; stroke: var(--accent); stroke-width: 4.5; stroke-linecap: round; stroke-opacity: 0.75; }
svg .points.behind { stroke: var(--muted); stroke-width: 3.5; stroke-opacity: 0.22; }
svg .points.doubtful { stroke: var(--bad); }
svg .slope { fill: none; stroke: var(--muted); stroke-opacity: 0.7; stroke-width: 1; }
svg .slope.edge { stroke-dasharray: 4 4; }
"""


@dataclass(frozen=True)
class Slope:
    """The straight line y = factor * x, with a label at its upper end; an `edge` is dashed."""

    factor: float
    label: str = ""
    edge: bool = False


@dataclass(frozen=True)
class Level:
    """A dashed line at a value of y."""

    y: float


def scatter_chart(
    title: str,
    x: Axis,
    y: Axis,
    points: Sequence[Point],
    *,
    doubtful: Sequence[Point] = (),
    behind: Sequence[Point] = (),
    lines: Sequence[Slope | Level] = (),
    height_px: int = 300,
) -> Html:
    """Points, those in doubt in another colour, over those of other kinds and over lines.

    Slopes are lines of constant ratio y / x, straight where both axes are logarithmic or both linear.
    """

    def draw(width_px: int) -> Html:
        right, bottom = width_px - _RIGHT, height_px - _BOTTOM

        def place(point: Point) -> Point:
            return _LEFT + x.share(point[0]) * (right - _LEFT), bottom - y.share(point[1]) * (bottom - _TOP)

        parts = [_text(0, 12, y.label, "start", "axis"), _text(right, height_px - 6, x.label, "end", "axis")]
        for tick in y.ticks(6):
            height = place((x.low, tick))[1]
            parts.append(element("line", x1=_LEFT, y1=height, x2=right, y2=height, class_="grid"))
            parts.append(_text(_LEFT - 6, height + 4, tick_text(tick), "end", "tick"))
        for tick in x.ticks(max(3, width_px // 90)):
            across = place((tick, y.low))[0]
            parts.append(element("line", x1=across, y1=bottom, x2=across, y2=bottom + 4, class_="ticks"))
            parts.append(_text(across, bottom + 18, tick_text(tick), "middle", "tick"))
        parts.append(element("line", x1=_LEFT, y1=bottom, x2=right, y2=bottom, class_="ticks"))
        for line in lines:
            if isinstance(line, Slope):
                parts += _slope(line, x, y, [place(end) for end in _ends(line, x, y)])
            else:
                height = place((x.low, line.y))[1]
                parts.append(element("line", x1=_LEFT, y1=height, x2=right, y2=height, class_="slope edge"))
        for kind, members in (("points behind", behind), ("points", points), ("points doubtful", doubtful)):
            if members:
                parts.append(element("path", d=_dots(map(place, members)), class_=kind))
        box = f"0 0 {width_px} {height_px}"
        return element("svg", *parts, viewBox=box, width=width_px, height=height_px, role="img", aria_label=title)

    return element("figure", responsive(draw, _WIDE_PX))


def _dots(places: Iterable[Point]) -> str:
    return "".join(f"M{across:.1f} {height:.1f}h0" for across, height in places)


def _ends(slope: Slope, x: Axis, y: Axis) -> tuple[Point, ...]:
    """Where the line enters and leaves the chart; none where it does not cross it."""
    low, high = max(x.low, y.low / slope.factor), min(x.high, y.high / slope.factor)
    return ((low, slope.factor * low), (high, slope.factor * high)) if low < high else ()


def _slope(slope: Slope, x: Axis, y: Axis, ends: Sequence[Point]) -> list[Html]:
    if not ends:
        return []
    (x1, y1), (x2, y2) = ends
    parts = [element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_="slope edge" if slope.edge else "slope")]
    if slope.label:
        # At the right edge above the line's end, at the top edge left of it.
        across, height = (x2 - 6, y2 + 12) if slope.factor * x.high > y.high else (x2, y2 - 6)
        parts.append(_text(across, height, slope.label, "end", "tick"))
    return parts


def _text(x: float, y: float, text: str, anchor: str, kind: str) -> Html:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=kind)
