"""Repair: no layer is kept where int8 passes, else the cheapest that pass; what cannot be repaired is refused in words."""

from collections.abc import Collection
from pathlib import Path

import pytest
from facenas.exporters.calibration_photos import choose_calibration
from facenas.exporters.executed import executed_by_onnxruntime
from facenas.exporters.formats import ExportOptions, description_of, export_model
from facenas.exporters.onnx import onnx_of_checkpoint
from facenas.exporters.onnx_int8 import calibrate, can_be_kept, quantize_model
from helpers.random_networks import TINY, confident_checkpoint, random_image
from helpers.told import Told

import facenas
from facenas.checkpoint import load_weights, save_checkpoint
from facenas.data.synthetic import write_synthetic_set
from facenas.devices.targets import resolve_target
from facenas.errors import BudgetError, InputError
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.evaluation.gates import Tolerances
from facenas.graph import build_graph
from facenas.latency.kept_layers import LayerCosts
from facenas.latency.this_machine import Calibrate
from facenas.runtimes.runtime import load_model
from facenas.steps.export import ExportSettings
from facenas.steps.repair import conversion_us_by_value, least_that_passes, noise_by_layer, repair
from facenas.units import Size
from facenas.zoo import zoo_checkpoint

SIZE = Size(96, 64)
GRAPH = build_graph(TINY, SIZE)
NAMES = [layer.name for layer in GRAPH.layers]
COSTS = LayerCosts(
    dict.fromkeys(NAMES, 10.0),
    dict.fromkeys(NAMES, 20.0),
    dict.fromkeys(NAMES, 1.0),
    {name: float(index == 3) * 100 + 1 for index, name in enumerate(NAMES)},
)


def test_the_cheapest_layers_that_pass_are_kept() -> None:
    tried: list[tuple[str, ...]] = []

    def passes(kept: Collection[str]) -> bool:
        tried.append(tuple(kept))
        return NAMES[3] in kept

    found = least_that_passes(GRAPH, COSTS, passes)
    assert found.layers == (NAMES[3],)
    assert len(tried) == len(set(tried))  # none is judged twice


def test_nothing_that_passes_is_said() -> None:
    with pytest.raises(BudgetError, match="a gate fails"):
        least_that_passes(GRAPH, COSTS, lambda kept: False)


def test_kept_layers_are_computed_in_float32_and_make_no_noise() -> None:
    model = onnx_of_checkpoint(confident_checkpoint(TINY, SIZE), dynamic=False)
    photos = choose_calibration(None, 8)
    before = executed_by_onnxruntime(quantize_model(model, photos))
    kept = [layer.name for layer in GRAPH.layers if can_be_kept(layer, GRAPH.outputs)]
    for some in (kept[:1], kept[1:3], kept):
        after = executed_by_onnxruntime(quantize_model(model, photos, kept=some))
        assert after["Conv fp32"] == before.get("Conv fp32", 0) + len(some)
        assert after.get("Conv int8", 0) == before["Conv int8"] - len(some)
    calibrated = calibrate(model, photos)
    noise = noise_by_layer(calibrated, [random_image(SIZE)])
    assert set(noise) == set(NAMES)
    assert max(noise.values()) > 0


def test_openvino_computes_kept_layers_in_float32(tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="the extra int8 is not installed")
    model = onnx_of_checkpoint(confident_checkpoint(TINY, SIZE), dynamic=False)
    kept = ["neck.smooth.8", "backbone.stage2.0"]
    options = ExportOptions("int8", choose_calibration(None, 8), kept=kept)
    artefact = export_model(model, "openvino", tmp_path / "m.xml", options)
    assert description_of(artefact.path).calibration["kept_fp32"] == sorted(kept)
    computed = load_model(artefact.path, resolve_target("cpu-openvino-int8")).computed_in()
    assert computed is not None
    assert {computed[layer] for layer in kept} == {"fp32"}
    others = [layer.name for layer in GRAPH.layers if layer.name not in kept and layer.name in computed]
    assert {computed[name] for name in others} <= {"int8", "fp32"}
    assert sum(computed[name] == "int8" for name in others) > len(others) // 2


@pytest.mark.slow
def test_of_openvino_ever_more_layers_are_tried_until_the_gates_pass(tmp_path: Path) -> None:
    """A limit that everything keeps to, and one that nothing does."""
    pytest.importorskip("nncf", reason="the extra int8 is not installed")
    write_synthetic_set(tmp_path / "photos", 4, width_px=200, height_px=150)
    model = onnx_of_checkpoint(load_weights(zoo_checkpoint("facenas-12ms")), dynamic=False)
    photos, calibration, told = load_evaluation_set(tmp_path / "photos"), choose_calibration(None, 8), Told()
    lax, strict = Tolerances(boxes_matched=0.0, ap_drop=1.0), Tolerances(boxes_matched=0.0, ap_drop=-1.0)
    assert repair(model, calibration, photos, lax, "openvino", Calibrate.NEVER, told) == ()
    told.lines.clear()
    with pytest.raises(BudgetError, match="even with all layers in float32"):
        repair(model, calibration, photos, strict, "openvino", Calibrate.NEVER, told)
    tried = [int(line.split()[0]) for line in told.lines if "layers in float32: average precision" in line]
    assert tried[0] == 0
    assert len(set(tried)) > 3
    assert max(tried) > 20


@pytest.mark.parametrize("target", ["cpu", "cpu-openvino"])
def test_conversions_take_time(target: str) -> None:
    assert conversion_us_by_value(resolve_target(target)) > 0


def test_what_cannot_be_repaired_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    save_checkpoint(checkpoint, confident_checkpoint(TINY, SIZE))
    for words, file_format, precision, told in (
        ({}, "onnx", "int8", "judges by labelled photos; give them with --labelled"),
        ({"labelled": tmp_path}, "tflite", "int8", "format tflite in int8 cannot be kept in float32"),
        ({"labelled": tmp_path}, "onnx", "fp32", "format onnx in fp32 cannot be kept"),
        ({"labelled": tmp_path, "dialect": "tensorrt"}, "onnx", "int8", "cannot be kept in float32"),
    ):
        settings = ExportSettings(repair=True, **words)
        with pytest.raises(InputError, match=told):
            facenas.export(checkpoint, file_format, precision, settings=settings, out=tmp_path / f"m.{file_format}")
