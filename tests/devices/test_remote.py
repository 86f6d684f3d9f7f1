import ast
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from devices.ssh_server import SshServer, ssh_server
from tiny_tables import TINY_INPUT, tiny_space

from facenas.architecture import parse_detector
from facenas.devices import session as session_module
from facenas.devices.agent import AgentError
from facenas.devices.fingerprint import read_fingerprint
from facenas.devices.frames import GREETING, FrameError, pack_frame
from facenas.devices.remote import RemoteAgent
from facenas.devices.session import AGENT_MODULES, agent_file
from facenas.devices.targets import Target, resolve_target
from facenas.devices.transport import ConnectionLostError, DeviceError, transport_for
from facenas.errors import InputError, MissingPackageError
from facenas.graph import build_graph
from facenas.latency import profiler
from facenas.latency.profiler import Plan, profile
from facenas.units import Size

SIZE = Size(64, 64)
CPU = resolve_target("cpu")
DETECTOR = parse_detector(
    "SuperConvK3BNRELU(3,16,2,1)SuperConvK3BNRELU(16,16,2,1)SuperConvK3BNRELU(16,16,2,1)"
    "SuperConvK3BNRELU(16,16,2,1)SuperConvK3BNRELU(16,16,2,1)PAFPN(16)HeadDW(16,1)"
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    with ssh_server(tmp_path, monkeypatch) as running:
        yield running


def remote(
    host: str = "local", python: str = sys.executable, target: Target = CPU, timeout_s: float = 60
) -> RemoteAgent:
    return RemoteAgent(
        target, transport_for(host), python=python, timeout_s=timeout_s, retry_delays_s=(0.01,) * 4, note=lambda _: None
    )


def wait_until_empty(folder: Path) -> list[Path]:
    """What is left in a folder after a device had time to clean up."""
    deadline = time.monotonic() + 20
    while list(folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return list(folder.iterdir())


def fake_device(tmp_path: Path, agent: str) -> str:
    """A `python` that receives the agent as a real one does, but then runs another in its place."""
    (tmp_path / "agent.py").write_text(
        f"import os, sys, time\nsys.path.insert(0, sys.argv[1])\n"
        f"from facenas.devices.frames import GREETING, pack_frame, read_frame\n{textwrap.dedent(agent)}"
    )
    script = tmp_path / "python"
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = -c ]; then exec {sys.executable} "$@"; fi\n'
        f'exec {sys.executable} {tmp_path}/agent.py "$1"\n'
    )
    script.chmod(0o755)
    return str(script)


HELLO = """
out, stdin = sys.stdout.buffer, sys.stdin.buffer
from facenas.devices.device_facts import facts, state
out.write(GREETING)
out.flush()
read_frame(stdin)
told = facts()
told.update(runtime_version="1")
out.write(pack_frame({"facts": told, "state": state()}))
out.flush()
"""


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
    table = profile(CPU, tiny_space(), TINY_INPUT, tmp_path / "t.json", plan=plan, remote=agent, progress=arm)
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
        profile(CPU, tiny_space(), TINY_INPUT, out, plan=plan, remote=agent, progress=vanish)
    before = (tmp_path / "t.json.journal").read_text().splitlines()
    assert len(before) == 2
    with pytest.raises(InputError, match="--resume"), remote() as agent:
        profile(CPU, tiny_space(), TINY_INPUT, out, plan=plan, remote=agent)
    with remote() as agent:
        profile(CPU, tiny_space(), TINY_INPUT, out, plan=plan, resume=True, remote=agent)
    assert out.exists()


def _venv_wrapper(tmp_path: Path, inner: Path) -> str:
    """A script that runs this Python for as long as `inner` is a link to it, and else `inner`."""
    script = tmp_path / "wrapper"
    script.write_text(f'#!/bin/sh\n[ -L {inner} ] && exec {sys.executable} "$@"\nexec {inner} "$@"\n')
    script.chmod(0o755)
    return str(script)


def test_an_agent_that_hangs_is_given_up_after_the_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "PATIENCE_S", 0.2)
    python = fake_device(tmp_path, HELLO + "read_frame(stdin)\ntime.sleep(1.5)\n")
    start = time.monotonic()
    with (
        pytest.raises(DeviceError, match=r"gave no answer in time.*--resume"),
        remote(python=python, timeout_s=1) as agent,
    ):
        agent.measure(DETECTOR, SIZE, runs=1, layers=False)
    assert time.monotonic() - start < 60


def test_a_runtime_that_hangs_is_ended_by_the_devices_own_alarm(tmp_path: Path) -> None:
    agent = """
    import facenas.devices.device_runtimes as runtimes
    from facenas.devices import remote_agent
    runtimes.OnnxRuntime.time = lambda self, compiled, runs: time.sleep(3600)
    remote_agent.main()
    """
    with remote(python=fake_device(tmp_path, agent), timeout_s=1) as device:
        with pytest.raises(AgentError, match="took more than 1 s"):
            device.measure(DETECTOR, SIZE, runs=1, layers=False)
        assert device.measure(DETECTOR, SIZE, runs=1, layers=True).layers_ns


def test_a_runtime_that_crashes_costs_one_network(tmp_path: Path) -> None:
    agent = """
    import facenas.devices.device_runtimes as runtimes
    from facenas.devices import remote_agent
    runtimes.OnnxRuntime.time = lambda self, compiled, runs: os.kill(os.getpid(), 11)
    print("noise of a runtime")
    remote_agent.main()
    """
    with remote(python=fake_device(tmp_path, agent)) as device:
        with pytest.raises(AgentError, match="SIGSEGV"):
            device.measure(DETECTOR, SIZE, runs=1, layers=False)
        assert device.measure(DETECTOR, SIZE, runs=1, layers=True).layers_ns


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("sys.stdout.buffer.write(b'facenas-agent 2\\n')", "speaks version 2"),
        ("sys.stdout.buffer.write(GREETING + os.urandom(4096))", "damaged"),
        ("sys.stdout.buffer.write(GREETING + b'FNAS' + b'\\xff' * 8)", "longer than"),
        ("sys.stdout.buffer.write(GREETING + pack_frame({})[:-1] + b'!')", "damaged"),
        ("sys.stdout.buffer.write(os.urandom(1 << 22))", "ended|speaks|nobody asked|cannot be reached"),
        ("sys.exit('no such thing')", "exit code 1: no such thing"),
    ],
)
def test_what_is_no_agent_is_refused_in_words(tmp_path: Path, agent: str, words: str) -> None:
    code = agent + "\nsys.stdout.buffer.flush()\ntime.sleep(0.1)\n"
    with pytest.raises(DeviceError, match=words), remote(python=fake_device(tmp_path, code)) as device:
        device.connect()


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ("[0, 5000]", "absurd times"),
        ("[-5, 5000]", "absurd times"),
        ("[5000, 3600 * 10**9]", "absurd times"),
        ("[5000]", "1 times for 2 runs"),
        ("None", "no measurement"),
        ("['x', 'y']", "times for 2 runs"),
    ],
)
def test_absurd_times_are_refused(tmp_path: Path, times: str, words: str) -> None:
    agent = HELLO + f"read_frame(stdin)\nout.write(pack_frame({{'times_ns': {times}, 'state': {{}}}}))\nout.flush()\n"
    agent += "read_frame(stdin)\n"
    with pytest.raises(DeviceError, match=words), remote(python=fake_device(tmp_path, agent)) as device:
        device.measure(DETECTOR, SIZE, runs=2, layers=False)


def limited_disk(tmp_path: Path, kilobytes: int) -> str:
    script = tmp_path / "limited"
    script.write_text(f'#!/bin/bash\nulimit -f {kilobytes}\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash, whose ulimit stands for a full disk")
@pytest.mark.parametrize("kilobytes", [4, 48])
def test_a_full_disk_there_is_said(tmp_path: Path, kilobytes: int) -> None:
    """First there is no room for the agent, then none for a runtime's profile."""
    with (
        pytest.raises(DeviceError, match=r"the disk of local .*free it, then go on with --resume"),
        remote(python=limited_disk(tmp_path, kilobytes)) as agent,
    ):
        agent.measure(DETECTOR, SIZE, runs=200, layers=True)


def test_what_is_missing_there_is_named(tmp_path: Path) -> None:
    def python_without(module: str) -> str:
        folder = tmp_path / module
        folder.mkdir()
        (folder / f"{module}.py").write_text(f"raise ImportError('No module named {module}')\n")
        script = folder / "python"
        script.write_text(f'#!/bin/sh\nPYTHONPATH={folder} exec {sys.executable} "$@"\n')
        script.chmod(0o755)
        return str(script)

    for module in ("numpy", "onnxruntime"):
        with (
            pytest.raises(DeviceError, match=f"{module}.* pip install {module}"),
            remote(python=python_without(module)) as a,
        ):
            a.connect()
    with (
        pytest.raises(DeviceError, match=r"there is no 'no-python'.*apt install python3"),
        remote(python="no-python") as a,
    ):
        a.connect()


def test_a_host_that_cannot_be_reached_or_trusted_is_said(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def words() -> str:
        with pytest.raises(DeviceError) as caught, remote("127.0.0.1") as agent:
            agent.connect()
        return str(caught.value)

    (tmp_path / "known_hosts").write_text("")
    assert "host key of 127.0.0.1 is not known" in words()
    (tmp_path / "known_hosts").write_text(server.known_hosts())
    (tmp_path / "id").rename(tmp_path / "hidden")
    assert "ssh-copy-id" in words()
    script = (tmp_path / "bin/ssh").read_text()
    (tmp_path / "bin/ssh").write_text(script.replace(f"-p {server.port}", "-p 1"))
    assert "cannot be reached" in words()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match="OpenSSH"), remote("127.0.0.1") as agent:
        agent.connect()


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "a b", "user@", "a;b", "$(x)", "adb:"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="write user@host"):
        transport_for(host)


def test_adb_is_asked_for_its_shell() -> None:
    assert transport_for("adb:R58").prefix == ("adb", "-s", "R58", "shell", "-T")


def test_what_runs_on_devices_is_python_3_8_and_needs_nothing_else_of_facenas() -> None:
    folder = Path(session_module.__file__).parent
    allowed = {f"facenas.devices.{name}" for name in AGENT_MODULES} | {"facenas.devices"}
    for name in AGENT_MODULES:
        tree = ast.parse((folder / f"{name}.py").read_text(), feature_version=(3, 8))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("facenas"):
                assert node.module in allowed, (name, node.module)


def test_10_000_random_frames_neither_end_nor_swell_the_agent(tmp_path: Path) -> None:
    (tmp_path / "agent.pyz").write_bytes(agent_file())
    process = subprocess.Popen(
        [sys.executable, tmp_path / "agent.pyz"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    from facenas.devices.frames import read_frame

    assert process.stdout.readline() == GREETING
    generator = random.Random(3)
    operations = ["hello", "compile", "time", "layers", "close ", "exec", "__init__", None, 7, ["time"], {"a": 1}]
    values = [0, 1, -1, 2**70, 1.5, "x", None, True, [], {}, "onnxruntime", "fp32", "a" * 300]
    names = ["version", "runtime", "precision", "threads", "model", "runs", "seconds", "graph"]

    def exchange(message: dict[str, object], data: bytes = b"") -> dict[str, object]:
        process.stdin.write(pack_frame(message, data))
        process.stdin.flush()
        reply = read_frame(process.stdout)
        assert reply is not None
        return reply[0]

    hello = {
        "operation": "hello",
        "version": 1,
        "runtime": "onnxruntime",
        "precision": "fp32",
        "threads": 1,
        "seconds": 60,
    }
    assert "facts" in exchange(hello)
    resident = []
    for number in range(10_000):
        if number in (1000, 9999):
            status = Path(f"/proc/{process.pid}/status").read_text()
            resident.append(int(status.split("VmRSS:")[1].split()[0]))
        message = {name: generator.choice(values) for name in generator.sample(names, generator.randrange(8))}
        message["operation"] = generator.choice(operations)
        if message["operation"] == "hello":
            message["threads"] = 0  # a whole hello is slow, and was tested
        assert "error" in exchange(message, generator.randbytes(generator.randrange(200)))
    assert resident[1] - resident[0] < 4096  # KiB
    process.stdin.write(generator.randbytes(100))
    process.stdin.close()
    assert b"frame" in process.stdout.read()
    process.stdout.close()
    assert process.wait(30) == 3


def test_10_000_random_frames_are_refused_without_taking_memory() -> None:
    import io
    import tracemalloc

    from facenas.devices.frames import read_frame

    generator = random.Random(5)
    good = pack_frame({"operation": "time"}, b"data")
    tracemalloc.start()
    for _ in range(10_000):
        frame = bytearray(good if generator.random() < 0.7 else generator.randbytes(60))
        for _ in range(generator.randrange(1, 4)):
            frame[generator.randrange(len(frame))] = generator.randrange(256)
        with pytest.raises(FrameError) if bytes(frame) != good else _nothing():
            read_frame(io.BytesIO(bytes(frame)))
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


class _nothing:  # noqa: N801 - stands for a function
    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


def test_the_command_line_profiles_through_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through `local`, with a device kept for the purpose; the second profile of one table is refused."""
    from facenas.latency.lock import only_one

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
