"""Minutes: the whole profile of `cpu` here and over SSH to this very machine must predict alike."""

import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.ssh_server import ssh_server

from facenas.arrays import Float64Array
from facenas.devices.host import transport_for
from facenas.devices.targets import resolve_target
from facenas.latency.carriers import random_networks
from facenas.latency.predictor import predict
from facenas.latency.profiler import profile
from facenas.latency.table import LatencyTable
from facenas.remote.remote_agent import RemoteAgent
from facenas.runtimes.local_agent import LocalAgent
from facenas.spaces.named import load_space
from facenas.units import Size

SIZE = Size(640, 480)


def differences_percent(here: LatencyTable, there: LatencyTable) -> Float64Array:
    """By how much the predictions of two tables differ, in percent, for 100 random networks of the space."""
    networks = random_networks(load_space(here.space), 100, seed=11)
    local, remote = ([predict(n, table, SIZE).latency_ms for n in networks] for table in (here, there))
    return np.asarray(100 * (np.array(remote) / np.array(local) - 1))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_profile_over_ssh_predicts_as_the_local_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, space = resolve_target("cpu"), load_space("facenas-edge")
    here = profile(LocalAgent(cpu), space, SIZE, tmp_path / "here.json")
    with (
        ssh_server(tmp_path, monkeypatch),
        RemoteAgent(cpu, transport_for("127.0.0.1"), python=sys.executable) as agent,
    ):
        there = profile(agent, space, SIZE, tmp_path / "there.json")
    assert there.fingerprint == here.fingerprint
    assert set(there.operators) == set(here.operators)
    # Two local profiles of a machine that others use differ by as much.
    assert np.quantile(np.abs(differences_percent(here, there)), 0.95) < 5
