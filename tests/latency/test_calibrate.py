import time
from dataclasses import replace

import pytest
from tiny_tables import made_up_cost_ns, tiny_space, tiny_table

from facenas.architecture import Detector
from facenas.devices.agent import Sample
from facenas.devices.fingerprint import read_fingerprint
from facenas.devices.targets import resolve_target
from facenas.errors import TableError
from facenas.graph import inventory
from facenas.latency import calibrate as module
from facenas.latency.calibrate import calibrate
from facenas.latency.table import LatencyTable
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
