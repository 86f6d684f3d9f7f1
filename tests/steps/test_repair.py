"""Repair: no layer is kept where int8 passes, else the cheapest that pass; what cannot be repaired is refused in words."""

from collections.abc import Collection
from pathlib import Path

import pytest
from facenas.exporters.calibration_photos import choose_calibration
from facenas.exporters.executed import executed_by_onnxruntime
from facenas.exporters.onnx import onnx_of_checkpoint
from facenas.exporters.onnx_int8 import calibrate, can_be_kept, quantize_model
from helpers.random_networks import TINY, confident_checkpoint, random_image

import facenas
from facenas.checkpoint import save_checkpoint
from facenas.devices.targets import resolve_target
from facenas.errors import BudgetError, InputError
from facenas.graph import build_graph
from facenas.latency.kept_layers import LayerCosts
from facenas.steps.export import ExportSettings
from facenas.steps.repair import conversion_us_by_value, least_that_passes, noise_by_layer
from facenas.units import Size

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
    assert all(value >= 0 for value in noise.values())
    assert max(noise.values()) > 0


def test_conversions_take_time() -> None:
    assert conversion_us_by_value(resolve_target("cpu")) > 0


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
