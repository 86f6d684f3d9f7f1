"""Axes hold their values, and their ticks are few and round."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenas.report.axes import axis_over, tick_text
from facenas.report.charts import Series, line_chart

VALUES = st.lists(
    st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda value: round(value, 6)), min_size=1, max_size=9
)


@given(VALUES, st.booleans())
def test_a_linear_axis_holds_all_values_and_has_a_few_ticks(values: list[float], from_zero: bool) -> None:
    axis = axis_over("", values, from_zero=from_zero)
    assert all(-1e-6 <= axis.share(value) <= 1 + 1e-6 for value in values)
    ticks = axis.ticks(5)
    assert 2 <= len(ticks) <= 8
    assert all(-1e-6 <= axis.share(tick) <= 1 + 1e-6 for tick in ticks)


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=9))
def test_a_logarithmic_axis_holds_all_values(values: list[float]) -> None:
    axis = axis_over("", values, logarithmic=True)
    assert all(0 < axis.share(value) < 1 for value in values)
    assert len(axis.ticks(6)) <= 6


def test_ticks_read_short() -> None:
    assert [tick_text(value) for value in (0.0, 0.25, 5.0, 1500.0, 20_000.0, 3e6)] == [
        "0",
        "0.25",
        "5",
        "1.5k",
        "20k",
        "3M",
    ]


def test_ticks_of_a_logarithmic_axis_step_alike() -> None:
    axis = axis_over("", [4.0, 240.0], logarithmic=True)
    assert axis.ticks(3) == (10, 30, 100)
    assert axis.ticks(12) == (5, 7, 10, 20, 30, 50, 70, 100, 200)


@pytest.mark.parametrize("largest", [0.0017, 0.9, 13.2468, 40_000.0])
def test_the_numbers_of_an_axis_are_not_cut_off(largest: float) -> None:
    values = (0.0, largest)
    x, y = axis_over("step", values, from_zero=True), axis_over("AP", values, from_zero=True)
    chart = line_chart("chart", x, y, [Series("line", ((0.0, 0.0), (largest, largest)))])
    ticks = re.findall(r'<text x="([\d.]+)" y="[\d.]+" text-anchor="end" class="tick">([^<]+)<', chart)
    assert ticks
    assert all(float(right) > 6 * len(text) for right, text in ticks)  # 12 px high, so each some 6 px wide
