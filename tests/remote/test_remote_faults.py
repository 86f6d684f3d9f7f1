"""Devices elsewhere that hang, crash, lie, lack something or have a full disk."""

import shutil
import sys
from pathlib import Path

import pytest
from helpers.far_devices import DETECTOR, HELLO, SIZE, fake_device, remote

from facenas.errors import AgentError, DeviceError


def test_an_agent_that_hangs_is_given_up_after_the_second_time(tmp_path: Path) -> None:
    asked = f"read_frame(stdin)\nopen({str(tmp_path / 'asked')!r}, 'a').write('once ')\ntime.sleep(1.5)\n"
    python = fake_device(tmp_path, HELLO + asked)
    with (
        pytest.raises(DeviceError, match=r"gave no answer in time.*--resume"),
        remote(python=python, timeout_s=1, patience_s=0.2) as agent,
    ):
        agent.measure(DETECTOR, SIZE, runs=1, layers=False)
    assert (tmp_path / "asked").read_text() == "once once "


def test_a_runtime_that_hangs_is_ended_by_the_devices_own_alarm(tmp_path: Path) -> None:
    agent = """
    import facenas.on_device.device_runtimes as runtimes
    from facenas.on_device import device_agent
    runtimes.OnnxRuntime.time = lambda self, compiled, runs: time.sleep(3600)
    device_agent.main()
    """
    with remote(python=fake_device(tmp_path, agent), timeout_s=5) as device:  # more than a real answer takes
        with pytest.raises(AgentError, match="took more than 5 s"):
            device.measure(DETECTOR, SIZE, runs=1, layers=False)
        assert device.measure(DETECTOR, SIZE, runs=1, layers=True).layers_ns


def test_a_runtime_that_crashes_costs_one_network(tmp_path: Path) -> None:
    agent = """
    import facenas.on_device.device_runtimes as runtimes
    from facenas.on_device import device_agent
    runtimes.OnnxRuntime.time = lambda self, compiled, runs: os.kill(os.getpid(), 11)
    print("noise of a runtime")
    device_agent.main()
    """
    with remote(python=fake_device(tmp_path, agent)) as device:
        with pytest.raises(AgentError, match="SIGSEGV"):
            device.measure(DETECTOR, SIZE, runs=1, layers=False)
        assert device.measure(DETECTOR, SIZE, runs=1, layers=True).layers_ns


def test_what_a_runtime_never_should_raise_costs_one_network_too(tmp_path: Path) -> None:
    agent = """
    import facenas.on_device.device_runtimes as runtimes
    from facenas.on_device import device_agent
    runtimes.OnnxRuntime.time = lambda self, compiled, runs: {}["no such key"]
    device_agent.main()
    """
    with remote(python=fake_device(tmp_path, agent)) as device:
        with pytest.raises(AgentError, match="KeyError: 'no such key'"):
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
        ("None", "0 times for 2 runs"),
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
