"""Devices elsewhere for tests: reached through a pipe, or played by a script that stands for their Python."""

import sys
import textwrap
import time
from pathlib import Path

from facenas.architecture import parse_architecture
from facenas.devices.host import transport_for
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.remote.agent_session import PATIENCE_S
from facenas.remote.remote_agent import RemoteAgent
from facenas.units import Size

SIZE = Size(64, 64)
CPU = resolve_target("cpu")
DETECTOR = parse_architecture(
    "SuperConvK3BNRELU(3,16,2,1)SuperConvK3BNRELU(16,16,2,1)SuperConvK3BNRELU(16,16,2,1)"
    "SuperConvK3BNRELU(16,16,2,1)SuperConvK3BNRELU(16,16,2,1)PAFPN(16)HeadDW(16,1)"
)


def remote(
    host: str = "local",
    python: str = sys.executable,
    target: Target = CPU,
    timeout_s: float = 60,
    patience_s: float = PATIENCE_S,
) -> RemoteAgent:
    return RemoteAgent(
        target,
        transport_for(host),
        python=python,
        timeout_s=timeout_s,
        retry_delays_s=(0.01,) * 4,
        patience_s=patience_s,
        note=lambda _: None,
    )


def wait_until_empty(folder: Path) -> list[Path]:
    """What is left in a folder after a device had time to clean up, on however busy a machine."""
    deadline = time.monotonic() + 240
    while list(folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return list(folder.iterdir())


def fake_device(tmp_path: Path, agent: str) -> str:
    """A `python` that receives the agent as a real one does, but then runs another in its place."""
    (tmp_path / "agent.py").write_text(
        f"import os, sys, time\nsys.path.insert(0, sys.argv[1])\n"
        f"from facenas.on_device.frames import GREETING, pack_frame, read_frame\n{textwrap.dedent(agent)}"
    )
    script = tmp_path / "python"
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = -I ]; then exec {sys.executable} "$@"; fi\n'
        f'exec {sys.executable} {tmp_path}/agent.py "$1"\n'
    )
    script.chmod(0o755)
    return str(script)


HELLO = """
out, stdin = sys.stdout.buffer, sys.stdin.buffer
from facenas.on_device.device_facts import facts, state
out.write(GREETING)
out.flush()
read_frame(stdin)
told = facts()
told.update(runtime_version="1")
out.write(pack_frame({"facts": told, "state": state()}))
out.flush()
"""
