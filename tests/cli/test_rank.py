"""`facenas rank` on the command line: from a search to rank.json; what it refuses."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import Outcome

from facenas.data.synthetic import write_synthetic_set

Run = Callable[..., Outcome]
NET = "SuperConvK3BNRELU(3,8,2,1)" + "SuperConvK3BNRELU(8,8,2,1)" * 4 + "PAFPN(8)HeadDW(8,1)"
OTHER = NET.replace("(8,8,2,1)", "(8,8,2,2)", 1)


@pytest.fixture
def search_file(tmp_path: Path) -> Path:
    """A search result of two tiny candidates, as far as a ranking looks at it."""
    costs = dict.fromkeys(("flops", "params", "layers", "peak_memory_bytes"), 1)
    top = [
        {"architecture": net, "ddsar": value, "latency_ms": {"cpu": value / 4}, **costs}
        for net, value in ((NET, 4), (OTHER, 5))
    ]
    score = {"alpha": 0.25, "resolution_px": 224, "stage_weights": [1, 1, 1, 1, 1]}
    certificate = {"optimal": True, "bound": 5.0, "space_size": 2, "labels": 2}
    value = {
        "top": top,
        "provenance": {"cpu": "measured"},
        "input": "96x64",
        "score": score,
        "certificate": certificate,
    }
    value |= {"space": "tiny", "budgets": {}, "frontier": [], "ranges": []}
    path = tmp_path / "search" / "search.json"
    path.parent.mkdir()
    path.write_text(json.dumps(value))
    return path


def test_from_a_search_to_a_ranking_and_again(
    facenas: Run, tmp_path: Path, search_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write_synthetic_set(tmp_path / "data", 4, width_px=96, height_px=96)
    arguments = (
        *("rank", "--search", search_file.parent, "--top", "2", "--arch", NET, "--epochs", "1", "--crop", "64"),
        *("--batch", "2", "--data", tmp_path / "data", "--val", tmp_path / "data", "--out", tmp_path / "out"),
    )
    outcome = facenas(*arguments, "--json")
    assert outcome.code == 0, outcome.err
    assert "Ray is not installed" in outcome.err
    result = json.loads(outcome.out)
    assert result["finished"]
    assert result["provenance"] == {"cpu": "measured"}
    assert {entry["ddsar"] for entry in result["candidates"]} == {4, 5}  # the architecture given is one of the search
    assert {entry["latency_ms"]["cpu"] for entry in result["candidates"]} == {1, 1.25}
    stored = json.loads((tmp_path / "out" / "rank.json").read_text())
    assert stored.pop("asked")["input"] == "96x64"
    assert stored == result
    again = facenas(*arguments)
    assert again.code == 2
    assert "--resume" in again.err
    resumed = facenas(*arguments, "--resume")
    assert resumed.code == 0
    assert "cpu (measured)" in resumed.out
    assert "Kendall tau" in resumed.out


def test_it_refuses_in_one_line(facenas: Run, tmp_path: Path, search_file: Path) -> None:
    damaged = tmp_path / "damaged.json"
    damaged.write_text('{"top": 3}')
    for arguments, words in (
        ((), "nothing to rank"),
        (("--arch", NET), "1 candidates to rank"),
        (("--arch", NET, "--arch", OTHER, "--epochs", "0"), "--epochs 0"),
        (("--search", tmp_path / "absent"), "no search result at"),
        (("--search", damaged), "no search result of facenas"),
        (("--search", search_file), "lists 2 candidates, not 8"),
        (("--search", search_file, "--top", "2", "--val", tmp_path), "without --data"),
        (("--search", search_file, "--top", "2", "--crop", "50"), "multiple of 32"),
    ):
        outcome = facenas("rank", *arguments, "--out", tmp_path / "out")
        assert outcome.code == 2, arguments
        assert words in outcome.err
        assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
