"""Average precision of a detector: every photo is asked for once, and the protocols are known by name."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from facenas.exporters.onnx import export_checkpoint
from helpers.random_networks import TINY, confident_checkpoint
from helpers.told import Told

from facenas.arrays import FloatArray
from facenas.data.image import encode_jpeg
from facenas.data.synthetic import write_synthetic_set
from facenas.detector.face_detector import FaceDetector
from facenas.detector.many_photos import Detect
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import EvaluationSet, GroundTruth, load_evaluation_set
from facenas.evaluation.protocols import (
    EVALUATION_MIN_SCORE,
    evaluate,
    open_detector,
)
from facenas.pipeline.faces import Faces
from facenas.pipeline.pipeline import Pipeline, Runner
from facenas.units import Size


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    folder = tmp_path_factory.mktemp("photos")
    write_synthetic_set(folder, 4, width_px=160, height_px=128)
    return load_evaluation_set(folder)


def oracle(photos: EvaluationSet, share: float = 1.0) -> Detect:
    """A detector that knows the labels and finds a share of each photo's faces."""
    truths = iter(photos.ground_truth)

    def detect(photo: np.ndarray, min_score: float) -> Faces:
        truth = next(truths)
        assert photo.shape == (truth.height_px, truth.width_px, 3)
        assert min_score == EVALUATION_MIN_SCORE == 0.02
        boxes = truth.boxes[: round(share * len(truth.boxes))]
        return Faces(boxes, np.linspace(0.9, 0.6, len(boxes), dtype=np.float32), None)

    return detect


def test_an_oracle_is_perfect_and_half_an_oracle_half_so(photos: EvaluationSet) -> None:
    reports: list[tuple[int, int, str]] = []
    whole = evaluate(oracle(photos), photos, Told(lambda *report: reports.append(report)))
    assert whole.average_precisions == {"easy": None, "medium": None, "hard": None, "all": 1.0}
    assert reports == [(number, 4, "evaluating") for number in range(1, 5)]
    half = evaluate(oracle(photos, 0.5), photos).average_precisions["all"]
    faces = sum(len(truth.boxes) for truth in photos.ground_truth)
    found = sum(round(0.5 * len(truth.boxes)) for truth in photos.ground_truth)
    assert half == pytest.approx(found / faces, abs=0.01)


def test_a_detector_that_finds_nothing_has_no_precision(photos: EvaluationSet) -> None:
    assert evaluate(oracle(photos, 0.0), photos).average_precisions["all"] == 0.0


def test_the_fields_of_the_contract(photos: EvaluationSet) -> None:
    value = evaluate(oracle(photos), photos).to_json()
    assert value["protocol"] == "all faces, matched as in WIDER FACE"
    assert (value["easy"], value["medium"], value["hard"]) == (None, None, None)
    assert value["images"] == 4
    assert value["faces"] == sum(len(truth.boxes) for truth in photos.ground_truth)


def test_protocols_scale_the_photo_each_in_its_way(tmp_path: Path) -> None:
    model = export_checkpoint(confident_checkpoint(TINY, Size(96, 64)), tmp_path / "m.onnx", dynamic=False).path
    photo = np.random.default_rng(0).integers(0, 255, (70, 100, 3), dtype=np.uint8)
    sizes: list[tuple[int, ...]] = []

    class Watched(NamedTuple):
        runner: Runner

        def run(self, image: FloatArray) -> Mapping[str, FloatArray]:
            sizes.append(image.shape[2:])
            return self.runner.run(image)

    for protocol in ("vga", "original", "own"):
        detect = open_detector(model, protocol)
        pipeline = detect.pipeline if isinstance(detect, FaceDetector) else detect
        assert isinstance(pipeline, Pipeline)
        faces = replace(pipeline, runner=Watched(pipeline.runner))(photo, 0.02)
        assert len(faces)
        assert (faces.boxes >= 0).all()
        assert (faces.boxes <= (100, 70, 100, 70)).all()
    assert sizes == [(448, 640), (96, 128), (64, 96)]
    with pytest.raises(InputError, match="no protocol 'VGA'; there are own, vga, original"):
        open_detector(model, "VGA")


def test_a_photo_that_vanished_is_named(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path, 1, width_px=64, height_px=64)
    photos = load_evaluation_set(tmp_path)
    photos.photos[0].unlink()
    with pytest.raises(InputError, match=r"none of the 1 photos .* no photo at .*\.jpg"):
        evaluate(oracle(photos), photos)


def test_a_bad_photo_among_others_is_left_out_and_named(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path, 3, width_px=64, height_px=64)
    photos = load_evaluation_set(tmp_path)
    content = photos.photos[1].read_bytes()
    photos.photos[1].write_bytes(content[: len(content) // 2] + content[-2:])  # it ends as it should
    broken = photos.photos[2]
    broken.write_bytes(content[: len(content) // 2])
    result = evaluate(oracle(photos), photos)
    assert (result.images, len(result.unread)) == (2, 1)
    assert str(broken) in result.unread[0]


def test_photos_without_a_face_that_counts_keep_the_setting(tmp_path: Path) -> None:
    truth = GroundTruth("a.jpg", 64, 64, np.zeros((0, 4), np.float32), {"all": np.zeros(0, bool)})
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(np.zeros((64, 64, 3), np.uint8), 90))
    photos = EvaluationSet("empty", ("all",), (tmp_path / "a.jpg",), (truth,))
    assert evaluate(oracle(photos), photos).to_json()["all"] is None
