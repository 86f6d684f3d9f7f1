"""The fields that --json promises, and figures that must agree with each other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from helpers.command_line import Outcome

from facenas.data.image import encode_jpeg, read_image
from facenas.data.synthetic import write_synthetic_set

Run = Callable[..., Outcome]


def value_of(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_devices(facenas: Run) -> None:
    targets = value_of(facenas("devices", "--json"))
    cpu = next(entry for entry in targets if entry["target"] == "cpu")
    assert set(cpu) >= {"target", "hardware", "runtime", "precision", "available", "table", "provenance"}
    assert cpu["available"]
    assert cpu["provenance"] == "measured"


def test_score_of_a_published_net(facenas: Run) -> None:
    figures = value_of(facenas("score", "damofd-0.5g", "--json"))
    assert figures["ddsar"] == pytest.approx(13.177359107722323, abs=1e-9)
    assert (figures["flops"], figures["params"], figures["layers"]) == (492_511_200, 258_186, 6)
    assert len(figures["sar"]) == 5
    other = value_of(facenas("score", "damofd-0.5g", "--alpha", "0.005", "--json"))
    assert other["ddsar"] == pytest.approx(9.335759107722323, abs=1e-9)


def test_score_reads_an_architecture_file(facenas: Run, tmp_path: Path) -> None:
    path = tmp_path / "arch.txt"
    text = "SuperConvK3BNRELU(3,16,2,1)" + "".join(f"SuperResK3K3({16 * i},{16 * i + 16},2,16,1)" for i in range(1, 5))
    path.write_text(text + "\n")
    assert value_of(facenas("score", path, "--json")) == value_of(facenas("score", text, "--json"))


def test_predict(facenas: Run) -> None:
    prediction = value_of(facenas("predict", "damofd-0.5g", "--device", "cpu", "--json"))
    assert prediction["low_ms"] <= prediction["latency_ms"] <= prediction["high_ms"]
    assert prediction["provenance"] == "measured"
    assert set(prediction["operators"][0]) >= {"operator", "latency_us", "source"}


def test_search_meets_its_budgets_and_certifies(facenas: Run, tmp_path: Path) -> None:
    arguments = ("search", "--space", "facenas-edge", "--latency", "9ms", "--params", "0.4M", "--top", "3", "--json")
    result = value_of(facenas(*arguments, "--out", tmp_path / "a"))
    assert result["latency_ms"]["cpu"] <= 9
    assert result["params"] <= 400_000
    assert result["certificate"]["optimal"]
    assert result["certificate"]["bound"] == pytest.approx(result["ddsar"], abs=1e-6)
    assert result["top"][0]["architecture"] == result["architecture"]
    scores = [candidate["ddsar"] for candidate in result["top"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    front = result["frontier"]
    assert [entry["ddsar"] for entry in front] == sorted(entry["ddsar"] for entry in front)
    assert result["provenance"] == {"cpu": "measured"}
    # The search's sums and a prediction of the whole network are the same number.
    predicted = value_of(facenas("predict", result["architecture"], "--device", "cpu", "--json"))
    assert predicted["latency_ms"] == pytest.approx(result["latency_ms"]["cpu"], abs=1e-4)
    value_of(facenas(*arguments, "--out", tmp_path / "b"))
    assert (tmp_path / "a" / "search.json").read_bytes() == (tmp_path / "b" / "search.json").read_bytes()


@pytest.mark.parametrize("dynamic", [False, True])
def test_export_and_detect(facenas: Run, tmp_path: Path, dynamic: bool) -> None:
    path = tmp_path / "model.onnx"
    flags = ("--dynamic",) if dynamic else ()
    artefact = value_of(
        facenas("export", "--arch", "damofd-0.5g", "--input", "128x96", "--out", path, "--json", *flags)
    )
    assert {"artefact", "format", "precision", "size_bytes", "sha256", "runtime", "target"} <= set(artefact)
    assert artefact["size_bytes"] == path.stat().st_size
    onnx.checker.check_model(onnx.load(path), full_check=True)
    photo = np.random.default_rng(0).integers(0, 255, (150, 200, 3), dtype=np.uint8)
    (tmp_path / "photo.jpg").write_bytes(encode_jpeg(photo, 90))
    arguments = ("detect", tmp_path / "photo.jpg", "--model", path, "--out", tmp_path / "drawn", "--min-score", "0.05")
    (entry,) = value_of(facenas(*arguments, "--json"))
    assert entry["image"].endswith("photo.jpg")
    for face in entry["faces"]:
        x1, y1, x2, y2 = face["box"]
        assert 0 <= x1 <= x2 <= 200
        assert 0 <= y1 <= y2 <= 150
        assert 0.05 <= face["score"] <= 1
    assert read_image(tmp_path / "drawn" / "photo.jpg").shape == (150, 200, 3)


def test_train_evaluate_verify(facenas: Run, tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "photos", 8, seed=0)
    arch = "SuperConvK3BNRELU(3,8,2,1)" + "SuperResK3K3(8,16,2,16,1)" + "SuperResK3K3(16,16,2,16,1)" * 3
    training = ("train", "--arch", arch, "--data", tmp_path / "photos", "--val", tmp_path / "photos", "--epochs", "2")
    result = value_of(facenas(*training, "--crop", "64", "--out", tmp_path / "out", "--json"))
    assert result["epochs"] == 2
    assert "all" in result["best"]
    model = tmp_path / "model.onnx"
    value_of(facenas("export", "--checkpoint", result["checkpoint"], "--out", model, "--json"))
    figures = value_of(facenas("evaluate", "--model", model, "--data", tmp_path / "photos", "--json"))
    assert figures["protocol"] == "own"
    assert figures["images"] == 8
    checkpoint = ("--reference", result["checkpoint"], "--data", tmp_path / "photos")
    outcome = facenas("verify", model, *checkpoint, "--latency", "0.01ms", "--json")
    assert outcome.out, outcome.err
    verification = json.loads(outcome.out)
    gates = {gate["name"]: gate["passed"] for gate in verification["gates"]}
    assert gates["tensors"]
    assert gates["boxes"] is not False  # of a detector that was hardly trained perhaps not measured
    assert gates["latency as predicted"] is None  # the shipped table does not hold this architecture
    assert gates["latency within budget"] is False
    assert not verification["passed"]
    assert outcome.code == 1
    again = facenas(*training, "--crop", "64", "--out", tmp_path / "out")
    assert again.code == 2
    assert "--resume" in again.err


def test_detect_without_a_model_uses_the_one_that_ships(facenas: Run, tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "photos", 2, seed=0)
    entries = value_of(facenas("detect", tmp_path / "photos" / "images", "--json"))
    assert len(entries) == 2
