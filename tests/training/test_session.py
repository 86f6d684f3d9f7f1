"""A training from its photos to its best checkpoint, validated as deployed."""

import fcntl
import json
from pathlib import Path

import pytest
from facenas.exporters.onnx import export_checkpoint
from helpers.random_networks import TINY, with_landmarks
from helpers.told import Told

import facenas
from facenas.architecture import parse_architecture
from facenas.checkpoint import load_checkpoint
from facenas.data.synthetic import write_synthetic_set
from facenas.detector.face_detector import FaceDetector
from facenas.errors import InputError
from facenas.evaluation.protocols import evaluate
from facenas.training.photos import training_photos
from facenas.training.recipe import Recipe
from facenas.training.session import SessionSettings, train_detector
from facenas.units import Size


def test_it_trains_validates_and_leaves_only_its_own_files(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "data", 10, width_px=96, height_px=96)
    out = tmp_path / "out"
    photos = training_photos(tmp_path / "data", None)
    result = train_detector(TINY, Size(96, 96), Recipe(epochs=2, size_px=64, batch_size=3), photos, out)
    kept = ["best.safetensors", "last.safetensors", "training.csv", "training.jsonl"]
    assert sorted(path.name for path in out.iterdir()) == kept
    assert result.checkpoint == out / "best.safetensors"
    assert list(result.best) == ["easy", "medium", "hard", "all"]
    assert load_checkpoint(result.checkpoint).input_size == Size(96, 96)
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "all" in line] == [3, 6]


@pytest.mark.slow
def test_it_learns_to_find_synthetic_faces(tmp_path: Path) -> None:
    """Far above chance on photos that it has not seen, as exported and in the runtime."""
    write_synthetic_set(tmp_path / "train", 160, width_px=320, height_px=240)
    write_synthetic_set(tmp_path / "val", 24, seed=1, width_px=320, height_px=240)
    photos = training_photos(tmp_path / "train", tmp_path / "val")
    detector = parse_architecture(
        "SuperConvK3BNRELU(3,16,2,1)SuperConvK3BNRELU(16,16,2,2)SuperResK3K3(16,32,2,32,1)"
        "SuperResK3K3(32,48,2,32,1)SuperResK3K3(48,64,2,32,1)PAFPN(16)Head(32,2)"
    )
    recipe = Recipe(epochs=40, size_px=160, batch_size=16)
    result = train_detector(detector, Size(320, 256), recipe, photos, tmp_path / "out")
    model = export_checkpoint(load_checkpoint(result.checkpoint), tmp_path / "model.onnx", dynamic=False).path
    found = evaluate(FaceDetector(model, long_side_px=640), photos.validation).average_precisions
    assert found["all"] == result.best["all"]
    assert found["all"] is not None
    assert found["all"] > 0.4


def test_two_trainings_do_not_share_a_folder_and_going_on_from_nothing_is_told(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "data", 6, width_px=96, height_px=96)
    out, told = tmp_path / "out", Told()
    out.mkdir()
    photos = training_photos(tmp_path / "data", None)
    recipe = Recipe(epochs=1, size_px=64, batch_size=3)
    with (out / "training.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=f"a training in {out} is running already"):
            train_detector(TINY, Size(96, 96), recipe, photos, out)
    train_detector(TINY, Size(64, 64), recipe, photos, out, told, settings=SessionSettings(resume=True))
    assert told.lines[0] == f"{out} holds no training to go on from; this one starts at step 0"
    assert all(line.startswith("step ") for line in told.lines[1:])


def test_landmarks_that_nobody_labelled_are_not_learnt(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "data", 4, width_px=96, height_px=96)
    path = tmp_path / "data" / "labelv2.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line if line.startswith("#") else " ".join(line.split()[:4]) for line in lines))
    with pytest.raises(InputError, match="has a landmark, so none can be learnt"):
        facenas.train(with_landmarks(TINY), tmp_path / "data", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_last_state_of_a_training_can_be_exported(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "data", 4, width_px=96, height_px=96)
    recipe = Recipe(epochs=1, size_px=64, batch_size=2)
    settings = facenas.TrainingSettings(Size(96, 96))
    facenas.train(TINY, tmp_path / "data", recipe=recipe, settings=settings, out=tmp_path / "out")
    for name in ("last", "best"):
        facenas.export(tmp_path / "out" / f"{name}.safetensors", out=tmp_path / f"{name}.onnx")
    verified = [FaceDetector(tmp_path / f"{name}.onnx") for name in ("last", "best")]
    assert verified[0].description.detector == verified[1].description.detector == TINY
