"""Every published detector reaches the figures that are known of it, by this project's evaluator."""

from pathlib import Path

import pytest

from facenas.detector.published import Baseline, baselines_in
from facenas.evaluation.evaluation_set import EvaluationSet, load_evaluation_set
from facenas.evaluation.protocols import evaluate

KNOWN = {  # easy, medium, hard
    # 0.882, 0.844, 0.721 was once noted of this file; letterboxed, in ratio, with either resampling, it is this.
    "scrfd_2.5g": (0.891, 0.853, 0.727),
    "scrfd_500m": (0.846, 0.825, 0.666),
    "yunet_n_640_640": (0.846, 0.819, 0.678),
    "yunet_s_640_640": (0.819, 0.775, 0.598),
    "retinaface_mnet0.25_FaceDetector": (0.815, 0.753, 0.552),
    "ultra-version-RFB-640": (0.800, 0.757, 0.580),
    "ultra-version-RFB-320": (0.699, 0.592, 0.418),
}
# yunet_s and the small ultra stand for their families.
SLOW = ("scrfd_2.5g", "scrfd_500m", "yunet_n_640_640", "retinaface_mnet0.25_FaceDetector", "ultra-version-RFB-640")


@pytest.fixture
def photos(shared_dir: Path) -> EvaluationSet:
    return load_evaluation_set(shared_dir / "data" / "wider_dev100")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in KNOWN]
)
def test_known_figures(shared_dir: Path, photos: EvaluationSet, name: str) -> None:
    assert len(photos.photos) == 100
    result = evaluate(Baseline(shared_dir / "models" / f"{name}.onnx"), photos)
    assert (result.easy, result.medium, result.hard) == pytest.approx(KNOWN[name], abs=0.005)


def test_every_file_of_the_folder_is_known(shared_dir: Path) -> None:
    assert {path.stem for path in baselines_in(shared_dir / "models")} == set(KNOWN)


def test_unknown_files_and_empty_folders_are_named(tmp_path: Path) -> None:
    from facenas.errors import InputError

    with pytest.raises(InputError, match=r"mtcnn\.onnx is of no family known here"):
        Baseline(tmp_path / "mtcnn.onnx")
    with pytest.raises(InputError, match=r"holds no \.onnx file"):
        baselines_in(tmp_path)
    (tmp_path / "scrfd_x.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match="scrfd_x"):
        Baseline(tmp_path / "scrfd_x.onnx")
