"""Devices elsewhere whose runtime tells no times of layers: timed by whole networks through the agent, like the others."""

from pathlib import Path

import pytest
from helpers.far_devices import DETECTOR, SIZE, remote, wait_until_empty
from helpers.ssh_server import ssh_server
from helpers.tiny_tables import TINY_INPUT, tiny_space

from facenas.devices.targets import resolve_target
from facenas.errors import DeviceError
from facenas.latency.profile_plan import Plan
from facenas.latency.profiler import profile
from facenas.latency.table import WHOLE_NETWORKS
from facenas.runtimes.runtime import why_unavailable

PLAN = Plan(1, 12, seconds=0.0, least_rounds=2, published=False, counters=False)


@pytest.mark.parametrize("name", ["cpu-litert", "cpu-ncnn", "cpu-ncnn-fp16"])
def test_networks_are_timed_there_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    target = resolve_target(name)
    if reason := why_unavailable(target):
        pytest.skip(reason)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with remote(target=target) as agent:
        sample = agent.measure(DETECTOR, SIZE, runs=3, layers=False)
        assert len(sample.end_to_end_ns) == 3
        assert min(sample.end_to_end_ns) > 1000
        assert agent.fingerprint.runtime == target.runtime
        assert agent.fingerprint.runtime_version not in ("", "unknown")
        with pytest.raises(DeviceError, match="tells no times of layers"):
            agent.measure(DETECTOR, SIZE, runs=3, layers=True)
    assert not wait_until_empty(tmp_path)


def test_a_profile_over_ssh_makes_a_table_of_whole_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = resolve_target("cpu-ncnn")
    if reason := why_unavailable(target):
        pytest.skip(reason)
    with ssh_server(tmp_path, monkeypatch), remote("127.0.0.1", target=target) as agent:
        table = profile(agent, tiny_space(), TINY_INPUT, tmp_path / "t.json", plan=PLAN)
    assert (table.provenance, table.method) == ("measured", WHOLE_NETWORKS)
    assert set(table.operators) >= tiny_space().operators(TINY_INPUT)
