"""Vela's estimates: whole networks on the NPU, predicted by the table that ships, searched and exported within a budget."""

import json
from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.onnx_graph import build_onnx, random_weights
from helpers.random_networks import ALL_FAMILIES, TINY
from typer.testing import CliRunner

from facenas.architecture import Architecture
from facenas.cli.main import app
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.evaluation.gates import LatencyCheck, Tolerances, latency_gates
from facenas.graph import build_graph
from facenas.latency.carriers import random_networks
from facenas.latency.predictor import OperatorCosts, predict
from facenas.latency.table import find_table
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.runtime import load_model, why_unavailable
from facenas.spaces.named import load_space
from facenas.units import Size

pytest.importorskip("ethosu", reason="the extra npu is not installed")

NPUS = ("npu", "npu-u55-256", "npu-u85-512")


def compiled(detector: Architecture, size: Size, npu: str = "npu") -> CompiledModel:
    graph = build_graph(detector, size)
    model = build_onnx(graph, random_weights(graph)).SerializeToString()
    return load_model(model, resolve_target(npu), timing_only=True)


@pytest.mark.parametrize("npu", NPUS)
def test_the_layers_of_a_network_add_up_to_its_estimate(npu: str) -> None:
    model = compiled(ALL_FAMILIES, Size(160, 128), npu)
    times = model.layer_times(2)
    assert set(times.names) == {layer.name for layer in build_graph(ALL_FAMILIES, Size(160, 128)).layers}
    assert times.times_ns.sum(axis=1) + times.overhead_ns == pytest.approx(model.time(2))
    assert (times.overhead_ns <= 0.05 * model.time(2)).all()  # what Vela copies counts for the layer that follows


def test_an_npu_that_is_not_here_runs_nothing() -> None:
    model = compiled(TINY, Size(160, 128))
    with pytest.raises(InputError, match="cpu-litert"):
        model.run(np.zeros((1, 3, 128, 160), np.float32))


def test_a_float_model_is_refused() -> None:
    graph = build_graph(TINY, Size(160, 128))
    with pytest.raises(InputError, match="--format tflite"):
        load_model(build_onnx(graph, random_weights(graph)).SerializeToString(), resolve_target("npu"))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("npu", "cpu-litert"):
        assert "pip install 'facenas[npu]'" in (why_unavailable(resolve_target(name)) or "")


def test_an_estimate_is_called_one_and_has_no_tolerance() -> None:
    over = LatencyCheck("npu", 5.0, None, 5.0, "vendor-estimated", None, 5.01)
    as_predicted, within = latency_gates(over, Tolerances())
    assert as_predicted.passed
    assert "estimate" in as_predicted.note
    assert not within.passed
    assert "not measured" in within.note


# By whether features stay in the small memory, Vela has two costs for one convolution, on the U85 up to twice apart; the table
# holds the median.
LARGEST_ERRORS = {"npu": 0.03, "npu-u55-256": 0.03, "npu-u85-512": 0.06}


@pytest.mark.slow
@pytest.mark.parametrize(("npu", "limit"), LARGEST_ERRORS.items())
@pytest.mark.parametrize("space", ["facenas-elastic", "facenas-edge"])
def test_predictions_of_held_out_networks_are_near_their_estimates(space: str, npu: str, limit: float) -> None:
    size = Size(640, 480)
    table = find_table(resolve_target(npu), size)
    costs = OperatorCosts(table)
    off = [
        abs(predict(network, table, size, costs).latency_ms / (compiled(network, size, npu).time(1)[0] / 1e6) - 1)
        for network in random_networks(load_space(space), 25, seed=1000)
    ]
    assert np.mean(np.array(off) <= limit) >= 0.95, np.round(off, 3).tolist()


@pytest.mark.slow
@pytest.mark.parametrize(("npu", "limit"), [("npu", 0.08), ("npu-u55-256", 0.08), ("npu-u85-512", 0.15)])
@pytest.mark.parametrize("space", ["facenas-elastic", "facenas-edge"])
def test_predictions_between_the_inputs_of_the_table_are_near_theirs(space: str, npu: str, limit: float) -> None:
    for size in (Size(256, 192), Size(416, 320), Size(736, 416)):
        table = find_table(resolve_target(npu), size)
        assert size not in table.inputs.all
        for network in random_networks(load_space(space), 3, seed=1000):
            estimate_ms = compiled(network, size, npu).time(1)[0] / 1e6
            assert predict(network, table, size).latency_ms == pytest.approx(estimate_ms, rel=limit)


def run(*words: str) -> dict[str, object]:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    value: dict[str, object] = json.loads(result.stdout)
    return value


@pytest.mark.slow
def test_a_network_searched_for_the_npu_is_exported_and_compiled_within_its_budget(tmp_path: Path) -> None:
    found = run("search", "--device", "npu", "--latency", "5ms")
    path = tmp_path / "model.tflite"
    words = ["--format", "tflite", "--precision", "int8", "--calibration-count", "8", "--out", str(path)]
    run("export", "--arch", str(found["architecture"]), "--input", str(found["input"]), *words)
    model = load_model(path, resolve_target("npu"))  # refuses operators that fall back to the CPU
    assert model.time(1)[0] / 1e6 <= 5.0


@pytest.mark.slow
def test_one_search_meets_the_budgets_of_cpu_and_npu() -> None:
    budgets = {"cpu": 20.0, "npu": 3.0}
    words = [word for name, ms in budgets.items() for word in ("--device", name, "--latency", f"{name}={ms:g}ms")]
    latency_ms = run("search", *words)["latency_ms"]
    assert isinstance(latency_ms, dict)
    assert all(latency_ms[name] <= budget for name, budget in budgets.items())
