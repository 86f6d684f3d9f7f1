"""A latency that is watched for a while: ten windows of time, the drift from the first to the last."""

import itertools

import numpy as np
import pytest

from facenas.arrays import FloatArray, IntArray
from facenas.errors import InputError
from facenas.evaluation.sustained import RUNS_A_VISIT, WINDOWS, sustain
from facenas.runtimes.compiled_model import CompiledModel, LayerTimes
from facenas.steps.verify import VerifySettings
from facenas.units import Size, parse_duration_s


class Warming(CompiledModel):
    """5 ms a run, and 1 % more with each visit."""

    input_size = Size(64, 64)

    def __init__(self) -> None:
        self.visits = 0

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        raise AssertionError("it is timed, not run")

    def layer_times(self, runs: int, warm_up: int = 2) -> LayerTimes:
        raise AssertionError("it is timed end to end")

    def time(self, runs: int, warm_up: int = 1, input_size: Size | None = None) -> IntArray:
        self.visits += 1
        return np.full(runs, round(5e6 * 1.01 ** (self.visits - 1)), np.int64)


def test_windows_share_the_time_and_tell_the_drift() -> None:
    model, seconds = Warming(), itertools.count(0.0, 0.5)
    found = sustain(model, 20.0, clock=lambda: next(seconds))
    assert len(found.windows_ms) == WINDOWS
    assert found.windows_ms[0] < 5.2
    assert list(found.windows_ms) == sorted(found.windows_ms)
    assert found.drift_percent == pytest.approx(100 * (found.windows_ms[-1] / found.windows_ms[0] - 1), abs=0.1)
    assert model.visits >= WINDOWS
    assert RUNS_A_VISIT > 1
    assert f"({found.drift_percent:+.1f} %)" in found.words()


def test_durations_in_words() -> None:
    assert parse_duration_s("10min") == 600
    assert parse_duration_s("90s") == 90
    with pytest.raises(InputError, match="needs a positive number and a unit"):
        parse_duration_s("10")
    with pytest.raises(InputError, match="cannot be tried"):
        VerifySettings(sustained_s=1e9)
