import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import onnx
import pytest
from helpers.far_devices import CPU, DETECTOR, HELLO, SIZE, fake_device, remote, wait_until_empty
from helpers.ssh_server import SshServer
from helpers.tiny_tables import TINY_INPUT, tiny_space

from facenas.devices.host import transport_for
from facenas.devices.own_devices import OwnDevice
from facenas.devices.targets import resolve_target
from facenas.errors import ConnectionLostError, DeviceError, InputError
from facenas.graph import build_graph
from facenas.latency import profiler
from facenas.latency.profile_plan import Plan
from facenas.latency.profiler import profile
from facenas.locks import only_one
from facenas.remote.agent_session import agent_file
from facenas.remote.remote_agent import RemoteAgent
from facenas.runtimes.runtime import read_fingerprint


def test_a_device_over_ssh_measures_as_this_machine_does_and_is_left_clean(server: SshServer) -> None:
    with remote("127.0.0.1") as agent:
        assert agent.fingerprint == read_fingerprint(CPU)
        folders = list(server.device_folder.iterdir())
        assert len(folders) == 1
        assert (folders[0] / "agent.pyz").read_bytes() == agent_file()
        by_layer = agent.measure(DETECTOR, SIZE, runs=3, layers=True)
        end_to_end = agent.measure(DETECTOR, SIZE, runs=3, layers=False)
        assert set(by_layer.layers_ns) == {layer.name for layer in build_graph(DETECTOR, SIZE).layers}
        assert all(len(times) == 3 for times in by_layer.layers_ns.values())
        assert len(end_to_end.end_to_end_ns) == 3
    assert wait_until_empty(server.device_folder) == []
    assert server.connections == 1


def test_openvino_is_measured_through_the_agent() -> None:
    with remote(target=resolve_target("cpu-openvino")) as agent:
        sample = agent.measure(DETECTOR, SIZE, runs=2, layers=True)
        assert set(sample.layers_ns) <= {layer.name for layer in build_graph(DETECTOR, SIZE).layers}
        assert len(agent.measure(DETECTOR, SIZE, runs=2, layers=False).end_to_end_ns) == 2


def test_an_agent_that_arrives_damaged_is_not_run(server: SshServer) -> None:
    server.spoil_at = 2000
    with pytest.raises(ConnectionLostError, match="SHA-256 differs"), remote("127.0.0.1") as agent:
        agent.connect()
    assert wait_until_empty(server.device_folder) == []


def test_a_profile_whose_connection_is_cut_at_20_moments_loses_and_doubles_nothing(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(carriers_per_operator=1, calibration_networks=4, seconds=0.0, least_rounds=4, published=False)
    generator = random.Random(7)
    armed: list[bool] = []
    lines: list[dict[str, object]] = []

    def arm(done: int, total: int) -> None:
        if not armed:
            armed.append(True)
            server.cuts = iter([generator.randrange(1, 700_000) for _ in range(19)])
        if len(armed) == 1 and agent._session is not None and server.cuts_done == 0:
            armed.append(True)
            agent._session._pipe._process.kill()  # the first cut: of the connection that there is
        lines[:] = map(json.loads, (tmp_path / "t.json.journal").read_text().splitlines()[1:])

    agent = RemoteAgent(CPU, transport_for("127.0.0.1"), python=sys.executable, retry_delays_s=(0.01,) * 20)
    table = profile(agent, tiny_space(), TINY_INPUT, tmp_path / "t.json", plan=plan, progress=arm)
    assert server.cuts_done >= 19  # both directions of a connection may notice its cut
    visits = [(line["round"], line["network"]) for line in lines]
    assert len(visits) == len(set(visits))
    networks = profiler.networks_to_visit(tiny_space(), TINY_INPUT, plan)
    carriers = sum(network.layers for network in networks)
    regular = [visit for visit in visits if visit[0] < plan.least_rounds]  # type: ignore[operator]
    assert len(regular) == plan.least_rounds * (len(networks) - carriers) + plan.least_rounds * carriers // 2
    assert not table.failures
    assert set(table.operators) >= tiny_space().operators(TINY_INPUT)
    assert wait_until_empty(server.device_folder) == []


def test_a_device_that_stays_away_ends_the_profile_with_a_line_and_resume_goes_on(tmp_path: Path) -> None:
    plan = Plan(carriers_per_operator=1, calibration_networks=3, seconds=0.0, least_rounds=2, published=False)
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    out = tmp_path / "t.json"

    def vanish(done: int, total: int) -> None:
        if python.is_symlink():
            python.unlink()
            python.write_text("#!/bin/sh\nkill -9 $PPID\n")
            python.chmod(0o755)
            assert agent._session is not None
            os.killpg(agent._session._pipe._process.pid, signal.SIGKILL)

    with (
        pytest.raises(DeviceError, match="--resume"),
        remote(python=_venv_wrapper(tmp_path, python)) as agent,
    ):
        profile(agent, tiny_space(), TINY_INPUT, out, plan=plan, progress=vanish)
    before = (tmp_path / "t.json.journal").read_text().splitlines()
    assert len(before) == 2
    with pytest.raises(InputError, match="--resume"), remote() as agent:
        profile(agent, tiny_space(), TINY_INPUT, out, plan=plan)
    with remote() as agent:
        profile(agent, tiny_space(), TINY_INPUT, out, plan=plan, resume=True)
    assert out.exists()


def _venv_wrapper(tmp_path: Path, inner: Path) -> str:
    """A script that runs this Python for as long as `inner` is a link to it, and else `inner`."""
    script = tmp_path / "wrapper"
    script.write_text(f'#!/bin/sh\n[ -L {inner} ] && exec {sys.executable} "$@"\nexec {inner} "$@"\n')
    script.chmod(0o755)
    return str(script)


def test_the_command_line_profiles_through_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through `local`, with a device kept for the purpose; the second profile of one table is refused."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    command = [sys.executable, "-m", "facenas.cli.main"]

    def facenas(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *words], capture_output=True, text=True, cwd=tmp_path, env=os.environ, check=False
        )

    assert facenas("profile", "--device", "jetson").returncode == 2
    added = facenas(
        "device", "add", "box", "--host", "local", "--runtime", "onnxruntime", "--python", "/nowhere/python"
    )
    assert added.returncode == 0
    with only_one(tmp_path / "latency_tables/box.json.lock", "x"):
        second = facenas("profile", "--device", "box")
    assert second.returncode == 2
    assert "is running already" in second.stderr
    refused = facenas("profile", "--device", "box")
    assert refused.returncode == 2
    assert "there is no '/nowhere/python' on local" in refused.stderr


def test_an_fp16_device_of_ones_own_is_sent_half_precision_and_its_layers_are_read(tmp_path: Path) -> None:
    agent = f"""
    import onnx
    models = {{}}
    while frame := read_frame(stdin):
        message, data = frame
        if message["operation"] == "compile":
            models[message["model"]] = onnx.load_from_string(data)
            open({str(tmp_path / "sent.onnx")!r}, "wb").write(data)
            reply = {{}}
        elif message["model"] not in models:
            reply = {{"error": "unknown-model"}}
        elif message["operation"] == "time":
            reply = {{"times_ns": [9000] * message["runs"], "state": state()}}
        else:
            names = [node.name for node in models[message["model"]].graph.node if node.op_type == "Conv"]
            reply = {{"rows": [dict.fromkeys(names, 1000)] * message["runs"], "state": state()}}
        out.write(pack_frame(reply))
        out.flush()
    """
    python = fake_device(tmp_path, HELLO + textwrap.dedent(agent))
    own = OwnDevice("nano", "local", "tensorrt", "fp16", python=python)
    with remote(own.host, python, own.target) as device:
        assert device.measure(DETECTOR, SIZE, runs=3, layers=False).end_to_end_ns == (9000,) * 3
        layers_ns = device.measure(DETECTOR, SIZE, runs=2, layers=True).layers_ns
        assert (device.fingerprint.runtime, device.fingerprint.precision) == ("tensorrt", "fp16")
    sent = onnx.load(tmp_path / "sent.onnx")
    convolutions = {node.name.partition("/")[0] for node in sent.graph.node if node.op_type == "Conv"}
    assert {name for name, times in layers_ns.items() if times == [1000] * 2} == convolutions
    weights = {name for node in sent.graph.node if node.op_type == "Conv" for name in node.input[1:]}
    kinds = {tensor.data_type for tensor in sent.graph.initializer if tensor.name in weights}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert sent.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
