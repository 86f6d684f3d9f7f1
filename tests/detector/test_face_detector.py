"""A detector file in, faces out, in pixels of the given photo."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from facenas.exporters.onnx import export_checkpoint
from helpers.random_networks import TINY, confident_checkpoint, with_landmarks
from PIL import Image

from facenas.checkpoint import Checkpoint
from facenas.data.image import read_image
from facenas.detector.face_detector import FaceDetector
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.graph import LANDMARK_CHANNELS, SCORE_CHANNELS
from facenas.pipeline.faces import Faces
from facenas.units import Size

SIZE = Size(96, 64)
PHOTO = np.random.default_rng(0).integers(0, 256, (128, 160, 3), dtype=np.uint8)


def constant_checkpoint() -> Checkpoint:
    """Finds a face of half a stride's reach at every cell of stride 32, whatever the photo, its landmarks at the centre."""
    checkpoint = confident_checkpoint(with_landmarks(TINY), SIZE)
    tensors = {name: tensor.copy() for name, tensor in checkpoint.tensors.items()}
    tensors["head.output.conv.weight"][:] = 0
    bias = tensors["head.output.conv.bias"]
    bias[:] = 0.5
    bias[SCORE_CHANNELS] = (2.0, -9.0)
    bias[LANDMARK_CHANNELS] = 0
    # Boxes of no reach at the finer levels, which the test leaves out by their size.
    for stride, scale in ((8, 0.0), (16, 0.0), (32, 1.0)):
        tensors[f"head.scale.{stride}"] = np.array(scale, np.float32)
    return Checkpoint(checkpoint.detector, SIZE, tensors, {})


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    export_checkpoint(confident_checkpoint(with_landmarks(TINY), SIZE), path, dynamic=False)
    return path


def test_boxes_and_landmarks_are_in_pixels_of_the_photo_and_clipped(tmp_path: Path) -> None:
    """A photo of 160x128 in an input of 96x64 is scaled by one half; cells of stride 32 lie 64 pixels apart."""
    path = tmp_path / "model.onnx"
    export_checkpoint(constant_checkpoint(), path, dynamic=False)
    faces = FaceDetector(path)(PHOTO)
    large = np.flatnonzero((faces.boxes[:, 2] - faces.boxes[:, 0] > 1) & (faces.boxes[:, 3] - faces.boxes[:, 1] > 1))
    found = sorted(map(tuple, faces.boxes[large].tolist()))
    centres = [(x, y) for x in (0, 64, 128) for y in (0, 64)]
    expected = [(max(0, x - 32), max(0, y - 32), min(160, x + 32), min(128, y + 32)) for x, y in centres]
    np.testing.assert_allclose(found, sorted(expected), atol=1e-3)
    assert faces.landmarks is not None
    points = sorted({tuple(np.round(points[0], 3).tolist()) for points in faces.landmarks[large]})
    assert points == [(float(x), float(y)) for x, y in centres]


@pytest.mark.parametrize("device", ["cpu", "cpu-openvino"])
def test_arrays_and_pictures_give_the_same_faces_in_every_runtime(model_path: Path, device: str) -> None:
    reference = FaceDetector(model_path)(PHOTO, 0.1)
    assert len(reference) > 3
    detector = FaceDetector(model_path, resolve_target(device))
    for photo in (PHOTO, Image.fromarray(PHOTO), Image.fromarray(PHOTO).convert("RGBA")):
        faces = detector(photo, 0.1)
        assert len(faces) == len(reference)
        np.testing.assert_allclose(faces.boxes, reference.boxes, atol=0.05)
        np.testing.assert_allclose(faces.scores, reference.scores, atol=1e-4)


def test_the_least_score_and_the_order(model_path: Path) -> None:
    detector = FaceDetector(model_path)
    assert (np.diff(detector(PHOTO, 0.02).scores) <= 0).all()
    assert (detector(PHOTO, 0.5).scores >= 0.5).all()
    assert len(detector(PHOTO, 0.5)) < len(detector(PHOTO, 0.02))


def test_a_long_side_instead_of_the_files_size(model_path: Path) -> None:
    detector = FaceDetector(model_path, long_side_px=320)
    for shape in ((128, 160, 3), (400, 100, 3), (1, 700, 3), (700, 1, 3)):
        faces = detector(np.full(shape, 90, np.uint8), 0.02)
        assert (faces.boxes[:, 2:] <= [shape[1], shape[0]]).all()
        assert (faces.boxes >= 0).all()


def test_an_open_file_keeps_the_ratio_of_the_photo(tmp_path: Path, model_path: Path) -> None:
    path = tmp_path / "open.onnx"
    export_checkpoint(confident_checkpoint(with_landmarks(TINY), SIZE), path, dynamic=True)
    assert FaceDetector(path).description.input_size == SIZE
    expected = FaceDetector(model_path, long_side_px=SIZE.width_px)(PHOTO, 0.1)
    np.testing.assert_allclose(FaceDetector(path)(PHOTO, 0.1).boxes, expected.boxes, atol=0.01)


@pytest.mark.parametrize(
    "photo",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((0, 64, 3), np.uint8),
        [[1, 2], [3, 4]],
    ],
)
def test_what_is_no_photo_is_refused(model_path: Path, photo: Any) -> None:
    with pytest.raises(InputError, match=r"a photo must be uint8 RGB \[height, width, 3\], this is"):
        FaceDetector(model_path)(photo)


def test_files_that_are_no_detector_are_refused(tmp_path: Path, model_path: Path) -> None:
    with pytest.raises(InputError, match=r"photo\.jpg is no model file \(\.onnx"):
        FaceDetector(tmp_path / "photo.jpg")
    with pytest.raises(InputError, match=r"no model at .*absent\.onnx"):
        FaceDetector(tmp_path / "absent.onnx")
    model = onnx.load(model_path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(InputError, match=r"bare\.onnx carries no facenas description"):
        FaceDetector(tmp_path / "bare.onnx")


def test_a_file_without_one_of_the_outputs_is_refused(tmp_path: Path, model_path: Path) -> None:
    model = onnx.load(model_path)
    model.graph.output.pop()
    onnx.save(model, tmp_path / "short.onnx")
    with pytest.raises(InputError, match=r"short\.onnx has no output 'output_32', which every detector has"):
        FaceDetector(tmp_path / "short.onnx")


def rows(faces: Faces) -> list[list[float]]:
    return [[round(float(value), 3) for value in row] for row in faces.rows]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_pil_image_is_turned_as_its_file_is(model_path: Path, tmp_path: Path, orientation: int, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PHOTO).save(path, exif=exif, quality=100, subsampling=0)
    detector = FaceDetector(model_path)
    with Image.open(path) as image:
        found = detector(image)
    assert len(found)
    assert (found.boxes[:, 0].max() > 128) == (orientation < 5)  # 160 px wide, or high
    if suffix == "png":
        assert rows(found) == rows(detector(read_image(path)))


def test_a_pil_image_of_any_mode_is_its_file(model_path: Path, tmp_path: Path) -> None:
    detector = FaceDetector(model_path)
    grey = np.random.default_rng(1).integers(0, 65536, (128, 160)).astype(np.uint16)
    expected = rows(detector(np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2)))
    Image.fromarray(grey).save(tmp_path / "grey.png")
    with Image.open(tmp_path / "grey.png") as image:
        assert rows(detector(image)) == expected == rows(detector(read_image(tmp_path / "grey.png")))
    assert rows(detector(Image.fromarray(grey.astype(np.int32)))) == expected
    palette = Image.fromarray(PHOTO).quantize(16)
    palette.info["transparency"] = bytes(range(16))  # of which Pillow would warn
    assert rows(detector(palette)) == rows(detector(np.asarray(palette.convert("RGBA").convert("RGB"))))
    (tmp_path / "cut.png").write_bytes((tmp_path / "grey.png").read_bytes()[:9000])
    with Image.open(tmp_path / "cut.png") as image, pytest.raises(InputError, match="cannot be decoded"):
        detector(image)
    for unusable in (Image.new("F", (9, 9)), Image.new("I", (9, 9), -5), Image.new("L", (0, 9))):
        with pytest.raises(InputError):
            detector(unusable)


@pytest.mark.parametrize(
    "photo", ["photo.jpg", b"photo", None, 5, [[1, 2], [3]], [1.5], {"a": 1}, np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_photo_is_refused_in_words(model_path: Path, photo: Any) -> None:
    with pytest.raises(InputError, match="a photo must be uint8 RGB"):
        FaceDetector(model_path)(photo)


@pytest.mark.parametrize("long_side_px", [0, -5, 31, 8193, 100_000, 64.0, "64", True])
def test_a_long_side_that_cannot_be_is_refused(model_path: Path, long_side_px: Any) -> None:
    with pytest.raises(InputError, match="long side"):
        FaceDetector(model_path, long_side_px=long_side_px)


@pytest.mark.parametrize("min_score", [-1, 0, 1, 2, float("nan"), float("inf"), "0.5", None, True])
def test_a_score_that_cannot_be_is_refused(model_path: Path, min_score: Any) -> None:
    with pytest.raises(InputError, match="least score"):
        FaceDetector(model_path)(PHOTO, min_score)


def test_a_detector_can_be_pickled_and_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_checkpoint(confident_checkpoint(TINY, SIZE), tmp_path / "open.onnx", dynamic=True)
    monkeypatch.chdir(tmp_path)
    detector = FaceDetector("open.onnx", long_side_px=128)
    expected = rows(detector(PHOTO))
    monkeypatch.chdir("/")
    assert rows(pickle.loads(pickle.dumps(detector))(PHOTO)) == expected  # noqa: S301 - our own bytes
    assert rows(copy.deepcopy(detector)(PHOTO)) == expected
