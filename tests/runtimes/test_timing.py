import numpy as np
import pytest

from facenas.arrays import FloatArray, IntArray
from facenas.runtimes.compiled_model import CompiledModel, LayerTimes
from facenas.runtimes.timing import halves_differ_percent, latency_of, measure_latency
from facenas.units import Size


class Scripted(CompiledModel):
    """A model whose runs take the given times."""

    def __init__(self, name: str, times_ns: list[int], order: list[str]) -> None:
        self.input_size = Size(32, 32)
        self._name, self._times_ns, self._order, self._next = name, times_ns, order, 0

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        return {}

    def layer_times(self, runs: int, warm_up: int = 1) -> LayerTimes:
        raise NotImplementedError

    def time(self, runs: int, warm_up: int = 1, input_size: Size | None = None) -> IntArray:
        self._order.append(self._name)
        start, self._next = self._next, self._next + runs
        return np.array([self._times_ns[index % len(self._times_ns)] for index in range(start, start + runs)], np.int64)


def test_models_are_timed_in_turns() -> None:
    order: list[str] = []
    models = [Scripted("a", [1000], order), Scripted("b", [2000], order)]
    latencies = measure_latency(models, rounds=3, runs_per_round=2)
    assert order == ["a", "b"] * 3
    assert [latency.latency_ms for latency in latencies] == pytest.approx([0.001, 0.002])
    assert [latency.samples for latency in latencies] == [6, 6]


def test_a_burst_of_disturbance_does_not_count() -> None:
    times = [1_000_000] * 12 + [9_000_000] * 6 + [1_000_000] * 12
    latency = measure_latency([Scripted("a", times, [])], rounds=10, runs_per_round=3)[0]
    assert latency.latency_ms == 1.0
    assert latency.stable


def test_a_model_that_drifts_is_measured_again_and_flagged() -> None:
    order: list[str] = []
    models = [Scripted("calm", [1000], order), Scripted("drift", list(range(1000, 3000, 10)), order)]
    calm, drift = measure_latency(models, rounds=4, runs_per_round=2, extra_rounds=3)
    assert calm.stable
    assert not drift.stable
    assert (order.count("calm"), order.count("drift")) == (4, 7)


def test_the_latency_is_the_stated_quantile_and_the_spread_is_kept() -> None:
    latency = latency_of(np.arange(0, 101, dtype=np.int64) * 1_000_000)
    assert (latency.latency_ms, latency.median_ms, latency.spread_ms) == (20.0, 50.0, 50.0)
    assert halves_differ_percent(np.array([100, 200], np.int64)) == 100
