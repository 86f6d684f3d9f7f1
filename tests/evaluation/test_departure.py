"""The first layer that departs is named: a changed weight, a changed input, or none."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from facenas.exporters.onnx import export_onnx, onnx_of_checkpoint
from facenas.exporters.openvino import export_openvino
from helpers.random_networks import ALL_FAMILIES, confident_checkpoint, random_image
from onnx import numpy_helper

from facenas.devices.targets import resolve_target
from facenas.evaluation.departure import first_departure, layer_names, layer_runner
from facenas.graph import build_graph
from facenas.units import Size

SIZE = Size(96, 64)
IMAGE = random_image(SIZE)
CHANGED = "backbone.stage3.0.b.reduce"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good file, and one with one weight changed, as ONNX and as OpenVINO."""
    place = tmp_path_factory.mktemp("departure")
    model = onnx_of_checkpoint(confident_checkpoint(ALL_FAMILIES, SIZE), dynamic=False)
    export_onnx(model, place / "good.onnx")
    export_openvino(model, place / "good.xml", precision="fp32")
    tensor = next(each for each in model.graph.initializer if each.name == f"{CHANGED}.weight")
    weight = numpy_helper.to_array(tensor).copy()
    weight[0, 0, 0, 0] += 0.5
    tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    export_onnx(model, place / "changed.onnx")
    export_openvino(model, place / "changed.xml", precision="fp32")
    return place


@pytest.mark.parametrize("suffix", ["onnx", "xml"])
def test_the_layer_of_a_changed_weight_is_named(folder: Path, suffix: str) -> None:
    names = layer_names(folder / "good.onnx")
    assert names == tuple(layer.name for layer in build_graph(ALL_FAMILIES, SIZE).layers)
    good = layer_runner(folder / "good.onnx", resolve_target("cpu"), names)
    target = resolve_target("cpu" if suffix == "onnx" else "cpu-openvino")
    same = layer_runner(folder / f"good.{suffix}", target, names)
    changed = layer_runner(folder / f"changed.{suffix}", target, names)
    assert good is not None
    assert same is not None
    assert changed is not None
    assert set(same(IMAGE)) >= set(names)
    found = first_departure((IMAGE, good), (IMAGE, same), names, 1e-4)
    assert found.layer is None
    assert "no layer departs" in str(found)
    found = first_departure((IMAGE, good), (IMAGE, changed), names, 1e-4)
    assert found.layer == CHANGED
    assert CHANGED in str(found)
    found = first_departure((IMAGE, good), (IMAGE[:, ::-1], same), names, 1e-4)
    assert "the network's input" in str(found)


def test_a_format_without_layers_gives_none(folder: Path) -> None:
    assert layer_runner(folder / "model.engine", resolve_target("cpu"), ()) is None


def test_values_that_are_not_finite_depart(folder: Path) -> None:
    model = onnx.load(folder / "good.onnx")
    tensor = next(each for each in model.graph.initializer if each.name == f"{CHANGED}.bias")
    tensor.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(tensor), np.inf), tensor.name))
    onnx.save(model, folder / "infinite.onnx")
    names = layer_names(folder / "good.onnx")
    runs = [layer_runner(folder / name, resolve_target("cpu"), names) for name in ("good.onnx", "infinite.onnx")]
    assert runs[0] is not None
    assert runs[1] is not None
    assert first_departure((IMAGE, runs[0]), (IMAGE, runs[1]), names, 1e-4).layer == CHANGED
