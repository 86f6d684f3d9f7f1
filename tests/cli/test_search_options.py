"""The search command's rankings, algorithms, stage weights and several devices at once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command_line import Outcome
from helpers.tiny_tables import TINY_INPUT, made_up_cost_ns

from facenas.data.image import encode_jpeg
from facenas.devices.targets import resolve_target
from facenas.latency.table import Calibration, LatencyTable, OperatorTime, save_table
from facenas.runtimes.runtime import read_fingerprint
from facenas.scoring.ddsar import PAPER_STAGE_WEIGHTS
from facenas.spaces.named import load_space
from facenas.spaces.space import Space

Run = Callable[..., Outcome]
SPACE = {
    "name": "two families",
    "stages": [
        ["SuperConvK3BNRELU(3,8,2,1)", "SuperConvK3BNRELU(3,16,2,1)"],
        ["SuperResK3K3(8,16,2,16,1)", "SuperResIDWE1K5(16,16,2,16,1)", "SuperResK3K3(16,16,2,16,1)"],
        ["SuperResK3K3(16,32,2,16,1)", "SuperResIDWE1K5(16,32,2,32,2)", "SuperResIDWE1K3(16,32,2,32,1)"],
        ["SuperResK3K3(32,48,2,32,1)", "SuperResIDWE1K5(32,48,2,48,2)", "SuperResIDWE1K3(32,48,2,48,1)"],
        ["SuperResK3K3(48,64,2,32,1)", "SuperResIDWE1K5(48,64,2,64,2)", "SuperResIDWE1K3(48,64,2,64,1)"],
    ],
    "necks_and_heads": {"0": "PAFPN(16)HeadDW(32,2)"},
}


@pytest.fixture
def space_path(tmp_path: Path) -> Path:
    path = tmp_path / "space.json"
    path.write_text(json.dumps(SPACE))
    return path


def made_up_table(target_name: str, space: Space, out: Path, *, depthwise_factor: float) -> Path:
    """A table by which depthwise convolutions cost more or less than their work."""
    target = resolve_target(target_name)
    operators = {}
    for operator in space.operators(TINY_INPUT):
        factor = depthwise_factor if operator.kind.value == "depthwise" else 1.0
        cost_ns = round(made_up_cost_ns(operator) * factor)
        operators[operator] = OperatorTime(12, cost_ns, cost_ns + 50, 100, True)
    table = LatencyTable(
        target=target_name,
        provenance="measured",
        date="2026-01-02T03:04:05+00:00",
        space=space.name,
        input_size=TINY_INPUT,
        fingerprint=read_fingerprint(target),
        calibration=Calibration(1.0, 1000.0, 0.95, 1.06, 2.0, 8.0, 40, "made up"),
        operators=operators,
        seconds=1.5,
    )
    save_table(table, out)
    return out


@pytest.fixture
def tables(space_path: Path, tmp_path: Path) -> tuple[str | Path, ...]:
    space = load_space(str(space_path))
    first = made_up_table("cpu", space, tmp_path / "cpu.json", depthwise_factor=0.5)
    second = made_up_table("cpu-openvino", space, tmp_path / "openvino.json", depthwise_factor=6.0)
    return ("--space", space_path, "--input", str(TINY_INPUT), "--table", first, "--table", second)


def value_of(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_several_devices_each_with_its_budget(facenas: Run, tables: tuple[str | Path, ...]) -> None:
    both = ("search", "--device", "cpu", "--device", "cpu-openvino", "--json", *tables)
    free = value_of(facenas(*both))
    assert set(free["latency_ms"]) == {"cpu", "cpu-openvino"} == set(free["provenance"])
    tight = 0.8 * free["latency_ms"]["cpu-openvino"]
    result = value_of(facenas(*both, "--latency", "cpu=10ms", "--latency", f"cpu-openvino={tight:.6f}ms"))
    assert result["latency_ms"]["cpu-openvino"] <= tight
    assert result["ddsar"] < free["ddsar"]
    assert result["certificate"]["optimal"] is True
    assert set(result["budgets"]) == {"latency cpu", "latency cpu-openvino"}
    impossible = facenas(*both, "--latency", "cpu=10ms", "--latency", "cpu-openvino=0.001ms")
    assert impossible.code == 1
    assert "latency cpu-openvino <= 0.001 ms: the least possible is" in impossible.err
    ambiguous = facenas(*both, "--latency", "5ms")
    assert ambiguous.code == 2
    assert "cpu=5ms" in ambiguous.err


def test_a_table_that_lacks_operators_names_them_and_the_command(facenas: Run, tables: tuple[str | Path, ...]) -> None:
    arguments = [*tables]
    arguments[1] = "damofd-2.5g"
    outcome = facenas("search", "--latency", "5ms", "--device", "cpu", *arguments[:6])
    assert outcome.code == 2
    line = outcome.err.splitlines()[-1]
    assert line.startswith("facenas: ")
    assert "does not reach to operator 'conv" in line
    assert "facenas profile" in outcome.err


def test_rankings_and_evolution(facenas: Run, tables: tuple[str | Path, ...], tmp_path: Path) -> None:
    common = ("search", "--device", "none", *tables[:4], "--flops", "30M", "--json")
    ranked = {name: value_of(facenas(*common, "--rank-by", name)) for name in ("ddsar", "flops", "params", "random")}
    assert all(result["ranked_by"] == name for name, result in ranked.items())
    assert ranked["flops"]["flops"] >= ranked["ddsar"]["flops"]
    assert ranked["params"]["params"] >= ranked["ddsar"]["params"]
    assert ranked["ddsar"]["ddsar"] == max(result["ddsar"] for result in ranked.values())
    assert (ranked["random"]["seed"], ranked["ddsar"]["seed"], ranked["ddsar"]["latency_ms"]) == (0, None, {})
    evolution = value_of(facenas(*common, "--algorithm", "evolution", "--seed", "3", "--out", tmp_path / "run"))
    assert evolution["certificate"]["optimal"] is False
    assert evolution["certificate"]["bound"] is None
    assert evolution["architecture"] == ranked["ddsar"]["architecture"]
    again = facenas(*common, "--algorithm", "evolution", "--seed", "3", "--out", tmp_path / "run", "--resume")
    assert value_of(again) == evolution
    printed = facenas(*common[:-1], "--algorithm", "evolution")
    assert "is not known" in printed.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--algorithm", "magic"), "--algorithm 'magic' is none of exact, evolution"),
        (("--rank-by", "beauty"), "--rank-by 'beauty' is none of ddsar, flops, params, random"),
        (("--rerank", "beauty"), "--rerank 'beauty' is none of naswot, zen"),
        (("--confirm", "--device", "none"), "--device none has none; name the --device to measure"),
        (("--resume",), "--resume is for --algorithm evolution"),
        (("--algorithm", "evolution", "--resume"), "--resume needs the --out folder"),
        (("--algorithm", "evolution", "--seed", "-1"), "seed -1 must be 0 or more"),
        (("--stage-weights", "mine"), "--stage-weights 'mine' is neither paper nor from:DIR"),
        (("--stage-weights", "from:/nowhere"), "no folder /nowhere"),
        (("--device", "none", "--device", "cpu"), "--device none stands alone"),
        (("--device", "none", "--latency", "5ms"), "drop --device none"),
        (("--released-flops", "65"), "released FLOPs '65'"),
        (("--layers", "-3"), "layers budget -3"),
        (("--alpha", "nan"), "alpha nan"),
        (("--space", "facenas-elastic", "--algorithm", "evolution"), "'facenas-elastic' leaves neck and head open"),
        (("--space", "/nowhere.json"), "no space file at /nowhere.json"),
    ],
)
def test_unusable_words(facenas: Run, arguments: tuple[str, ...], words: str) -> None:
    outcome = facenas("search", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert outcome.err.count("\n") == 1


def test_the_best_in_the_order_of_another_measure(
    facenas: Run, tables: tuple[str | Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    common = ("search", "--device", "none", *tables[:4], "--top", "3", "--rerank", "zen")
    first, again = tmp_path / "first", tmp_path / "again"
    result = value_of(facenas(*common, "--json", "--out", first))
    values = [candidate["reranked"]["zen"] for candidate in result["top"]]
    assert values == sorted(values, reverse=True)
    assert all(candidate["ddsar"] for candidate in result["top"])
    printed = facenas(*common, "--rank-by", "params", "--out", again)
    assert "zen" in printed.out
    assert "backbone" in printed.out  # the value that was maximised
    value_of(facenas(*common, "--json", "--out", again))
    assert (first / "search.json").read_bytes() == (again / "search.json").read_bytes()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome = facenas(*common)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "pip install 'facenas[train]'" in outcome.err


def test_stage_weights_from_photos(facenas: Run, space_path: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "images").mkdir(parents=True)
    (photos / "images" / "a.jpg").write_bytes(encode_jpeg(np.full((480, 640, 3), 90, np.uint8), 90))
    boxes = ["0 0 3 3", "10 10 18 18", "30 30 40 40", "100 100 200 200"]
    faces = [f"{box} {' '.join(['-1 -1 -1'] * 5)} 0" for box in boxes]
    (photos / "labelv2.txt").write_text("\n".join(["# a.jpg 640 480", *faces]) + "\n")
    common = ("search", "--device", "none", "--space", space_path, "--alpha", "0.1", "--json")
    result = value_of(facenas(*common, "--stage-weights", f"from:{photos}"))
    assert result["score"]["stage_weights"] == [0.25, 0.5, 0, 0, 0.25]
    assert result["score"]["alpha"] == 0.1
    small = value_of(facenas(*common, "--stage-weights", f"from:{photos}", "--input", "320x256"))
    assert small["score"]["stage_weights"] == [0.75, 0, 0, 0, 0.25]
    assert value_of(facenas(*common))["score"]["stage_weights"] == list(PAPER_STAGE_WEIGHTS)


def test_the_weights_of_wider_are_close_to_the_papers(facenas: Run, space_path: Path, shared_dir: Path) -> None:
    boxes = shared_dir / "data" / "annotations" / "train_boxes_rebuilt.txt"
    result = value_of(
        facenas("search", "--device", "none", "--space", space_path, "--stage-weights", f"from:{boxes}", "--json")
    )
    assert result["score"]["stage_weights"] == pytest.approx(PAPER_STAGE_WEIGHTS, abs=0.05)


def test_kernels_that_a_device_runs_badly_are_left_out(facenas: Run, space_path: Path) -> None:
    common = (
        "search",
        "--device",
        "none",
        "--flops",
        "40M",
        "--input",
        str(TINY_INPUT),
        "--space",
        space_path,
        "--json",
    )
    every = value_of(facenas(*common))
    some = value_of(facenas(*common, "--kernels", "3"))
    assert "K5" in every["architecture"]
    assert "K5" not in some["architecture"]
    assert some["ddsar"] < every["ddsar"]
    assert some["certificate"]["space_size"] < every["certificate"]["space_size"]
    for words, error in (("5", "with kernels 5' holds no network"), ("3;5", "write for example 3 or 3,5")):
        refused = facenas(*common, "--kernels", words)
        assert refused.code == 2
        assert error in refused.err
