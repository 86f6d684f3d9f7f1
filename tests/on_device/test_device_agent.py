"""The agent that runs on devices: what it is made of, and what random frames do to it."""

import ast
import hashlib
import random
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO, cast

from facenas.exporters.onnx import onnx_of_checkpoint
from helpers.random_networks import TINY, confident_checkpoint

from facenas.on_device import frames
from facenas.on_device.frames import GREETING, pack_frame, read_frame
from facenas.remote.agent_session import agent_file
from facenas.units import Size

SHAPE = [1, 3, 32, 32]


def random_model() -> bytes:
    """A small exported file."""
    return bytes(onnx_of_checkpoint(confident_checkpoint(TINY, Size(32, 32)), dynamic=False).SerializeToString())


def test_what_runs_on_devices_is_python_3_8_and_needs_nothing_else_of_facenas() -> None:
    folder = Path(frames.__file__).parent
    modules = {path.stem: path.read_text() for path in folder.glob("*.py")}
    for name, text in modules.items():
        for node in ast.walk(ast.parse(text, feature_version=(3, 8))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("facenas"):
                assert (node.module or "").startswith("facenas.on_device"), (name, node.module)
    assert {"device_agent", "tensorrt_engine"} < set(modules)


def test_20_000_random_frames_neither_end_nor_swell_the_agent(tmp_path: Path) -> None:
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
    operations: list[object] = [
        "hello",
        "compile",
        "load",
        "build",
        "run",
        "time",
        "layers",
        "close ",
        "exec",
        "__init__",
        None,
        7,
        ["run"],
    ]
    more: list[object] = ["load", "build", "run", {"a": 1}]
    operations += more
    values: list[object] = [
        0,
        1,
        -1,
        2**70,
        1.5,
        "x",
        None,
        True,
        [],
        {},
        "onnxruntime",
        "fp32",
        "a" * 300,
        "onnx",
        "trt",
    ]
    values += [[1, 3, 8, 8], [1, 3, 2**40, 8], [1, 3, -8, 8], ["1", 3, 8, 8], {"order": "RGB", "mean": [0, 0, 0]}]
    values += [{"order": "RGB", "mean": ["nan", 0, 0], "standard_deviation": 0}]
    names = ["version", "runtime", "precision", "threads", "model", "runs", "seconds", "graph", "form", "shape"]
    names += ["pixels", "weights_at"]

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
    whole = random_model()
    key = hashlib.sha256(whole).hexdigest()
    assert "error" not in exchange(
        {"operation": "load", "model": key, "form": "onnx", "shape": SHAPE, "seconds": 60}, whole
    )
    for number in range(20_000):
        if number in (2000, 19_999):
            status = Path(f"/proc/{process.pid}/status").read_text()
            resident.append(int(status.split("VmRSS:")[1].split()[0]))
        message = {name: generator.choice(values) for name in generator.sample(names, generator.randrange(8))}
        message["operation"] = generator.choice(operations)
        if message["operation"] == "hello":
            message["threads"] = 0  # a whole hello is slow, and was tested
        data = generator.randbytes(generator.randrange(200))
        if number % 4 == 0:  # as far as it can get: the right model, or the model that was announced
            message["model"] = key if number % 8 else hashlib.sha256(data).hexdigest()
        reply = exchange(message, data)
        assert "error" in reply or (message["operation"] == "time" and message["model"] == key)
    image = bytes(3 * 32 * 32)
    pixels = {"order": "RGB", "mean": [127.5, 127.5, 127.5], "standard_deviation": 128.0}
    run = {"operation": "run", "model": key, "shape": SHAPE, "pixels": pixels, "seconds": 60}
    assert len(exchange(run, image)["outputs"]) == 3  # type: ignore[arg-type]
    assert resident[1] - resident[0] < 4096  # KiB
    to_agent.write(generator.randbytes(100))
    to_agent.close()
    assert b"frame" in from_agent.read()
    from_agent.close()
    assert process.wait(30) == 3
