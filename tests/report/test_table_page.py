"""The page of a latency table: its figures are on it, nothing from outside is needed, equal tables give equal pages."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.tiny_tables import tiny_table, with_other_inputs

from facenas.errors import InputError
from facenas.latency.table import LatencyTable, OperatorTime
from facenas.operators import Kind
from facenas.report.axes import Axis
from facenas.report.scatter import Slope, scatter_chart
from facenas.report.table_page import write_table_page
from facenas.units import Size

PAIRS_MS = ((5.0, 5.1), (7.0, 6.8), (20.0, 23.0))


def with_pairs(table: LatencyTable, pairs_ms: tuple[tuple[float, float], ...] = PAIRS_MS) -> LatencyTable:
    return replace(table, calibration=replace(table.calibration, pairs_ms=pairs_ms))


def page_of(table: LatencyTable, tmp_path: Path) -> str:
    write_table_page(table, tmp_path / "page.html")
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def text_of(page: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_the_figures_of_the_table_are_on_the_page(tmp_path: Path) -> None:
    table = with_pairs(tiny_table())
    page = page_of(table, tmp_path)
    text = text_of(page)
    for words in ("Latency table: cpu", "Measured on Test CPU", "1 thread", "2.0 %", "-5.0 % to +6.0 %", "128x96"):
        assert words in text
    for words in ("Convolution 1×1", "Convolution 3×3", "Depthwise convolution 3×3", "upsampling", "all stable"):
        assert words in text
    assert "3 whole networks from 5.00 ms to 23.00 ms" in text
    assert "66.7 % within 5 %" in text
    assert "worst 13.0 %" in text
    assert "http:" not in page
    several = with_other_inputs(table, (Size(64, 64), Size(256, 192)))
    assert "64x64 to 256x192, operators as at 128x96" in text_of(page_of(several, tmp_path))
    assert "https:" not in page
    assert "<script" not in page


def test_every_operator_with_flops_is_one_point_of_its_kind(tmp_path: Path) -> None:
    table = tiny_table()
    counted = sum(operator.kind is not Kind.UPSAMPLE for operator in table.operators)
    page = page_of(table, tmp_path)
    paths = re.findall(r'<path d="([^"]*)" class="points">', page)
    assert sum(path.count("M") for path in paths) == 2 * counted  # wide and narrow


def test_what_is_unstable_or_was_kept_out_is_named(tmp_path: Path) -> None:
    table = tiny_table()
    first = min(table.operators)
    operators = dict(table.operators) | {first: OperatorTime(3, 900, 1000, 400, False)}
    page = page_of(replace(table, operators=operators, failures=("net x: crashed with <SIGSEGV>",)), tmp_path)
    assert "1 flagged unstable" in text_of(page)
    assert "Red points are flagged unstable" in text_of(page)
    assert 'class="points doubtful"' in page
    assert "net x: crashed with &lt;SIGSEGV&gt;" in page


def test_a_table_without_the_latencies_of_its_networks_says_so(tmp_path: Path) -> None:
    assert "does not hold the latencies of its calibration networks" in text_of(page_of(tiny_table(), tmp_path))


def test_equal_tables_give_equal_pages(tmp_path: Path) -> None:
    table = with_pairs(tiny_table())
    shuffled = replace(table, operators=dict(reversed(list(table.operators.items()))))
    assert page_of(table, tmp_path) == page_of(shuffled, tmp_path)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="another place"):
        write_table_page(tiny_table(), tmp_path / "file" / "page.html")


def test_a_line_outside_the_chart_is_not_drawn() -> None:
    axis = Axis("x", 1.0, 10.0, logarithmic=True)
    drawn = scatter_chart("t", axis, axis, [(2.0, 3.0)], lines=[Slope(1.0, "one"), Slope(1e6, "far")])
    assert "one" in drawn
    assert "far" not in drawn
