"""The agent that runs on devices: what it is made of, and what random frames do to it."""

import ast
import random
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO, cast

from facenas.on_device import frames
from facenas.on_device.frames import GREETING, pack_frame, read_frame
from facenas.remote.agent_session import agent_file


def test_what_runs_on_devices_is_python_3_8_and_needs_nothing_else_of_facenas() -> None:
    folder = Path(frames.__file__).parent
    modules = {path.stem: path.read_text() for path in folder.glob("*.py")}
    for name, text in modules.items():
        for node in ast.walk(ast.parse(text, feature_version=(3, 8))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("facenas"):
                assert (node.module or "").startswith("facenas.on_device"), (name, node.module)
    assert {"device_agent", "tensorrt_engine"} < set(modules)


def test_10_000_random_frames_neither_end_nor_swell_the_agent(tmp_path: Path) -> None:
    (tmp_path / "agent.pyz").write_bytes(agent_file())
    process = subprocess.Popen(
        [sys.executable, tmp_path / "agent.pyz"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    to_agent, from_agent = cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout)
    assert from_agent.readline() == GREETING
    generator = random.Random(3)
    operations = ["hello", "compile", "time", "layers", "close ", "exec", "__init__", None, 7, ["time"], {"a": 1}]
    values = [0, 1, -1, 2**70, 1.5, "x", None, True, [], {}, "onnxruntime", "fp32", "a" * 300]
    names = ["version", "runtime", "precision", "threads", "model", "runs", "seconds", "graph"]

    def exchange(message: dict[str, object], data: bytes = b"") -> dict[str, object]:
        to_agent.write(pack_frame(message, data))
        to_agent.flush()
        reply = read_frame(from_agent)
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
    to_agent.write(generator.randbytes(100))
    to_agent.close()
    assert b"frame" in from_agent.read()
    from_agent.close()
    assert process.wait(30) == 3
