"""The comparison of detectors: the front, the distance to it, and the page."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.browser import open_in_browser

from facenas.errors import InputError
from facenas.evaluation.comparison import (
    DetectorComparison,
    DetectorResult,
    distance,
    nearest_of_ours,
    pareto_front,
)
from facenas.report.comparison_page import write_comparison


def result(name: str, latency_ms: float, hard: float, ours: bool = False) -> DetectorResult:
    return DetectorResult(name, ours, "640x480", hard + 0.2, hard + 0.1, hard, latency_ms, 0.1, 90)


FAST, GOOD, BEATEN = result("fast", 5, 0.3), result("good", 20, 0.7), result("beaten", 25, 0.6)
OURS = result("ours", 10, 0.25, ours=True)
ALL = (GOOD, BEATEN, OURS, FAST)


@pytest.fixture
def comparison() -> DetectorComparison:
    return DetectorComparison(1, "2026-01-01T00:00:00Z", "abc", "a CPU", {"numpy": "2"}, "photos", 100, ALL)


def test_front_and_distance() -> None:
    assert pareto_front(ALL, "hard") == [FAST, GOOD]
    off = distance(OURS, ALL, "hard")
    assert not off.on_front
    assert (off.precision, off.slower) == pytest.approx((0.05, 2))
    better = replace(OURS, hard=0.5)
    assert distance(better, (*ALL, better), "hard").on_front
    assert nearest_of_ours((*ALL, better), "hard").detector == better
    slower = replace(better, latency_ms=15, hard=0.6)
    assert nearest_of_ours((*ALL, better, slower), "hard").detector == slower  # both are on the front
    assert pareto_front([OURS, replace(OURS, hard=0.2)], "hard") == [OURS]
    with pytest.raises(InputError, match="no detector of ours"):
        nearest_of_ours([FAST], "hard")


def test_the_page_says_how_far_off_the_front_and_holds_every_figure(
    comparison: DetectorComparison, tmp_path: Path
) -> None:
    write_comparison(comparison, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Our best is 0.050 AP off the front" in page
    for text in ("0.700", "20.00 ms", "a CPU", "100 photos of photos", "fast, good"):
        assert text in page
    assert page.count('class="mark quiet"') == 2 * 3 * 3  # published ones, wide and narrow, three charts
    assert page.count('class="mark"') == 2 * 3
    assert not re.findall(r"https?://|@import|url\(|<script", page)
    first = (tmp_path / "page.html").read_bytes()
    write_comparison(comparison, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == first
    on_front = replace(comparison, detectors=(*ALL, replace(OURS, hard=0.5, medium=0.6, easy=0.7)))
    write_comparison(on_front, tmp_path / "page.html")
    assert "Our best is on the Pareto front" in (tmp_path / "page.html").read_text()


def test_the_page_opens_in_a_browser_without_errors(comparison: DetectorComparison, tmp_path: Path) -> None:
    write_comparison(comparison, tmp_path / "page.html")
    shown, complaints = open_in_browser(tmp_path / "page.html", tmp_path / "profile", 500)
    assert complaints == []
    assert "Average precision, hard, against latency" in shown
