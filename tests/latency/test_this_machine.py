import time
from dataclasses import replace

import numpy as np
import pytest
from tiny_tables import made_up_cost_ns, tiny_space, tiny_table

from facenas.architecture import Detector
from facenas.devices.targets import resolve_target
from facenas.errors import TableError
from facenas.graph import inventory
from facenas.latency import this_machine as module
from facenas.latency.table import Calibration, LatencyTable
from facenas.latency.this_machine import calibrate, refitted
from facenas.runtimes.fingerprints import read_fingerprint
from facenas.runtimes.local_agent import Sample
from facenas.units import Size


class SlowMachine:
    """Twice as slow as the made-up table says."""

    def __init__(self, target: object) -> None: ...

    def __enter__(self) -> "SlowMachine":
        return self

    def __exit__(self, *error: object) -> None: ...

    def measure(self, detector: Detector, input_size: Size, *, runs: int, layers: bool) -> Sample:
        total_ns = 1.02 * sum(made_up_cost_ns(operator) for operator in inventory(detector, input_size)) + 3000
        return Sample((round(2 * total_ns),) * runs, {}, ())


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> LatencyTable:
    monkeypatch.setattr(module, "Agent", SlowMachine)
    monkeypatch.setattr(module, "load_space", lambda name: tiny_space())
    return tiny_table()


def test_the_table_is_rescaled_to_this_machine(table: LatencyTable) -> None:
    visits: list[tuple[int, int]] = []
    rescaled = calibrate(table, progress=lambda done, total: visits.append((done, total)))
    assert rescaled.calibration.scale == pytest.approx(2 * table.calibration.scale, rel=1e-3)
    assert rescaled.calibration.offset_ns == pytest.approx(2 * table.calibration.offset_ns, rel=1e-3)
    assert rescaled.calibration.error_percent < 0.1
    assert rescaled.fingerprint == read_fingerprint(resolve_target("cpu"))
    assert rescaled.operators == table.operators
    assert "another machine" in rescaled.calibration.note
    assert visits[-1][0] == visits[-1][1]


def test_a_table_that_covers_nothing_of_its_space_is_refused(table: LatencyTable) -> None:
    few = dict(list(table.operators.items())[:2])
    with pytest.raises(TableError, match="covers no network"):
        calibrate(replace(table, operators=few))


@pytest.mark.parametrize(("cores", "warned"), [(1.1, False), (2.6, True)])
def test_other_work_on_the_machine_is_told(
    table: LatencyTable, monkeypatch: pytest.MonkeyPatch, cores: float, warned: bool
) -> None:
    monkeypatch.setattr(module, "processor_seconds", lambda: cores * time.monotonic())
    assert ("beside other work on 1." in calibrate(table).calibration.note) == warned


def test_memory_and_processor_may_slow_down_differently(table: LatencyTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operators 1.1 times as slow, what every network costs 3 times: two numbers tell them apart, one could not."""
    old = table.calibration

    class SlowMemory(SlowMachine):
        def measure(self, detector: Detector, input_size: Size, *, runs: int, layers: bool) -> Sample:
            sum_ns = sum(made_up_cost_ns(operator) for operator in inventory(detector, input_size))
            return Sample((round(1.1 * old.scale * sum_ns + 3 * old.offset_ns),) * runs, {}, ())

    monkeypatch.setattr(module, "Agent", SlowMemory)
    new = calibrate(table).calibration
    assert (new.scale, new.offset_ns) == pytest.approx((1.1 * old.scale, 3 * old.offset_ns), rel=1e-2)
    assert new.error_percent < 0.1


def test_the_interval_holds_nine_of_ten_networks_of_the_session_it_was_calibrated_in() -> None:
    """Networks scatter by 1 %, whole sessions by 3 %: the table's interval allows for both, the calibrated one for one."""
    old = Calibration(1.0, 0.0, 1 - 0.07, 1 + 0.07, 0.8, 3.0, 60, "made up", drift=0.05)
    generator = np.random.default_rng(0)
    predicted_ms = np.linspace(5.0, 50.0, 8)
    held = []
    for session in 1 + 0.03 * generator.standard_normal(200):
        ratios = session * (1 + 0.01 * generator.standard_normal(8 + 100))
        calibration = refitted(old, predicted_ms, ratios[:8] * predicted_ms)
        assert calibration.drift == 0
        later_ms = generator.uniform(5.0, 50.0, 100)
        relative = ratios[8:] * later_ms / (calibration.scale * later_ms + calibration.offset_ns / 1e6)
        held.append(np.mean((relative >= calibration.low_ratio) & (relative <= calibration.high_ratio)))
    assert 0.88 < np.mean(held) < 0.96  # a little more than 0.90: the larger of two errors counts


def test_two_networks_are_too_few() -> None:
    old = Calibration(1.0, 0.0, 0.9, 1.1, 1.0, 3.0, 60, "made up")
    with pytest.raises(TableError, match="only 2 networks were measured, 3 are needed"):
        refitted(old, np.array([5.0, 9.0]), np.array([5.0, 9.0]))
