"""Exported files that run on a device elsewhere: the same answers, the same gates, and whatever befalls the connection or the
device is mended or caught."""

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.onnx import export_checkpoint, onnx_of_checkpoint
from facenas.exporters.onnx_half import halved
from helpers.board import TESTS, standin_folder
from helpers.far_devices import CPU, fake_device, remote, wait_until_empty
from helpers.random_networks import TINY, confident_checkpoint
from helpers.ssh_server import SshServer

from facenas.data.synthetic import write_synthetic_set
from facenas.detector.face_detector import FaceDetector
from facenas.devices.host import transport_for
from facenas.devices.targets import resolve_target
from facenas.errors import DeviceError, InputError
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.evaluation.gates import LatencyCheck, Tolerances
from facenas.evaluation.verification import Verification, verify
from facenas.remote.remote_agent import RemoteAgent
from facenas.remote.remote_model import CLOCK_RUNS, CLOCK_TRIES, RemoteModel
from facenas.runtimes.runtime import load_model
from facenas.units import Size

SIZE = Size(160, 128)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    export_checkpoint(confident_checkpoint(TINY, SIZE), path, dynamic=False)
    return path


def judged(agent: RemoteAgent, model: Path, photos: Path) -> Verification:
    """The gates of a file that runs on the agent's device."""
    return verify(
        *(model, model, load_evaluation_set(photos), LatencyCheck(agent.target.name), Tolerances()),
        target=agent.target,
        load=lambda path, target: RemoteModel(agent, path),
    )


def test_a_device_over_ssh_answers_as_this_machine_does(server: SshServer, model: Path) -> None:
    rng = np.random.default_rng(0)
    here = load_model(model, CPU)
    photo = rng.integers(0, 256, (128, 160, 3), np.uint8)
    pixels = FaceDetector(model).pipeline.network_input(photo)[0]
    others = rng.normal(size=(1, 3, 128, 160)).astype(np.float32)
    with remote("127.0.0.1") as agent:
        there = RemoteModel(agent, model)
        for image in (pixels, others):
            expected, found = here.run(image), there.run(image)
            assert list(found) == list(expected)
            for name in expected:
                np.testing.assert_array_equal(found[name], expected[name])
        times_ns = there.time(3)
        assert times_ns.shape == (3,)
        assert (times_ns > 0).all()
        with pytest.raises(InputError, match=r"does not take an image of shape \[1, 1, 128, 160\]"):
            there.run(others[:, :1])
    assert server.connections == 1
    assert wait_until_empty(server.device_folder) == []


def test_a_verification_whose_connection_is_cut_at_20_moments_gives_the_same(
    server: SshServer, model: Path, tmp_path: Path
) -> None:
    write_synthetic_set(tmp_path / "data", 12, seed=0)
    with remote("127.0.0.1") as agent:
        undisturbed = judged(agent, model, tmp_path / "data")
    generator = random.Random(5)
    agent = RemoteAgent(CPU, transport_for("127.0.0.1"), python=sys.executable, retry_delays_s=(0.01,) * 20)
    with agent:
        server.cuts = iter(
            [10**9, *(generator.randrange(1, 900_000) for _ in range(20))]
        )  # one that is reached is insisted on
        agent.connect()
        assert agent._session is not None
        agent._session._pipe._process.kill()  # the first cut: of the connection that there is
        verifications: list[Verification] = []
        while server.cuts_done < 20 and len(verifications) < 30:
            verifications.append(judged(agent, model, tmp_path / "data"))
    assert server.cuts_done >= 19  # both directions of a connection may notice its cut
    assert all(each.gates == undisturbed.gates for each in verifications)
    assert wait_until_empty(server.device_folder) == []


def test_an_engine_whose_build_is_cut_at_20_moments_is_the_same(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{standin_folder(tmp_path)}{os.pathsep}{TESTS}")
    monkeypatch.setenv("TENSORRT_STANDIN", "10.3.0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = halved(onnx_of_checkpoint(confident_checkpoint(TINY, SIZE), dynamic=False)).SerializeToString()
    target, generator = resolve_target("jetson"), random.Random(9)
    agent = RemoteAgent(target, transport_for("127.0.0.1"), python=sys.executable, retry_delays_s=(0.01,) * 20)
    with agent:
        expected = agent.build(model)
        server.cuts = iter([generator.randrange(1, 160_000) for _ in range(20)])
        assert agent._session is not None
        agent._session._pipe._process.kill()
        built = []
        for _ in range(30):
            if server.cuts_done < 18:  # both directions of a connection may notice its cut, and some end before theirs
                built.append(agent.build(model))
                agent._disconnect()
    assert server.cuts_done >= 10
    assert set(built) == {expected}
    assert wait_until_empty(server.device_folder) == []


LYING = """
    import {imports}
    from facenas.on_device import device_agent
    honest = device_agent.Agent.{operation}
    def lie(self, message, data):
        reply, values = honest(self, message, data)
        {lie}
        return reply, values
    device_agent.Agent.{operation} = lie
    device_agent.main()
"""


def lying(tmp_path: Path, operation: str, lie: str, imports: str = "sys") -> str:
    """The Python of a device whose agent changes its replies to one operation."""
    return fake_device(tmp_path, LYING.format(operation=operation, lie=lie, imports=imports))


BEFORE = """last = getattr(self, "last", values)
        self.last = values
        values = last if len(last) == len(values) else values"""


@pytest.mark.parametrize(
    ("lie", "failed"),
    [
        ('values = values[:-3] + b"\\x40" + values[-2:]', "tensors"),  # one value of one output
        (BEFORE, "tensors"),  # the answer to the photo before
        ("values = bytes(len(values))", "tensors"),  # it finds no face
    ],
)
def test_a_device_that_answers_wrongly_fails_a_gate(tmp_path: Path, model: Path, lie: str, failed: str) -> None:
    write_synthetic_set(tmp_path / "data", 4, seed=0)
    with remote(python=lying(tmp_path, "run", lie)) as agent:
        verification = judged(agent, model, tmp_path / "data")
    assert failed in [gate.name for gate in verification.gates if gate.passed is False]


@pytest.mark.parametrize(
    "lie",
    [
        "values = values[:-4]",
        "values += bytes(4)",
        'reply["outputs"][0][1] = [-1, 5]',
        'reply["outputs"][0][1] = [10**9, 10**9]',
        'reply["outputs"].append(reply["outputs"][0])',
        'reply["outputs"] = 7',
        "reply = {}",
    ],
)
def test_outputs_that_are_none_are_refused_in_words(tmp_path: Path, model: Path, lie: str) -> None:
    with (
        remote(python=lying(tmp_path, "run", lie)) as agent,
        pytest.raises(DeviceError, match="answered with what are no outputs"),
    ):
        RemoteModel(agent, model).run(np.zeros((1, 3, 128, 160), np.float32))


@pytest.mark.parametrize(
    "lie",
    [
        'reply["times_ns"] = 7',
        'reply["times_ns"] = {"a": 1}',
        'reply["times_ns"] = [10**400] * len(reply["times_ns"])',
        'reply["times_ns"] = [1e9] * len(reply["times_ns"])',
        'reply["state"] = 7',
    ],
)
def test_times_that_are_none_are_refused_in_words(tmp_path: Path, model: Path, lie: str) -> None:
    with (
        remote(python=lying(tmp_path, "time", lie)) as agent,
        pytest.raises(DeviceError, match=r"times|does not tell its state"),
    ):
        RemoteModel(agent, model).time(1)


def test_a_state_that_is_nonsense_costs_nothing(tmp_path: Path, model: Path) -> None:
    lie = 'reply["state"] = {"temperature_c": 10**400, "gpu_hz": [1], "throttle_reasons": 7, "gpu_max_hz": "x"}'
    with remote(python=lying(tmp_path, "time", lie)) as agent:
        assert (RemoteModel(agent, model).time(1) > 0).all()
        assert all(len(warning) < 500 for warning in agent.warnings)


def test_a_device_that_reports_half_its_time_is_not_believed(tmp_path: Path, model: Path) -> None:
    """Runs are made long by sleeping, so that neither this machine's speed nor its load matters."""
    lie = """import time
        runs = len(reply["times_ns"])
        time.sleep(0.02 * runs)
        reply["times_ns"] = [10_000_000] * runs"""
    assert CLOCK_RUNS * CLOCK_TRIES > 1
    with (
        remote(python=lying(tmp_path, "time", lie)) as agent,
        pytest.raises(DeviceError, match=r"10\.00 ms a run, where .* pass on this machine's clock"),
    ):
        RemoteModel(agent, model).time(3)
