"""Quantities with units: right ones are read, and everything else is refused with the right form shown."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenas.errors import InputError
from facenas.units import (
    LatencyBudget,
    Size,
    parse_bytes,
    parse_count,
    parse_latency_budget,
    parse_latency_ms,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "latency_ms"),
    [
        ("5", 5.0),
        ("0.5", 0.5),
        ("5ms", 5.0),
        ("0.5ms", 0.5),
        ("800us", 0.8),
        ("800µs", 0.8),
        ("0.01s", 10.0),
        (" 12 ms ", 12.0),
        ("007ms", 7.0),
    ],
)
def test_latency_in_milliseconds(text: str, latency_ms: float) -> None:
    assert parse_latency_ms(text) == pytest.approx(latency_ms, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "count"), [("500M", 500e6), ("0.3M", 0.3e6), ("2G", 2e9), ("14k", 14e3), ("14K", 14e3), ("300000", 3e5)]
)
def test_counts(text: str, count: float) -> None:
    assert parse_count(text) == pytest.approx(count, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("4MB", 4e6), ("512kB", 512e3), ("512KB", 512e3), ("1.5GB", 1.5e9), ("64B", 64.0), ("4000000", 4e6)],
)
def test_bytes_are_decimal(text: str, size_bytes: float) -> None:
    assert parse_bytes(text) == pytest.approx(size_bytes, rel=1e-12)


BAD_QUANTITIES = [
    "",
    " ",
    "ms",
    "-5ms",
    "+5ms",
    "5 m s",
    "5ms5",
    "1e3ms",
    "0x5ms",
    ".5ms",
    "5.ms",
    "1,5ms",
    "nanms",
]


@pytest.mark.parametrize("text", [*BAD_QUANTITIES, "5MS", "5min", "5M", "0ms", "0", "0.0ms", "٥ms"])
def test_a_latency_that_is_none_shows_itself_and_the_right_form(text: str) -> None:
    with pytest.raises(InputError, match="for example 5ms") as raised:
        parse_latency_ms(text)
    assert f"'{text}'" in str(raised.value)


@pytest.mark.parametrize("text", [*BAD_QUANTITIES, "5m", "5", "500", "9999", "300000.5", "5B", "0M"])
def test_a_count_that_is_none_shows_itself_and_what_it_counts(text: str) -> None:
    with pytest.raises(InputError, match="for example 500M") as raised:
        parse_count(text, "params")
    assert f"params '{text}'" in str(raised.value)


@pytest.mark.parametrize("text", [*BAD_QUANTITIES, "4", "4M", "4MiB", "0MB"])
def test_a_memory_size_that_is_none_shows_itself_and_the_right_form(text: str) -> None:
    with pytest.raises(InputError, match="for example 4MB") as raised:
        parse_bytes(text)
    assert f"'{text}'" in str(raised.value)


@given(st.integers(1, 300), st.integers(1, 300))
def test_sizes_print_and_parse_back(columns: int, rows: int) -> None:
    size = Size(columns * 32, rows * 32)
    if size.long_side_px > 8192 or size.pixels > 17_000_000:
        with pytest.raises(InputError, match="larger than 8192 px a side or 17 megapixels; give a smaller one"):
            parse_size(str(size))
    else:
        assert parse_size(str(size)) == size


@pytest.mark.parametrize(
    "text", ["", "640", "640x", "x480", "640 x 480", "640X480", "0x32", "640x-480", "64.0x32", "٦٤x32"]
)
def test_a_size_that_is_none_shows_itself_and_the_right_form(text: str) -> None:
    with pytest.raises(InputError, match="for example 640x480") as raised:
        parse_size(text)
    assert f"'{text}'" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "multiple_px", "nearest"),
    [("640x481", 32, "640x480 or 640x512"), ("16x32", 32, "32x32"), ("640x480", 128, "640x384 or 640x512")],
)
def test_a_size_must_be_a_multiple_of_the_coarsest_stride(text: str, multiple_px: int, nearest: str) -> None:
    said = f"'{text}': width and height must be multiples of {multiple_px}, the nearest: {nearest}"
    with pytest.raises(InputError, match=f"{re.escape(said)}$"):
        parse_size(text, multiple_px)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("5ms", LatencyBudget(5.0)),
        ("5@p90", LatencyBudget(5.0, 90)),
        ("5ms@p90", LatencyBudget(5.0, 90)),
        ("800us@p50", LatencyBudget(0.8, 50)),
        ("5ms@p20", LatencyBudget(5.0, 20)),
    ],
)
def test_a_latency_budget_may_name_its_percentile(text: str, budget: LatencyBudget) -> None:
    assert parse_latency_budget(text) == budget
    assert parse_latency_budget(str(budget)) == budget


@pytest.mark.parametrize("text", ["5ms@p99.9", "5ms@", "@p90", "5ms@90", "5ms@p", "@", "5ms@p90@p50", "5ms@pp90"])
def test_a_percentile_that_nobody_measures_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(InputError, match="for example 5ms"):
        parse_latency_budget(text)
