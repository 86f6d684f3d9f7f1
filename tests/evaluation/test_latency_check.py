"""A measurement that other work may have lengthened is made again, after a pause; one that no burst explains is not."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.onnx import export_checkpoint
from helpers.random_networks import TINY, confident_checkpoint
from helpers.tiny_tables import tiny_table

from facenas.arrays import FloatArray, IntArray
from facenas.devices.targets import resolve_target
from facenas.evaluation.gates import LatencyCheck, Tolerances, latency_gates
from facenas.evaluation.latency_check import PAUSES_S, ROUNDS, Pace, check_latency
from facenas.runtimes.companion import usual_ns
from facenas.runtimes.compiled_model import CompiledModel, LayerTimes
from facenas.runtimes.runtime import read_fingerprint
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


def test_a_machine_that_has_become_slower_is_no_fault_of_the_file() -> None:
    """As predicted at the table's pace; the budget is a promise of what is clocked."""
    slower = LatencyCheck("cpu", predicted_ms=5.0, measured_ms=6.0, budget_ms=5.5, pace=0.85)
    predicted, budget = latency_gates(slower, Tolerances())
    assert predicted.passed is True
    assert predicted.value == pytest.approx(2.0)
    assert "0.85 of the pace" in predicted.note
    assert budget.passed is False
    assert "5.10 at the table's pace" in budget.note
    assert "pace" not in latency_gates(replace(slower, measured_ms=9.0), Tolerances())[1].note
    assert latency_gates(replace(slower, pace=None), Tolerances())[0].passed is False
    quicker = replace(slower, measured_ms=5.0, pace=1.2)  # as fast as predicted on a machine that is quicker now
    assert latency_gates(quicker, Tolerances())[0].passed is False


def test_the_pace_is_what_the_companion_takes_against_what_it_took() -> None:
    target = resolve_target("cpu")
    table = replace(tiny_table(), companion_ns=10**12, fingerprint=read_fingerprint(target))
    pace = Pace(target, table)
    pace.take()
    pace.take()
    assert (pace.now() or 0.0) > 1e3  # it took a thousand seconds then, so they say
    assert pace.now() is None  # nothing since
    another = replace(table.fingerprint, cpu="another")
    for unknown in (replace(table, companion_ns=0), replace(table, fingerprint=another), None):
        pace = Pace(target, unknown)
        pace.take()
        assert pace.now() is None


@pytest.mark.parametrize(("taken", "usual"), [((), 0), ((7,), 7), ((10, 11, 12, 19, 30), 11)])
def test_the_companions_usual_time_is_that_of_a_quiet_machine(taken: tuple[int, ...], usual: int) -> None:
    assert usual_ns(taken) == usual
