"""A measurement that other work may have lengthened is made again, after a pause; one that no burst explains is not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.onnx import export_checkpoint
from helpers.random_networks import TINY, confident_checkpoint

from facenas.arrays import FloatArray, IntArray
from facenas.devices.targets import resolve_target
from facenas.evaluation.gates import Tolerances, latency_gates
from facenas.evaluation.latency_check import PAUSES_S, ROUNDS, check_latency
from facenas.runtimes.compiled_model import CompiledModel, LayerTimes
from facenas.units import LatencyBudget, Size

BUDGET = LatencyBudget(10.0)


@pytest.mark.parametrize(
    ("passes_ms", "pauses_s", "passed"),
    [
        ((9.0,), (), True),
        ((14.0, 13.0, 9.9), PAUSES_S[1:3], True),  # a burst that ends
        ((14.0, 12.0, 13.0, 11.0), PAUSES_S[1:], False),
        ((25.0,), (), False),  # no burst makes this of 10 ms
    ],
)
def test_bursts_are_waited_for(
    tmp_path: Path,
    passes_ms: Sequence[float],
    pauses_s: Sequence[float],
    passed: bool,
) -> None:
    path = tmp_path / "model.onnx"
    export_checkpoint(confident_checkpoint(TINY, Size(160, 128)), path, dynamic=False)
    rounds = iter([each for each in passes_ms for _ in range(ROUNDS)])
    slept: list[float] = []

    class Played(CompiledModel):
        input_size = Size(160, 128)

        def run(self, image: FloatArray) -> dict[str, FloatArray]:
            raise AssertionError("it is timed, not run")

        def layer_times(self, runs: int, warm_up: int = 2) -> LayerTimes:
            raise AssertionError("it is timed end to end")

        def time(self, runs: int, warm_up: int = 1, input_size: Size | None = None) -> IntArray:
            return np.full(runs, round(1e6 * next(rounds)), np.int64)

    check = check_latency(
        path, resolve_target("cpu"), None, BUDGET, load=lambda model, target: Played(), sleep=slept.append
    )
    assert not list(rounds)
    assert tuple(slept) == tuple(pauses_s)
    assert check.measured_ms == min(passes_ms)
    assert latency_gates(check, Tolerances())[1].passed is passed
