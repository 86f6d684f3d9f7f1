import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from helpers.tiny_tables import TINY_INPUT, made_up_cost_ns, tiny_space

from facenas.architecture import Architecture, published_detector
from facenas.devices.targets import resolve_target
from facenas.errors import AgentError, BusyMachineError, InputError, TableError
from facenas.graph import build_graph, inventory
from facenas.latency import profile_plan, profiler
from facenas.latency.profile_plan import Plan, default_plan
from facenas.latency.profiler import profile
from facenas.latency.table import load_table
from facenas.quiet import PAUSES_S, Patience
from facenas.runtimes.local_agent import LocalAgent, Measurement
from facenas.spaces import DEFAULT_SPACE
from facenas.spaces.named import load_space
from facenas.units import Size

CPU = resolve_target("cpu")
QUICK = Plan(carriers_per_operator=1, calibration_networks=6, seconds=0.0, least_rounds=4, published=False)


def planned_visits() -> int:
    """Every carrier is visited every other round, every calibration network each time."""
    networks = profiler.networks_to_visit(tiny_space(), TINY_INPUT, QUICK)
    carriers = sum(network.layers for network in networks)
    return QUICK.least_rounds * (len(networks) - carriers) + QUICK.least_rounds * carriers // 2


class FakeAgent(LocalAgent):
    """Answers with made-up times, and counts its visits."""

    visits = 0
    refused: str | None = None

    def measure(
        self, detector: Architecture, input_size: Size, *, runs: int, layers: bool, quiet_ns: int = 0
    ) -> Measurement:
        type(self).visits += 1
        if str(detector) == self.refused:
            raise AgentError("the runtime onnxruntime crashed with signal SIGSEGV")
        graph = build_graph(detector, input_size)
        times = {layer.name: [made_up_cost_ns(layer.operator)] * runs for layer in graph.layers}
        total = sum(made_up_cost_ns(operator) for operator in graph.operators)
        return Measurement((), times, (0,) * runs) if layers else Measurement((total + 10_000,) * runs, {}, ())


@pytest.fixture
def fake_agent() -> type[FakeAgent]:
    """A class of its own, whose counts are this test's."""

    class CountingAgent(FakeAgent):
        pass

    return CountingAgent


def test_the_table_holds_what_was_measured(tmp_path: Path, fake_agent: type[FakeAgent]) -> None:
    shares: list[int] = []
    table = profile(
        fake_agent(CPU),
        tiny_space(),
        TINY_INPUT,
        tmp_path / "t.json",
        plan=QUICK,
        progress=lambda done, _: shares.append(done),
    )
    assert load_table(tmp_path / "t.json") == replace(table, seconds=round(table.seconds, 1))
    assert set(table.operators) >= tiny_space().operators(TINY_INPUT)
    for operator, found in table.operators.items():
        assert found.low_ns == pytest.approx(made_up_cost_ns(operator), rel=0.01)
    assert table.calibration.error_percent < 0.1
    assert table.unstable_operators == 0
    assert shares == sorted(shares)
    assert list(tmp_path.iterdir()) == [tmp_path / "t.json"]


def test_further_architectures_are_covered_on_wish(tmp_path: Path, fake_agent: type[FakeAgent]) -> None:
    also = published_detector("damofd-0.5g")
    table = profile(fake_agent(CPU), tiny_space(), TINY_INPUT, tmp_path / "t.json", plan=replace(QUICK, also=(also,)))
    assert set(inventory(also, TINY_INPUT)) <= set(table.operators)


def test_operators_of_a_further_space_are_covered_and_calibrated_by(
    tmp_path: Path, fake_agent: type[FakeAgent]
) -> None:
    further = load_space("facenas-edge")
    plan = replace(QUICK, further_spaces=(further,))
    table = profile(fake_agent(CPU), tiny_space(), TINY_INPUT, tmp_path / "t.json", plan=plan)
    assert set(table.operators) >= tiny_space().operators(TINY_INPUT) | further.operators(TINY_INPUT)
    assert (table.space, table.calibration.networks) == (tiny_space().name, QUICK.calibration_networks)
    timed = [each.detector for each in profiler.networks_to_visit(tiny_space(), TINY_INPUT, plan) if not each.layers]
    assert any(map(further.holds, timed))
    assert not all(map(further.holds, timed))


def test_a_carrier_that_crashes_the_runtime_is_kept_out_and_named(tmp_path: Path, fake_agent: type[FakeAgent]) -> None:
    networks = profiler.networks_to_visit(tiny_space(), TINY_INPUT, QUICK)
    fake_agent.refused = str(networks[0].detector)
    table = profile(fake_agent(CPU), tiny_space(), TINY_INPUT, tmp_path / "t.json", plan=QUICK)
    assert any(str(fake_agent.refused) in failure and "SIGSEGV" in failure for failure in table.failures)
    assert table.operators
    assert fake_agent.visits < planned_visits()


def test_a_runtime_that_refuses_everything_is_one_line(tmp_path: Path, fake_agent: type[FakeAgent]) -> None:
    def refuse(self: FakeAgent, detector: Architecture, input_size: Size, **_: Any) -> Measurement:
        raise AgentError("the runtime onnxruntime ended with exit code 1")

    fake_agent.measure = refuse  # type: ignore[method-assign]
    with pytest.raises(TableError, match="nothing could be measured on cpu"):
        profile(fake_agent(CPU), tiny_space(), TINY_INPUT, tmp_path / "t.json", plan=QUICK)
    assert not (tmp_path / "t.json").exists()


def test_an_interrupted_profile_loses_nothing_and_resumes(tmp_path: Path, fake_agent: type[FakeAgent]) -> None:
    def interrupt(done: int, total: int) -> None:
        if fake_agent.visits == 5:
            raise KeyboardInterrupt

    out = tmp_path / "t.json"
    with pytest.raises(KeyboardInterrupt):
        profile(fake_agent(CPU), tiny_space(), TINY_INPUT, out, plan=QUICK, progress=interrupt)
    assert not out.exists()
    with pytest.raises(InputError, match="--resume"):
        profile(fake_agent(CPU), tiny_space(), TINY_INPUT, out, plan=QUICK)
    profile(fake_agent(CPU), tiny_space(), TINY_INPUT, out, plan=QUICK, resume=True)
    assert fake_agent.visits == planned_visits()


def test_an_operator_whose_samples_disagree_is_measured_again_and_flagged(
    tmp_path: Path, fake_agent: type[FakeAgent]
) -> None:
    honest = FakeAgent.measure

    def drifting(
        self: FakeAgent, detector: Architecture, input_size: Size, *, runs: int, layers: bool, **quiet: int
    ) -> Measurement:
        sample = honest(self, detector, input_size, runs=runs, layers=layers)
        factor = 1 + type(self).visits // 8
        return Measurement(
            sample.end_to_end_ns, {n: [20_000 * factor] * runs for n in sample.layers_ns}, sample.overhead_ns
        )

    fake_agent.measure = drifting  # type: ignore[method-assign]
    anything = Patience(judges=False)
    table = profile(fake_agent(CPU), tiny_space(), TINY_INPUT, tmp_path / "t.json", plan=QUICK, patience=anything)
    assert table.unstable_operators > 0
    assert fake_agent.visits > planned_visits()


_KILLED_PROFILE = """
import sys
from pathlib import Path
from facenas.devices.targets import resolve_target
from facenas.latency.profile_plan import Plan, default_plan
from facenas.latency.profiler import profile
from facenas.quiet import Patience
from facenas.runtimes.local_agent import LocalAgent
from helpers.tiny_tables import TINY_INPUT, tiny_space
plan = Plan(carriers_per_operator=1, calibration_networks=3, seconds=0.0, least_rounds=200, published=False)
profile(
    LocalAgent(resolve_target("cpu")), tiny_space(), TINY_INPUT, Path(sys.argv[1]), plan=plan, patience=Patience(judges=False)
)
"""


def test_kill_9_loses_one_visit_at_most_and_a_real_resume_makes_the_table(tmp_path: Path) -> None:
    out = tmp_path / "t.json"
    journal = tmp_path / "t.json.journal"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", _KILLED_PROFILE, str(out)], env=environment)
    while process.poll() is None and (not journal.exists() or len(journal.read_text().splitlines()) < 6):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = [json.loads(line) for line in journal.read_text().splitlines(keepends=True) if line.endswith("\n")]
    assert len(before) >= 6
    lines: list[dict[str, Any]] = []

    def read(done: int, total: int) -> None:
        lines[:] = map(json.loads, journal.read_text().splitlines())

    plan = Plan(carriers_per_operator=1, calibration_networks=3, seconds=0.0, least_rounds=2, published=False)
    patience = Patience(judges=False)
    table = profile(
        LocalAgent(CPU), tiny_space(), TINY_INPUT, out, plan=plan, resume=True, progress=read, patience=patience
    )
    assert not journal.exists()
    assert lines[: len(before)] == before
    visits = [(line["round"], line["network"]) for line in lines[1:]]
    assert len(visits) == len(set(visits)) > len(before)
    assert table.provenance == "measured"
    assert set(table.operators) >= tiny_space().operators(TINY_INPUT)


def test_a_profile_that_other_work_spoilt_is_not_kept(tmp_path: Path, fake_agent: type[FakeAgent]) -> None:
    honest = FakeAgent.measure

    def disturbed(
        self: FakeAgent, detector: Architecture, input_size: Size, *, runs: int, layers: bool, **quiet: int
    ) -> Measurement:
        sample = honest(self, detector, input_size, runs=runs, layers=layers)
        factor = float(np.random.default_rng(crc32(str(detector).encode())).uniform(1.0, 3.0))  # rounds do not help
        return replace(sample, end_to_end_ns=tuple(round(factor * ns) for ns in sample.end_to_end_ns))

    fake_agent.measure = disturbed  # type: ignore[method-assign]
    with pytest.raises(BusyMachineError, match="mean error of"):
        profile(fake_agent(CPU), tiny_space(), TINY_INPUT, tmp_path / "t.json", plan=QUICK)
    assert not list(tmp_path.iterdir())
    said: list[str] = []
    visits = fake_agent.visits
    plan, patience = replace(QUICK, seconds=0.2), Patience(said.append)
    with pytest.raises(BusyMachineError):
        profile(fake_agent(CPU), tiny_space(), TINY_INPUT, tmp_path / "t.json", plan=plan, patience=patience)
    assert "the machine is restless" in said[0]
    assert fake_agent.visits - visits > visits


def test_a_busy_machine_is_waited_for_and_what_was_measured_is_kept(
    tmp_path: Path, fake_agent: type[FakeAgent]
) -> None:
    honest = FakeAgent.measure

    def waiting(
        self: FakeAgent, detector: Architecture, input_size: Size, *, runs: int, layers: bool, **quiet: int
    ) -> Measurement:
        sample = honest(self, detector, input_size, runs=runs, layers=layers)
        return replace(sample, waited_share=0.6 if type(self).visits > 5 else 0.0)

    fake_agent.measure = waiting  # type: ignore[method-assign]
    pauses_s: list[float] = []
    with pytest.raises(BusyMachineError, match=r"too busy .* with --resume"):
        profile(
            fake_agent(CPU),
            tiny_space(),
            TINY_INPUT,
            tmp_path / "t.json",
            plan=QUICK,
            patience=Patience(sleep=pauses_s.append),
        )
    assert pauses_s == list(PAUSES_S)
    assert (tmp_path / "t.json.journal").read_text().count("\n") == 6


def test_a_machine_that_was_busy_from_the_start_leaves_nothing_behind(
    tmp_path: Path, fake_agent: type[FakeAgent]
) -> None:
    honest = FakeAgent.measure

    def waiting(
        self: FakeAgent, detector: Architecture, input_size: Size, *, runs: int, layers: bool, **quiet: int
    ) -> Measurement:
        return replace(honest(self, detector, input_size, runs=runs, layers=layers), waited_share=0.6)

    fake_agent.measure = waiting  # type: ignore[method-assign]
    patience = Patience(sleep=lambda seconds: None)
    with pytest.raises(BusyMachineError, match=r"then give the same command again$"):
        profile(fake_agent(CPU), tiny_space(), TINY_INPUT, tmp_path / "t.json", plan=QUICK, patience=patience)
    assert not list(tmp_path.iterdir())


def test_a_quick_profile_holds_every_operator_of_the_space(tmp_path: Path, fake_agent: type[FakeAgent]) -> None:
    space, size = load_space(DEFAULT_SPACE), Size(640, 480)
    plan = replace(profile_plan.QUICK, seconds=0.0, least_rounds=2)  # each carrier once
    table = profile(fake_agent(CPU), space, size, tmp_path / "t.json", plan=plan)
    assert space.operators(size) <= set(table.operators)
    whole = profiler.networks_to_visit(space, size, default_plan(CPU))
    assert 2 * (fake_agent.visits - plan.calibration_networks) < len(whole)
