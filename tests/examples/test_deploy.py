"""The programs that deploy without facenas find the faces that `facenas detect` finds."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.formats import ExportOptions, export_model
from facenas.exporters.onnx import onnx_of_checkpoint
from helpers.random_networks import TINY, confident_checkpoint, with_landmarks

from facenas.data.image import read_image
from facenas.data.synthetic import write_synthetic_set
from facenas.detector.face_detector import FaceDetector
from facenas.pipeline.decoded import Decoding
from facenas.pipeline.faces import Faces
from facenas.units import Size

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "deploy"
SIZE = Size(160, 128)
LEAST_SCORE = 0.3


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Larger than the input, by more and by less than half, and smaller."""
    folder = tmp_path_factory.mktemp("photos")
    for index, size in enumerate((Size(480, 300), Size(200, 180), Size(90, 100))):
        write_synthetic_set(folder / str(index), 1, index, size.width_px, size.height_px)
    return sorted(folder.rglob("*.jpg"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    network = onnx_of_checkpoint(confident_checkpoint(with_landmarks(TINY), SIZE), dynamic=False)
    options = {"raw": ExportOptions(), "decoded": ExportOptions(decoding=Decoding(0.02))}
    for name, option in options.items():
        export_model(network, "onnx", folder / f"{name}.onnx", option)
    return {name: folder / f"{name}.onnx" for name in options}


def printed(*command: object) -> list[list[float]]:
    """The faces that a program prints, a row of numbers each."""
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, timeout=600)
    return [[float(value) for value in line.split()] for line in done.stdout.splitlines()]


def require_same(rows: list[list[float]], faces: Faces) -> None:
    """Resizing in another library changes some bytes of the picture by one, the boxes by hundredths of a pixel, and of the
    many faces of random weights that overlap by just the threshold now one is kept and now the other."""
    assert faces.landmarks is not None
    assert len(faces) > 3
    assert abs(len(rows) - len(faces)) <= 0.03 * len(faces)
    expected = np.concatenate([faces.boxes, faces.scores[:, None], faces.landmarks.reshape(len(faces), -1)], axis=1)
    difference = np.abs(np.array(rows)[:, None] - expected[None])
    apart = np.maximum(difference.max(axis=-1), 30 * difference[:, :, 4])
    assert (apart.min(axis=0) < 0.3).mean() > 0.97
    assert (apart.min(axis=1) < 0.3).mean() > 0.97


@pytest.mark.parametrize("kind", ["raw", "decoded"])
def test_numpy_alone(models: dict[str, Path], photos: list[Path], kind: str) -> None:
    detector = FaceDetector(models["raw"])
    for photo in photos:
        rows = printed(sys.executable, EXAMPLES / "detect.py", models[kind], photo, LEAST_SCORE)
        require_same(rows, detector(read_image(photo), LEAST_SCORE))


def test_opencv_in_cpp(models: dict[str, Path], photos: list[Path], tmp_path: Path) -> None:
    if missing := [name for name in ("cmake", "c++") if shutil.which(name) is None]:
        pytest.skip(f"{' and '.join(missing)} not on this machine")
    configured = subprocess.run(["cmake", "-S", EXAMPLES, "-B", tmp_path], capture_output=True, text=True, check=False)
    if "OpenCVConfig.cmake" in configured.stderr:
        pytest.skip("OpenCV's headers are not on this machine: install libopencv-dev to compile the example")
    assert configured.returncode == 0, configured.stderr
    subprocess.run(["cmake", "--build", tmp_path], check=True, capture_output=True, timeout=600)
    detector = FaceDetector(models["raw"])
    for photo in photos:
        rows = printed(tmp_path / "detect", models["raw"], photo, SIZE, LEAST_SCORE)
        require_same(rows, detector(read_image(photo), LEAST_SCORE))


def test_the_program_says_what_it_cannot_use(models: dict[str, Path], tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, EXAMPLES / "detect.py"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "python detect.py model.onnx photo.jpg" in done.stderr
