"""`facenas evaluate --out PAGE`."""

import json
from collections.abc import Callable
from pathlib import Path

from helpers.command_line import Outcome

from facenas.data.synthetic import write_synthetic_set
from facenas.files import sha256_of
from facenas.zoo import zoo_model


def test_evaluate_writes_its_page(facenas: Callable[..., Outcome], tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "photos", 3, seed=0)
    words = ("evaluate", "--model", "facenas-7ms", "--data", tmp_path / "photos")
    outcome = facenas(*words, "--out", tmp_path / "page.html")
    assert outcome.code == 0, outcome.err
    assert outcome.out.rstrip().endswith("page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Judged on 3 photos of photos with " in page
    assert "letterboxed into 512x384, as the file is used" in page
    assert sha256_of(zoo_model("facenas-7ms"))[:12] in page
    assert json.loads(facenas(*words, "--out", tmp_path / "page.html", "--json").out)["images"] == 3
