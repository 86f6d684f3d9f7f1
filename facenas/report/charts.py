"""Charts as inline SVG that follows the page's colours. Text keeps its size: a chart is drawn wide and narrow, and the
page shows the one that fits. Every value that matters is written in the chart or its legend; nothing needs a pointer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from facenas.report.axes import Axis, tick_text
from facenas.report.markup import Html, element, join

Point = tuple[float, float]
_Taken = tuple[float, float, float, float, int]  # x1 y1 x2 y2 of what a label had better not cover, and how much so
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 16, 28, 44
_LINE_PX = 16
_LABEL_PX, _QUIET_LABEL_PX = 7.0, 6.4
_BAR_ROW_PX, _BAR_PX = 42, 12


@dataclass(frozen=True)
class Series:
    """A line through points; `value` is written behind its name in the legend. `steps`: a staircase, `dots`: on points."""

    name: str
    points: tuple[Point, ...]
    value: str = ""
    steps: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Mark:
    """One point that stands out, with the lines of its label, if any; a `quiet` one less so."""

    point: Point
    label: tuple[str, ...]
    quiet: bool = False


@dataclass(frozen=True)
class Guide:
    """A dashed vertical line at a value of the x axis, with its label at the top."""

    x: float
    label: str


@dataclass(frozen=True)
class Bar:
    """A horizontal bar. `value` is its text, `note` stands behind the name; `interval` is drawn as a whisker."""

    name: str
    length: float
    value: str
    note: str = ""
    interval: tuple[float, float] | None = None
    quiet: bool = False


Draw = Callable[[int], Html]
_NARROW_PX = 350


def responsive(draw: Draw, wide_px: int) -> Html:
    """A chart at two widths; the page's style shows one of them."""
    wide = element("div", draw(wide_px), class_="wide")
    return element("div", wide, element("div", draw(_NARROW_PX), class_="narrow"), class_="chart")


def line_chart(
    title: str,
    x: Axis,
    y: Axis,
    series: Sequence[Series],
    *,
    marks: Sequence[Mark] = (),
    guides: Sequence[Guide] = (),
    wide_px: int = 470,
    height_px: int = 290,
) -> Html:
    """Lines over two axes, with a legend where there is more than one. At most four series stay distinguishable."""

    def draw(width_px: int) -> Html:
        return _plot(title, x, y, series, marks, guides, width_px, height_px)

    legend = None
    if len(series) > 1 or series[0].value:
        entries = (
            element(
                "span",
                _svg(
                    "key",
                    element("line", x1=0, y1=6, x2=22, y2=6, class_=f"line series{index}"),
                    width_px=22,
                    height_px=12,
                ),
                f" {each.name} ",
                element("b", each.value) if each.value else None,
            )
            for index, each in enumerate(series)
        )
        legend = element("div", *entries, class_="legend")
    return element("figure", legend, responsive(draw, wide_px))


def bar_chart(title: str, bars: Sequence[Bar], *, guide: Guide | None = None, wide_px: int = 470) -> Html:
    """Horizontal bars from zero, each with its name, note and value above it."""

    def draw(width_px: int) -> Html:
        return _bars(title, bars, guide, width_px)

    return element("figure", responsive(draw, wide_px))


def _plot(
    title: str,
    x: Axis,
    y: Axis,
    series: Sequence[Series],
    marks: Sequence[Mark],
    guides: Sequence[Guide],
    width_px: int,
    height_px: int,
) -> Html:
    right, bottom = width_px - _RIGHT, height_px - _BOTTOM
    left = max(_LEFT, 8 + round(_LABEL_PX * max(len(tick_text(tick)) for tick in y.ticks(5))))
    top = _TOP + (_LINE_PX if guides else 0)

    def place(point: Point) -> Point:
        return (
            left + x.share(point[0]) * (right - left),
            bottom - y.share(point[1]) * (bottom - top),
        )

    parts = [_label(0, 12, y.label, "start", "axis")]
    for tick in y.ticks(5):
        height = place((x.low, tick))[1]
        parts.append(element("line", x1=left, y1=height, x2=right, y2=height, class_="grid"))
        parts.append(_label(left - 6, height + 4, tick_text(tick), "end", "tick"))
    for tick in x.ticks(max(3, width_px // 90)):
        across = place((tick, y.low))[0]
        parts.append(element("line", x1=across, y1=bottom, x2=across, y2=bottom + 4, class_="ticks"))
        parts.append(_label(across, bottom + 18, tick_text(tick), "middle", "tick"))
    parts.append(element("line", x1=left, y1=bottom, x2=right, y2=bottom, class_="ticks"))
    parts.append(_label(right, height_px - 6, x.label, "end", "axis"))
    for guide in guides:
        across = place((guide.x, y.low))[0]
        parts.append(element("line", x1=across, y1=top - 4, x2=across, y2=bottom, class_="guide"))
        parts.append(_centred(across, top - 9, guide.label, right, "guide-label"))
    # In reverse, so that the first series, the strongest, lies on top.
    for index, each in reversed(list(enumerate(series))):
        parts.append(_line(each, index, place))
    points = [place(mark.point) for mark in marks]
    taken: list[_Taken] = [(across - 7, height - 7, across + 7, height + 7, 3) for across, height in points]
    for (before, first), (after, last) in (pair for each in series for pair in pairwise(map(place, _corners(each)))):
        taken.append((min(before, after), min(first, last) - 1, max(before, after), max(first, last) + 1, 1))
    for guide in guides:
        across = place((guide.x, y.low))[0]
        taken.append((across - 1, 0, across + 1, bottom, 1))
    for mark, (across, height) in zip(marks, points, strict=True):
        kind = "mark quiet" if mark.quiet else "mark"
        parts.append(element("circle", cx=across, cy=height, r=5 if mark.quiet else 6, class_=kind))
        if mark.label:
            parts += _mark_label(mark, across, height, (left, right, bottom), taken)
    return _svg(title, *parts, width_px=width_px, height_px=height_px)


def _line(series: Series, index: int, place: Callable[[Point], Point]) -> Html:
    placed = [place(point) for point in _corners(series)]
    path = "M" + "L".join(f"{across:.1f} {height:.1f}" for across, height in placed)
    parts = [element("path", d=path, class_=f"line series{index}")]
    dots = [place(point) for point in series.points] if series.dots else placed[-1:]
    parts += [element("circle", cx=a, cy=h, r=2.8, class_=f"dot series{index}") for a, h in dots]
    return join(*parts)


def _corners(series: Series) -> tuple[Point, ...]:
    """The points that the line runs through."""
    points = series.points
    if not series.steps:
        return points
    # Between two frontier points the better one cannot be had yet: flat, then up.
    corners = [(after[0], before[1]) for before, after in pairwise(points)]
    return tuple(point for pair in zip(points, [*corners, points[-1]], strict=True) for point in pair)


def _bars(title: str, bars: Sequence[Bar], guide: Guide | None, width_px: int) -> Html:
    ends = [bar.length for bar in bars] + [bar.interval[1] for bar in bars if bar.interval]
    longest = max([*ends, guide.x if guide else 0.0]) or 1.0
    top = 22 if guide else 0
    height_px = top + len(bars) * _BAR_ROW_PX

    def reach(value: float) -> float:
        return max(0.0, value) / longest * (width_px - 8)

    parts = []
    for index, bar in enumerate(bars):
        y = top + index * _BAR_ROW_PX
        note = element("tspan", f"  {bar.note}", class_="bar-note") if bar.note else None
        parts.append(element("text", bar.name, note, x=0, y=y + 15, class_="bar-name"))
        parts.append(_label(width_px, y + 15, bar.value, "end", "bar-value"))
        kind = "bar quiet" if bar.quiet else "bar"
        parts.append(element("rect", x=0, y=y + 22, width=width_px, height=_BAR_PX, rx=2, class_="track"))
        parts.append(element("rect", x=0, y=y + 22, width=reach(bar.length), height=_BAR_PX, rx=2, class_=kind))
        if bar.interval:
            low, high = (reach(value) for value in bar.interval)
            middle = y + 22 + _BAR_PX / 2
            path = f"M{low:.1f} {middle - 5}v10M{low:.1f} {middle}H{high:.1f}M{high:.1f} {middle - 5}v10"
            parts.append(element("path", d=path, class_="whisker"))
    if guide is not None:
        across = reach(guide.x)
        parts.append(_centred(across, 12, guide.label, width_px, "guide-label"))
        for index in range(len(bars)):
            y = top + index * _BAR_ROW_PX + 19
            parts.append(element("line", x1=across, y1=y, x2=across, y2=y + _BAR_PX + 6, class_="limit"))
    return _svg(title, *parts, width_px=width_px, height_px=height_px)


def _mark_label(
    mark: Mark, across: float, height: float, within: tuple[float, float, float], taken: list[_Taken]
) -> list[Html]:
    """The lines of a label beside a point: above and left of it, where a frontier leaves room, else where they cover
    least of what is there: rather lines than other labels and points. One that does not touch its point gets a line to it.
    `within`: the plot's left, right and bottom."""
    low, right, bottom = within
    wide, tall = max(map(len, mark.label)) * (_QUIET_LABEL_PX if mark.quiet else _LABEL_PX), _LINE_PX * len(mark.label)
    corners: list[tuple[int, int, tuple[float, float, float, float]]] = []
    beside = (across - 10 - wide, across + 10)
    centred = (across - wide / 2, low + 4, right + _RIGHT - wide)
    for rise, lefts in (
        *((rise, beside) for rise in (-8 - tall, 8, -tall / 2)),
        *((rise, centred) for rise in (-9 - tall, 9)),
        *((rise, (*beside, *centred)) for rise in (-26 - tall, 26, -44 - tall, 44)),
    ):
        for left in lefts:
            box = (left, height + rise, left + wide, height + rise + tall)
            inside = box[0] > low and box[2] <= right + _RIGHT and box[1] > 0 and box[3] < bottom
            reached = box[0] - 12 <= across <= box[2] + 12
            cost = (0 if inside else 9) + (0 if reached else 4)
            for x1, y1, x2, y2, weight in taken:
                if box[0] < x2 and x1 < box[2] and box[1] < y2 and y1 < box[3]:
                    cost += weight
            corners.append((cost, len(corners), box))
    box = min(corners)[2]
    taken.append((*box, 3))
    kind = "mark-label quiet" if mark.quiet else "mark-label"
    anchor, x = ("end", box[2]) if box[2] < across else ("start", box[0])
    if box[0] <= across <= box[2]:
        anchor, x = "middle", (box[0] + box[2]) / 2
    lines = [_label(x, box[1] + 12 + i * _LINE_PX, line, anchor, kind) for i, line in enumerate(mark.label)]
    gap = max(box[1] - height, height - box[3])
    if gap <= _LINE_PX:
        return lines
    end, foot = min(max(across, box[0]), box[2]), box[1] if box[1] > height else box[3]
    return [element("line", x1=across, y1=height, x2=end, y2=foot, class_="leader"), *lines]


def _centred(across: float, height: float, text: str, right: float, kind: str) -> Html:
    """A label centred at `across`, or ending at `right` where it would stick out."""
    if across + len(text) * _LABEL_PX / 2 > right:
        return _label(right, height, text, "end", kind)
    return _label(across, height, text, "middle", kind)


def _label(x: float, y: float, text: str, anchor: str, kind: str) -> Html:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=kind)


def _svg(title: str, *parts: str, width_px: int, height_px: int) -> Html:
    box = f"0 0 {width_px} {height_px}"
    return element("svg", *parts, viewBox=box, width=width_px, height=height_px, role="img", aria_label=title)
