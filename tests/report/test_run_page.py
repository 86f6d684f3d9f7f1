"""The report page: a run's values are on it, what is missing is named, nothing from outside is needed."""

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from helpers.browser import open_in_browser, width_needed
from helpers.report_runs import ARCHITECTURE, candidate, write_run

from facenas.errors import InputError
from facenas.report.run_page import write_report


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return write_run(tmp_path / "cpu-5ms")


def page_of(run_dir: Path) -> str:
    return write_report(run_dir).read_text(encoding="utf-8")


def text_of(page: str) -> str:
    """The page's text as a reader sees it, without the style and the second, narrow, copy of the charts."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("&#x27;", "'").split())


def change(run_dir: Path, name: str, edit: Callable[[Any], object]) -> None:
    path = run_dir / name
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


def test_the_values_of_the_run_are_on_the_page(run_dir: Path) -> None:
    text = text_of(page_of(run_dir))
    for value in (
        "Passed",
        "5.00 ms",
        "4.72 ms",
        "4.83 ms",
        "3.4 % below",
        "13.2468",
        "7,654,321",
        "492.5 M",
        ARCHITECTURE,
    ):
        assert value in text
    for value in ("0.4511", "0.3660", "0.1986", "187", "31.2 s", "21.0 min", "0.258 M", "12.35 MB", "2.4 % above"):
        assert value in text
    for part in ("stage 1", "stage 5", "neck", "head", "convolution 1×1", "depthwise 7×7", "not in operators"):
        assert part in text


def test_every_latency_has_its_provenance_beside_it(run_dir: Path) -> None:
    assert text_of(page_of(run_dir)).count("predicted from a measured table") >= 6
    change(run_dir, "verify.json", lambda value: value["latency"].update(provenance="modelled"))
    change(run_dir, "search.json", lambda value: value.update(provenance={"cpu": "modelled"}))
    change(run_dir, "prediction.json", lambda value: value.update(provenance="modelled"))
    text = text_of(page_of(run_dir))
    assert "predicted from a measured table" not in text
    assert text.count("modelled, not measured") >= 6
    change(run_dir, "search.json", lambda value: value.update(provenance={}))
    assert "provenance not recorded" in text_of(page_of(run_dir))


def test_a_choice_by_short_trainings_is_called_that(run_dir: Path) -> None:
    def rank(value: dict[str, Any]) -> None:
        value["certificate"]["optimal"] = False
        for entry in value["top"]:
            entry["reranked"] = {"AP after 3 epochs": 0.4321}

    change(run_dir, "search.json", rank)
    text = text_of(page_of(run_dir))
    assert "Chosen among the 2 best by AP after 3 epochs; none of the 7,654,321 networks" in text
    assert "Certified" not in text
    assert "0.432" in text


FACTS = {
    "target": "cpu",
    "provenance": "measured",
    "processor": "Example CPU 9000",
    "runtime": "onnxruntime",
    "runtime_version": "1.99.0",
    "precision": "fp32",
    "threads": 1,
    "where": "on this machine",
    "date": "2026-02-03T04:05:06+00:00",
    "error_percent": 1.4,
    "worst_percent": 3.2,
    "operators": 408,
    "carried_over": 162,
    "carried_from": "Another CPU",
    "unstable": 0,
}


@pytest.mark.parametrize("name", ["search.json", "prediction.json", "verify.json"])
def test_the_page_says_of_which_machine_and_day_its_milliseconds_are(run_dir: Path, name: str) -> None:
    """Whichever of the files says it."""
    entry = {
        "search.json": lambda value: value.update(tables={"cpu": FACTS}),
        "prediction.json": lambda value: value.update(table=FACTS),
        "verify.json": lambda value: value["latency"].update(table=FACTS),
    }[name]
    change(run_dir, name, entry)
    text = text_of(page_of(run_dir))
    for words in (
        "Example CPU 9000",
        "onnxruntime 1.99.0",
        "1 thread",
        "2026-02-03",
        "mean error 1.4 %",
        "Another CPU",
    ):
        assert words in text


def test_a_budget_of_the_tail_is_judged_by_the_tail(run_dir: Path) -> None:
    change(
        run_dir,
        "verify.json",
        lambda value: value["latency"].update(percentile=90, median_ms=4.9, p90_ms=5.5, budget_ms=5.0),
    )
    text = text_of(page_of(run_dir))
    assert "5.50 ms at the 90th percentile, 10.0 % above the budget" in text
    assert "50th 4.90 ms, 90th 5.50 ms" in text


def test_synthetic_data_is_called_synthetic_and_real_data_is_not(run_dir: Path) -> None:
    assert text_of(page_of(run_dir)).count("ynthetic") >= 5
    change(run_dir, "run.json", lambda value: value.update(data="photos/office"))
    text = text_of(page_of(run_dir))
    assert "ynthetic" not in text
    assert "photos/office" in text


@pytest.mark.parametrize(("passed", "words"), [(False, "✕ failed"), (None, "– not measured")])
def test_a_gate_that_failed_or_was_not_measured_is_never_shown_as_passed(
    run_dir: Path, passed: bool | None, words: str
) -> None:
    change(run_dir, "verify.json", lambda value: value["gates"][5].update(passed=passed, value=None))
    change(run_dir, "verify.json", lambda value: value.update(passed=passed is None))
    page = page_of(run_dir)
    assert f"latency within budget {words}" in text_of(page)
    headline = re.search(r"<h1>(.*?)</h1>", page)
    assert headline is not None
    assert text_of(headline[1]) == ("Failed" if passed is False else "Not failed, but 1 gate not measured")


def test_where_nothing_was_measured_nothing_is_passed(run_dir: Path) -> None:
    def untried(value: dict[str, Any]) -> None:
        for gate in value["gates"]:
            gate.update(passed=None, value=None)
        value["boxes"].update(reference_faces=0)

    change(run_dir, "verify.json", untried)
    page = page_of(run_dir)
    headline = re.search(r"<h1>(.*?)</h1>", page)
    assert headline is not None
    assert text_of(headline[1]) == "Nothing was measured"
    assert "100.0 % of the reference's 0" not in text_of(page)
    assert "The reference finds no face on 32 photos of val" in text_of(page)


def test_the_page_names_machine_versions_and_date(run_dir: Path) -> None:
    about = {"date": "2026-11-27 18:00 UTC", "facenas": "0.1.0", "Python": "3.11.7", "machine": "AMD EPYC, 2 cores"}
    change(run_dir, "run.json", lambda value: value.update(about=about))
    text = text_of(page_of(run_dir))
    assert all(f"{name} {value}" in text for name, value in about.items())


def test_a_latency_that_was_not_measured_is_said_to_be_so(run_dir: Path) -> None:
    change(run_dir, "verify.json", lambda value: value["latency"].update(measured_ms=None, within_percent=None))
    text = text_of(page_of(run_dir))
    assert "Its latency was not measured." in text
    assert "nothing is known of the prediction's error" in text


def test_an_estimated_latency_is_called_so_and_never_measured(run_dir: Path) -> None:
    estimate = {"measured_ms": None, "estimated_ms": 4.8317, "provenance": "vendor-estimated", "target": "npu"}
    change(run_dir, "verify.json", lambda value: value["latency"].update(estimate))
    change(run_dir, "search.json", lambda value: value["top"][0].update(estimated_ms={"cpu": 4.91}))
    text = text_of(page_of(run_dir))
    assert "Passed, with a latency that is estimated by Vela" in text
    assert "Estimated by Vela for npu: 4.83 ms, 3.4 % below the budget. It was not measured." in text
    assert "estimated latency 4.83 ms vendor-estimated (Vela)" in text
    assert "Vela's estimate, which is no measurement, is 2.4 % above predicted." in text
    assert "4.91 ms vendor-estimated (Vela), not measured" in text
    for words in ("measured latency", "Predicted against measured", "Measured on npu"):
        assert words not in text


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        ("run.json", "No steps: run.json is missing."),
        ("search.json", "No frontier: search.json is missing."),
        ("prediction.json", "No share of operators: prediction.json is missing."),
        ("training/training.jsonl", "No training curve: training/training.jsonl is missing."),
        ("verify.json", "No gate was tried: verify.json is missing."),
        ("evaluation.json", "No precision-recall curve: evaluation.json is missing."),
    ],
)
def test_a_missing_piece_is_named(run_dir: Path, piece: str, words: str) -> None:
    (run_dir / piece).unlink()
    text = text_of(page_of(run_dir))
    assert words in text
    assert f"Missing from the run folder: {piece} is missing" in text


def test_missing_photos_are_named_and_a_damaged_one_too(run_dir: Path) -> None:
    (run_dir / "photos" / "first.jpg").write_bytes(b"no picture")
    page = page_of(run_dir)
    assert "first.jpg" in text_of(page)
    assert page.count("data:image/jpeg;base64,") == 1
    shutil.rmtree(run_dir / "photos")
    assert "No photos: photos/ holds no .jpg." in text_of(page_of(run_dir))


@pytest.mark.parametrize(
    ("piece", "content", "words"),
    [
        ("prediction.json", '{"latency_ms": 4.7', "is not whole JSON"),
        (
            "prediction.json",
            '{"latency_ms": "fast"}',
            "prediction.json, latency_ms should be a finite number, is 'fast'",
        ),
        ("run.json", '{"device": "cpu"}', "run.json lacks 'budgets'"),
        ("evaluation.json", '{"easy": [[0.5]]}', "evaluation.json, easy, entry 1 should be 2 values"),
        ("training/training.jsonl", "\n{", "holds no line that can be read"),
    ],
)
def test_a_damaged_piece_is_named_with_its_reason(run_dir: Path, piece: str, content: str, words: str) -> None:
    (run_dir / piece).write_text(content)
    assert words in text_of(page_of(run_dir))


def test_a_cut_line_of_the_training_curve_is_left_out_and_counted(run_dir: Path) -> None:
    with (run_dir / "training" / "training.jsonl").open("a") as file:
        file.write('{"step": 3020, "st')
    assert "left out because they could not be read: 1." in text_of(page_of(run_dir))


def test_neither_search_nor_verification_is_an_error(tmp_path: Path, run_dir: Path) -> None:
    with pytest.raises(InputError, match="no run folder"):
        write_report(tmp_path / "nowhere")
    (run_dir / "search.json").unlink()
    (run_dir / "verify.json").write_text("{}")
    with pytest.raises(InputError, match=r"search\.json is missing; verify\.json lacks 'artefact'"):
        write_report(run_dir)
    assert not (run_dir / "report.html").exists()


def test_text_of_the_run_is_escaped(run_dir: Path) -> None:
    change(run_dir, "run.json", lambda value: value.update(data="<script>alert(1)</script>", device='c"p&u'))
    change(run_dir, "verify.json", lambda value: value["gates"][0].update(note="<img src=x>", name="<b>"))
    (run_dir / "photos" / "first.jpg").rename(run_dir / "photos" / "a'&<i>.jpg")
    page = page_of(run_dir)
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<i>" not in page


def test_equal_runs_give_equal_bytes_and_nothing_comes_from_outside(run_dir: Path) -> None:
    first = write_report(run_dir).read_bytes()
    assert write_report(run_dir).read_bytes() == first
    assert not re.findall(rb"https?://|@import|url\(|src=\"(?!data:)|<script", first)


def test_a_search_without_device_has_its_frontier_over_flops(run_dir: Path) -> None:
    def without_latency(value: dict[str, Any]) -> None:
        for entry in (value, *value["top"], *value["frontier"]):
            entry["latency_ms"] = {}
        value |= {"provenance": {}, "budgets": {"flops": 5e8}}

    for piece in ("run.json", "verify.json", "prediction.json"):
        (run_dir / piece).unlink()
    change(run_dir, "search.json", without_latency)
    text = text_of(page_of(run_dir))
    assert "FLOPs, millions" in text
    assert "budget 500 M" in text
    assert "Not verified" in text


def test_operators_of_another_detector_are_not_put_into_stages(run_dir: Path) -> None:
    change(run_dir, "prediction.json", lambda value: value["operators"].pop())
    text = text_of(page_of(run_dir))
    assert "By part of the network" not in text
    assert "By kind of operator" in text


@pytest.mark.parametrize("count", [0, 1, 2])
def test_frontiers_of_few_points(run_dir: Path, count: int) -> None:
    points = [candidate(4.7171, 13.2468), candidate(6.0, 13.5)][:count]
    change(run_dir, "search.json", lambda value: value.update(frontier=points))
    expected = "The frontier" if count else "search.json lists no points"
    assert expected in text_of(page_of(run_dir))


class _Elements(HTMLParser):
    """Counts elements, and the marks inside each chart."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: dict[str, int] = {}
        self.cells: list[str] = []
        self._chart = ""
        self._cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "svg":
            self._chart = attributes.get("aria-label") or ""
        elif tag in ("path", "circle", "rect") and self._chart:
            self.marks[self._chart] = self.marks.get(self._chart, 0) + 1
        self._cell = tag == "td" or (self._cell and tag in ("span", "code"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "svg":
            self._chart = ""

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.cells.append(data)


def test_in_a_browser_it_opens_without_errors_with_charts_and_tables(run_dir: Path, tmp_path: Path) -> None:
    page = write_report(run_dir)
    shown, complaints = open_in_browser(page, tmp_path / "profile")
    assert complaints == []
    elements = _Elements()
    elements.feed(shown)
    charts = ("The frontier", "Predicted against measured", "By part of the network", "By kind of operator", "Losses")
    for chart in (*charts, "Average precision in training", "Precision and recall"):
        assert elements.marks.get(chart, 0) >= 4, chart
    for value in (
        "13.2468",
        "4.72 ms",
        "492.5 M",
        "✓ passed",
        "0.4511",
        "4.832",
        "431 operators, measured, calibrated",
    ):
        assert any(value in cell for cell in elements.cells), value


def test_the_browser_test_would_see_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><script>missing()</script>")
    assert open_in_browser(page, tmp_path / "profile")[1] != []


@pytest.mark.parametrize("width_px", [320, 390, 1200])
def test_nothing_sticks_out_of_the_window(run_dir: Path, tmp_path: Path, width_px: int) -> None:
    assert width_needed(write_report(run_dir), tmp_path, width_px) <= width_px


def test_what_sticks_out_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('<!doctype html><div style="width:700px">wide</div>')
    assert width_needed(tmp_path / "page.html", tmp_path, 390) >= 700
