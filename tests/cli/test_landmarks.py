"""Landmarks from labelled photos to the command line: train, export, detect."""

import json
from collections.abc import Callable
from pathlib import Path

from helpers.command_line import Outcome

from facenas.data.synthetic import write_synthetic_set

NET = "SuperConvK3BNRELU(3,8,2,1)" + "SuperConvK3BNRELU(8,8,2,1)" * 4 + "PAFPN(8)HeadDW(8,1)"


def test_a_detector_trained_on_landmarks_shows_five_points_a_face(
    facenas: Callable[..., Outcome], tmp_path: Path
) -> None:
    write_synthetic_set(tmp_path / "data", 4, width_px=96, height_px=96)
    where = ("--data", tmp_path / "data", "--val", tmp_path / "data", "--out", tmp_path / "run")
    small = ("--epochs", "2", "--crop", "64", "--batch", "2", "--input", "96x96")
    trained = facenas("train", "--arch", NET, "--landmarks", *small, *where, "--json")
    assert trained.code == 0, trained.err
    losses = [json.loads(line) for line in (tmp_path / "run" / "training.jsonl").read_text().splitlines()]
    assert any(line.get("landmark", 0) > 0 for line in losses)
    model = tmp_path / "model.onnx"
    checkpoint = json.loads(trained.out)["checkpoint"]
    exported = facenas("export", "--checkpoint", checkpoint, "--format", "onnx", "--out", model, "--json")
    assert exported.code == 0, exported.err
    found = facenas("detect", tmp_path / "data" / "images", "--model", model, "--min-score", "0.001", "--json")
    assert found.code == 0, found.err
    faces = [face for entry in json.loads(found.out) for face in entry["faces"]]
    assert faces
    for face in faces:
        assert len(face["landmarks"]) == 5
        assert all([round(x, 1), round(y, 1)] == [x, y] for x, y in face["landmarks"])
