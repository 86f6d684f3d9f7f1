"""`facenas evaluate --out`: the page says what was judged, with what and when, and claims nothing where nothing was judged."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import open_in_browser, width_needed

from facenas.data.synthetic import write_synthetic_set
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.evaluation.wider import Evaluation, evaluate_detections
from facenas.report.evaluation_page import Judged, write_evaluation_page

JUDGED = Judged("model.onnx", "0123456789abcdef", "val", "cpu", {"date": "2026-02-03", "machine": "Example CPU"})


def evaluated(folder: Path, *, found: bool = True) -> Evaluation:
    """Every face found with another score, or none at all."""
    write_synthetic_set(folder, 6, seed=0)
    photos = load_evaluation_set(folder)
    detections = {}
    for truth in photos.ground_truth:
        boxes = truth.boxes if found else truth.boxes[:0]
        scores = np.linspace(0.9, 0.3, len(boxes))[:, None]
        detections[truth.name] = np.hstack([boxes, scores]).astype(np.float32).reshape(-1, 5)
    return evaluate_detections(detections, photos)


def text_of(path: Path) -> str:
    body = re.sub(r"<style>.*?</style>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_what_was_judged_stands_on_the_page(tmp_path: Path) -> None:
    write_evaluation_page(evaluated(tmp_path / "data"), JUDGED, tmp_path / "page.html")
    text = text_of(tmp_path / "page.html")
    for words in ("model.onnx", "0123456789ab", "val", "cpu", "2026-02-03", "Example CPU", "AP 1.000", "suggested 0.3"):
        assert words in text
    assert "100.0 % are right, and 100.0 % of all are found" in text
    first = (tmp_path / "page.html").read_bytes()
    write_evaluation_page(evaluated(tmp_path / "data"), JUDGED, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == first


def test_of_nothing_found_nothing_is_suggested(tmp_path: Path) -> None:
    write_evaluation_page(evaluated(tmp_path / "data", found=False), JUDGED, tmp_path / "page.html")
    text = text_of(tmp_path / "page.html")
    assert "average precision, all 0.000" in text
    assert "suggested" not in text


@pytest.mark.parametrize("width_px", [390, 1200])
def test_it_fits_the_window(tmp_path: Path, width_px: int) -> None:
    write_evaluation_page(evaluated(tmp_path / "data"), JUDGED, tmp_path / "page.html")
    assert open_in_browser(tmp_path / "page.html", tmp_path / "profile", width_px)[1] == []
    assert width_needed(tmp_path / "page.html", tmp_path, width_px) <= width_px
