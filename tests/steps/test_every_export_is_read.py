"""Every combination of format, precision, size and shape is either refused at the export, or a file that finds faces."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.formats import FORMATS
from helpers.random_networks import TINY, confident_checkpoint
from helpers.told import Told

import facenas
from facenas.checkpoint import save_checkpoint
from facenas.data.image import encode_jpeg
from facenas.errors import FacenasError, InputError
from facenas.units import Size

PHOTO = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """By whether it has landmarks."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for landmarks in (False, True):
        save_checkpoint(
            folder / f"{landmarks}.safetensors", confident_checkpoint(replace(TINY, landmarks=landmarks), Size(96, 64))
        )
    return {landmarks: folder / f"{landmarks}.safetensors" for landmarks in (False, True)}


def exported_and_read(
    checkpoint: Path, folder: Path, *, file_format: str, precision: str, dynamic: bool, size: str | None
) -> bool:
    """Whether it was exported; what was exported finds faces."""
    out = folder / FORMATS[file_format].file_name
    settings = facenas.ExportSettings(size, dynamic=dynamic, calibration_count=8)
    try:
        facenas.export(checkpoint, file_format, precision, settings=settings, out=out)
    except FacenasError:
        assert not out.exists()
        return False
    faces = facenas.FaceDetector(out)(PHOTO, 0.05)
    assert len(faces)
    assert (faces.landmarks is not None) == (checkpoint.stem == "True")
    return True


@pytest.mark.parametrize("file_format", ["onnx", "openvino", "tflite"])
def test_open_sizes_work_or_are_refused(checkpoints: dict[bool, Path], tmp_path: Path, file_format: str) -> None:
    precision = "int8" if file_format == "tflite" else "fp32"
    done = exported_and_read(
        checkpoints[True], tmp_path, file_format=file_format, precision=precision, dynamic=True, size=None
    )
    assert done == (file_format != "tflite")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file_format", "precision"), list(product(("onnx", "openvino", "tflite", "trt"), ("fp32", "fp16", "bf16", "int8")))
)
def test_all_combinations(checkpoints: dict[bool, Path], tmp_path: Path, file_format: str, precision: str) -> None:
    done = []
    for number, (landmarks, dynamic, size) in enumerate(
        product((False, True), (False, True), (None, "32x32", "160x96"))
    ):
        (tmp_path / str(number)).mkdir()
        done.append(
            exported_and_read(
                checkpoints[landmarks],
                tmp_path / str(number),
                file_format=file_format,
                precision=precision,
                dynamic=dynamic,
                size=size,
            )
        )
    if (file_format, precision) in (("onnx", "fp32"), ("openvino", "fp32")):
        assert all(done)


@pytest.mark.parametrize(
    ("file_format", "name"), [("openvino", "model.onnx"), ("onnx", "model"), ("onnx", "model.xml")]
)
def test_a_name_that_no_command_would_read_is_refused(
    checkpoints: dict[bool, Path], tmp_path: Path, file_format: str, name: str
) -> None:
    with pytest.raises(InputError, match="ends in"):
        facenas.export(checkpoints[False], file_format, out=tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_checkpoint_is_not_written_over(checkpoints: dict[bool, Path], tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(checkpoints[False].read_bytes())
    with pytest.raises(InputError, match="would be overwritten"):
        facenas.export(own, out=own)
    assert own.read_bytes() == checkpoints[False].read_bytes()


def test_calibration_photos_that_say_nothing_get_a_word(checkpoints: dict[bool, Path], tmp_path: Path) -> None:
    for number in range(10):
        photo = np.full((64, 96, 3), 120, np.uint8)
        (tmp_path / f"{number}.jpg").write_bytes(encode_jpeg(photo, 90))
    (tmp_path / "a.jpg").write_bytes(b"no photo")
    (tmp_path / "b.jpg").symlink_to("nowhere")
    told = Told()
    settings = facenas.ExportSettings(calibration=tmp_path, calibration_count=10)
    facenas.export(checkpoints[False], "onnx", "int8", settings=settings, out=tmp_path / "m.onnx", progress=told)
    words = "\n".join(told.lines)
    assert "ranges from 10 photos vary by chance" in words
    assert "10 of 10 calibration photos show hardly anything" in words


def test_a_killed_openvino_export_leaves_a_pair_that_works(checkpoints: dict[bool, Path], tmp_path: Path) -> None:
    """At each moment: before the new graph is there, and before the new weights have taken their place."""
    for landmarks in (False, True):
        (tmp_path / str(landmarks)).mkdir()
        facenas.export(checkpoints[landmarks], "openvino", out=tmp_path / str(landmarks) / "m.xml")
    old, new = tmp_path / "False", tmp_path / "True"
    (old / ".m.bin.next").write_bytes((new / "m.bin").read_bytes())
    assert facenas.FaceDetector(old / "m.xml")(PHOTO, 0.05).landmarks is None
    (old / "m.xml").write_bytes((new / "m.xml").read_bytes())
    assert facenas.FaceDetector(old / "m.xml")(PHOTO, 0.05).landmarks is not None
    assert not (old / ".m.bin.next").exists()
