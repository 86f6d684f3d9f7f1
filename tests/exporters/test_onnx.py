"""Exported files: whole, described, written only where everything fits; a file that is none of ours is refused."""

import hashlib
import importlib.metadata
from pathlib import Path

import numpy as np
import onnx
import pytest
from facenas.exporters.onnx import export_checkpoint, export_onnx, load_onnx, onnx_untrained, read_description
from helpers.random_networks import ALL_FAMILIES, TINY, checkpoint_of, random_image, random_network, with_landmarks
from onnx import TensorProto, helper

from facenas.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.networks.reference import TorchReference
from facenas.runtimes.runtime import load_model
from facenas.units import Size

SIZE = Size(96, 64)


@pytest.fixture
def checkpoint() -> Checkpoint:
    return checkpoint_of(random_network(with_landmarks(ALL_FAMILIES)), SIZE)


def test_a_saved_checkpoint_exports_and_answers_as_its_reference(tmp_path: Path, checkpoint: Checkpoint) -> None:
    save_checkpoint(tmp_path / "c.safetensors", checkpoint)
    loaded = load_checkpoint(tmp_path / "c.safetensors")
    artefact = export_checkpoint(loaded, tmp_path / "model.onnx", dynamic=False)
    image = random_image(SIZE)
    found = load_model(artefact.path, resolve_target("cpu")).run(image)
    for name, values in TorchReference(loaded).run(image).items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5 * np.abs(values).max())


def test_the_record_and_the_description_of_an_export(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "deep" / "model.onnx"
    artefact = export_checkpoint(checkpoint, path, dynamic=False)
    content = path.read_bytes()
    assert artefact.to_json() == {
        "artefact": str(path),
        "format": "onnx",
        "precision": "fp32",
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "runtime": "onnxruntime",
        "runtime_version": importlib.metadata.version("onnxruntime"),
        "target": "cpu",
        "operators": {},
    }
    description = read_description(load_onnx(path), path)
    assert description.detector == checkpoint.detector
    assert (description.input_size, description.dynamic, description.precision) == (SIZE, False, "fp32")
    assert (description.preprocessing.mean, description.preprocessing.standard_deviation) == (127.5, 128.0)
    assert description.nms_iou == 0.45
    assert description.origin == {"data": "none"}


def test_another_size_and_open_sides_on_wish(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "model.onnx"
    export_checkpoint(checkpoint, path, input_size=Size(128, 128), dynamic=False)
    assert load_model(path, resolve_target("cpu")).input_size == Size(128, 128)
    export_checkpoint(checkpoint, path, dynamic=True)
    assert load_model(path, resolve_target("cpu")).input_size is None
    assert read_description(load_onnx(path), path).dynamic


def test_equal_exports_are_equal_bytes_and_untrained_ones_say_so(tmp_path: Path) -> None:
    one = export_onnx(onnx_untrained(TINY, input_size=SIZE, dynamic=False), tmp_path / "one.onnx")
    other = export_onnx(onnx_untrained(TINY, input_size=SIZE, dynamic=False), tmp_path / "other.onnx")
    assert one.sha256 == other.sha256
    assert "for latency only" in read_description(load_onnx(one.path), one.path).origin["weights"]


def test_a_checkpoint_that_does_not_fit_leaves_the_old_file(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("old")
    tensors = dict(checkpoint.tensors)
    tensors.pop("head.output.conv.weight")
    broken = Checkpoint(checkpoint.detector, SIZE, tensors, {})
    with pytest.raises(InputError, match=r"'head\.output\.conv\.weight' is missing"):
        export_checkpoint(broken, path, dynamic=False)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_no_whole_onnx_is_refused(tmp_path: Path) -> None:
    whole = onnx_untrained(TINY, input_size=SIZE, dynamic=False).SerializeToString()
    path = tmp_path / "model.onnx"
    with pytest.raises(InputError, match=r"no model at .*model\.onnx"):
        load_onnx(path)
    for content in (b"", b"\xff\xd8\xff\xe0 a photo", b"plain text", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"model\.onnx is no whole ONNX file"):
            load_onnx(path)


def test_an_onnx_of_another_maker_is_refused(tmp_path: Path) -> None:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    path = tmp_path / "other.onnx"
    onnx.save(helper.make_model(graph), path)
    with pytest.raises(InputError, match=r"other\.onnx carries no facenas description.*facenas export"):
        read_description(load_onnx(path), path)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, checkpoint: Checkpoint, odd: float) -> None:
    name = next(name for name in checkpoint.tensors if name.endswith("conv.weight"))
    checkpoint.tensors[name].flat[3] = odd
    with pytest.raises(InputError, match=rf"tensor '{name}' holds numbers that are not finite"):
        export_checkpoint(checkpoint, tmp_path / "model.onnx", dynamic=False)
    assert not (tmp_path / "model.onnx").exists()
