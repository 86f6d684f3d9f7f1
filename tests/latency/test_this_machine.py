"""Which table is used on this machine, when it is measured, and what is kept."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny_tables import TINY_INPUT, tiny_space, tiny_table, with_other_inputs
from helpers.told import Told

from facenas.architecture import parse_architecture
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.errors import BusyMachineError, TableError
from facenas.latency.input_sizes import Inputs
from facenas.latency.provenance import facts_of
from facenas.latency.short_profile import ShortPlan
from facenas.latency.table import Calibration, LatencyTable, ShortProfile, load_table, save_table
from facenas.latency.this_machine import Calibrate, TableRequest, facts_of_table, table_as_known, table_of_this_machine
from facenas.runtimes.runtime import read_fingerprint
from facenas.spaces.named import load_space
from facenas.units import Size

CPU = resolve_target("cpu")
HERE = read_fingerprint(CPU)


class Measuring:
    """Stands for the short profile; counts how often it is made."""

    def __init__(self) -> None:
        self.times = 0
        self.space: object = None

    def __call__(
        self, target: Target, space: object, size: Size, prior: LatencyTable | None, *, plan: ShortPlan, **_: object
    ) -> LatencyTable:
        self.times += 1
        self.space = space
        table = with_other_inputs(prior or tiny_table(), plan.other_inputs)
        calibration = replace(table.calibration, p50_ratio=1.02, p90_ratio=1.1, note=f"measured {self.times}")
        return replace(
            table,
            fingerprint=read_fingerprint(target),
            input_size=size,
            calibration=calibration,
            short_profile=ShortProfile(carried_over=0),
        )


@pytest.fixture(autouse=True)
def calibrating(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user who has not forbidden it."""
    monkeypatch.delenv("FACENAS_CALIBRATE")


@pytest.fixture
def measuring() -> Measuring:
    return Measuring()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "facenas" / "calibrations"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A table of another machine."""
    path = tmp_path / "foreign.json"
    save_table(tiny_table(), path)
    return path


def request_of(path: Path | None, **changes: object) -> TableRequest:
    return replace(TableRequest(CPU, (TINY_INPUT,), tiny_space(), path), **changes)  # type: ignore[arg-type]


def test_a_table_of_this_kind_of_machine_is_taken_as_it_is(cache: Path, tmp_path: Path, measuring: Measuring) -> None:
    path = tmp_path / "own.json"
    save_table(replace(tiny_table(), fingerprint=HERE), path)
    table = table_of_this_machine(request_of(path), measure=measuring)
    assert measuring.times == 0
    assert facts_of_table(table).where == "on this kind of machine"


def test_what_a_table_of_this_kind_of_machine_does_not_reach_is_measured(
    cache: Path, tmp_path: Path, measuring: Measuring
) -> None:
    path = tmp_path / "own.json"
    save_table(replace(tiny_table(), fingerprint=HERE), path)
    edge = load_space("facenas-edge")
    asked = request_of(path, subject=next(edge.random_detectors(np.random.default_rng(0))))
    for _ in range(2):  # the second time it is kept
        table_of_this_machine(request_of(path, subject=edge), measure=measuring)
        table_of_this_machine(asked, measure=measuring)
        assert measuring.times == 1
        assert measuring.space == edge
    reached = next(tiny_space().random_detectors(np.random.default_rng(0)))
    in_no_space = parse_architecture("SuperConvK5BNRELU(3,8,2,1)" + "SuperConvK5BNRELU(8,8,2,1)" * 4)
    for detector in (reached, in_no_space):
        assert table_of_this_machine(request_of(path, subject=detector), measure=measuring) == load_table(path)
    never = replace(asked, calibrate=Calibrate.NEVER)
    assert table_of_this_machine(never, measure=measuring) == load_table(path)
    assert measuring.times == 1


def test_what_was_calibrated_here_goes_before_a_table_of_this_kind_of_machine(
    cache: Path, tmp_path: Path, measuring: Measuring
) -> None:
    path = tmp_path / "own.json"
    save_table(replace(tiny_table(), fingerprint=HERE), path)
    anew = table_of_this_machine(request_of(path, calibrate=Calibrate.ANEW), measure=measuring)
    assert table_of_this_machine(request_of(path), measure=measuring) == anew
    assert table_as_known(request_of(path)) == anew
    assert measuring.times == 1


def test_a_table_of_a_space_of_its_own_can_be_measured_without_that_space(
    cache: Path, foreign: Path, measuring: Measuring
) -> None:
    assert table_of_this_machine(request_of(foreign, subject=None), measure=measuring).fingerprint == HERE


def test_one_of_another_machine_is_measured_once_and_kept(cache: Path, foreign: Path, measuring: Measuring) -> None:
    told = Told()
    first = table_of_this_machine(request_of(foreign), progress=told, measure=measuring)
    assert "of another machine" in told.lines[0]
    assert "once" in told.lines[0]
    second = table_of_this_machine(request_of(foreign), measure=measuring)
    assert measuring.times == 1
    assert second == first
    assert facts_of_table(second).where == "on this machine"
    assert len(list(cache.glob("cpu-128x96-*.json"))) == 1


def test_never_takes_it_as_it_is_and_says_so(cache: Path, foreign: Path, measuring: Measuring) -> None:
    table = table_of_this_machine(request_of(foreign, calibrate=Calibrate.NEVER), measure=measuring)
    assert measuring.times == 0
    assert table == load_table(foreign)
    assert "another machine, not calibrated on this one" in facts_of_table(table).words


def test_anew_measures_again(cache: Path, foreign: Path, measuring: Measuring) -> None:
    for _ in range(2):
        table_of_this_machine(request_of(foreign, calibrate=Calibrate.ANEW), measure=measuring)
    assert measuring.times == 2
    assert table_of_this_machine(request_of(foreign), measure=measuring).calibration.note == "measured 2"


@pytest.mark.parametrize(
    "change",
    [
        lambda request: replace(request, input_sizes=(Size(160, 128),)),
        lambda request: replace(request, subject=replace(tiny_space(), name="another")),
    ],
    ids=["input size", "space"],
)
def test_another_input_or_space_is_another_calibration(
    cache: Path, measuring: Measuring, change: Callable[[TableRequest], TableRequest]
) -> None:
    table_of_this_machine(request_of(None), measure=measuring)
    table_of_this_machine(change(request_of(None)), measure=measuring)
    assert measuring.times == 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        '{"schema": 1}',
        '{"schema": 99}',
        "[" * 10_000,
        json.dumps({"schema": 1, "target": "cpu", "operators": [{"operator": "conv 1->1"}]}),
    ],
    ids=["empty", "half written", "no fields", "newer", "nested", "cut"],
)
def test_a_calibration_that_cannot_be_used_is_made_anew(
    cache: Path, foreign: Path, measuring: Measuring, content: str
) -> None:
    table_of_this_machine(request_of(foreign), measure=measuring)
    (kept,) = cache.glob("cpu-*.json")
    kept.write_text(content)
    told = Told()
    table_of_this_machine(request_of(foreign), progress=told, measure=measuring)
    assert measuring.times == 2
    assert "cannot be used and is made anew" in told.lines[0]
    assert load_table(kept).fingerprint == HERE


def test_a_calibration_of_another_machine_is_made_anew(cache: Path, foreign: Path, measuring: Measuring) -> None:
    table_of_this_machine(request_of(foreign), measure=measuring)
    (kept,) = cache.glob("cpu-*.json")
    save_table(replace(load_table(kept), fingerprint=replace(HERE, cpu="a CPU whose name nobody knows")), kept)
    table_of_this_machine(request_of(foreign), measure=measuring)
    assert measuring.times == 2


def test_a_calibration_from_the_future_is_used(cache: Path, foreign: Path, measuring: Measuring) -> None:
    """A clock that was set back makes nothing wrong."""
    table_of_this_machine(request_of(foreign), measure=measuring)
    (kept,) = cache.glob("cpu-*.json")
    save_table(replace(load_table(kept), date="2999-01-01T00:00:00+00:00"), kept)
    table_of_this_machine(request_of(foreign), measure=measuring)
    assert measuring.times == 1


def test_where_nothing_can_be_kept_it_works_and_says_so(
    cache: Path, foreign: Path, measuring: Measuring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)  # no folder, and none can be made: also not by root
    told = Told()
    table = table_of_this_machine(request_of(foreign), progress=told, measure=measuring)
    assert table.fingerprint == HERE
    assert any("used now and not kept" in line for line in told.lines)


def test_without_platformdirs_it_works_and_says_what_to_install(
    cache: Path, foreign: Path, measuring: Measuring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "platformdirs", None)  # as if it were not installed
    told = Told()
    table = table_of_this_machine(request_of(foreign), progress=told, measure=measuring)
    assert table.fingerprint == HERE
    assert any("used now and not kept: platformdirs" in line for line in told.lines)


def test_a_second_process_waits_and_finds_what_the_first_has_kept(
    cache: Path, foreign: Path, measuring: Measuring
) -> None:
    class Slow(Measuring):
        def __call__(self, *given: object, **options: object) -> LatencyTable:
            table = measuring(*given, **options)  # type: ignore[arg-type]
            # Meanwhile another process asks for the same.
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    inner = Measuring()
                    table_of_this_machine(request_of(foreign), measure=inner)
                    status = inner.times  # 0: it found the table
                finally:
                    os._exit(status)
            self.child = child
            return table

    slow = Slow()
    table_of_this_machine(request_of(foreign), measure=slow)
    assert os.waitstatus_to_exitcode(os.waitpid(slow.child, 0)[1]) == 0


def test_what_was_disturbed_is_not_kept(cache: Path, foreign: Path, measuring: Measuring) -> None:
    def busy(*_: object, **__: object) -> LatencyTable:
        raise BusyMachineError("the machine is too busy")

    with pytest.raises(BusyMachineError, match=r"too busy; --no-calibrate takes the table of .* as it is, for "):
        table_of_this_machine(request_of(foreign), measure=busy)
    assert not list(cache.glob("cpu-*.json"))
    assert table_of_this_machine(request_of(foreign), measure=measuring).fingerprint == HERE


def test_a_percentile_that_the_table_does_not_tell_is_measured(
    cache: Path, tmp_path: Path, measuring: Measuring
) -> None:
    path = tmp_path / "own.json"
    save_table(replace(tiny_table(), fingerprint=HERE), path)
    assert table_of_this_machine(request_of(path, percentile=90), measure=measuring).ratio_to(90) == 1.1
    assert measuring.times == 1
    with pytest.raises(TableError, match=r"does not tell the 90th percentile.*facenas calibrate --device cpu"):
        load_table(path).ratio_to(90)


def test_an_input_without_any_table_is_measured_with_all_others(cache: Path, measuring: Measuring) -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra npu is not installed")
    untold = resolve_target("cpu-litert")
    table = table_of_this_machine(TableRequest(untold, (Size(192, 160),)), measure=measuring)
    assert table.inputs.covers(Size(192, 160))
    assert table.inputs.covers(Size(512, 384))
    for sizes in ((Size(512, 384),), (Size(640, 480), Size(256, 192))):
        table_of_this_machine(TableRequest(untold, sizes), measure=measuring)
    assert measuring.times == 1
    with pytest.raises(TableError, match=r"make one: facenas profile --device cpu-litert"):
        table_of_this_machine(TableRequest(untold, (Size(192, 160),), calibrate=Calibrate.NEVER), measure=measuring)


def test_an_input_beyond_all_is_measured_alone(cache: Path, measuring: Measuring) -> None:
    table = table_of_this_machine(TableRequest(CPU, (TINY_INPUT,)), measure=measuring)
    assert table.inputs == Inputs(TINY_INPUT)
    with pytest.raises(TableError, match=r"inputs 128x96, 640x480 are not all within 192x160 to 960x736"):
        table_of_this_machine(TableRequest(CPU, (TINY_INPUT, Size(640, 480))), measure=measuring)


@pytest.mark.parametrize("name", ["npu", "jetson-orin-nano"])
def test_estimated_and_modelled_tables_are_not_measured_here(cache: Path, measuring: Measuring, name: str) -> None:
    target = resolve_target(name)
    table = table_of_this_machine(TableRequest(target, (Size(640, 480),)), measure=measuring)
    assert measuring.times == 0
    assert table.provenance in facts_of(table, None).words


def test_a_limited_instruction_set_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    limited = read_fingerprint(CPU)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    assert limited != read_fingerprint(CPU)


def test_a_doubtful_table_is_named_wherever_it_is_used() -> None:
    calibration = Calibration(1.0, 0.0, 0.6, 1.6, 33.0, 80.0, 40, "made up")
    facts = facts_of(replace(tiny_table(), calibration=calibration), HERE)
    assert "an error above 5 % means that other work disturbed it: profile again" in facts.words
    flagged = {operator: replace(time, stable=False) for operator, time in tiny_table().operators.items()}
    assert "flagged unstable" in facts_of(replace(tiny_table(), operators=flagged), HERE).words
    assert facts_of(tiny_table(), HERE).doubts == ()
