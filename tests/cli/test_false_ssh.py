"""An `ssh` that lies, in 24 ways: one line with what is wrong and exit code 2; no traceback, no hang, no flood, no escapes."""

import os
import resource
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import Outcome

from facenas.data.image import encode_jpeg
from facenas.devices.host import transport_for
from facenas.devices.own_devices import OwnDevice, add_device
from facenas.errors import ConnectionLostError, DeviceTimeoutError
from facenas.remote.agent_session import Session

Facenas = Callable[..., Outcome]
MAX_GROWN_MB = 100

PROGRAM = """\
#!{python}
import os, sys, threading, time
from facenas.on_device.frames import GREETING, HEADER, pack_frame
out, err = sys.stdout.buffer, sys.stderr.buffer
closed = threading.Event()  # this side was given up
def taken():
    while os.read(0, 65536):
        pass
    closed.set()
if {reads}:
    threading.Thread(target=taken, daemon=True).start()
def say(*parts):
    for part in parts:
        out.write(part)
    out.flush()
def reply(**message):
    say(GREETING, pack_frame(message))
    closed.wait()
FACTS = dict(cpuinfo={{}}, processor="p", machine="m", board="", system="Linux", l4t="", governor="", cores=1,
             runtime_version="1", environment={{}})
{lie}
"""
FLOOD = "part = b'{part}' * (1 << 19)\nfor _ in range(2048): {where}.write(part)"  # 1 GiB and more

LIES = {
    "it ends": "",
    "it ends with an error": "sys.exit(255)",
    "it steers the terminal": r"err.write(b'\x1b[2J\x1b]0;owned\x07no\r\nmore\x1b[31m'); err.flush(); sys.exit(255)",
    "it floods errors": FLOOD.format(part="yy", where="err"),
    "it floods one line": FLOOD.format(part="yy", where="out"),
    "it floods lines": FLOOD.format(part="y\\n", where="out"),
    "it echoes the agent": "for part in iter(lambda: os.read(0, 65536), b''): say(part)",
    "it ended with 6,000 digits": "err.write(b'facenas-agent-exit ' + b'9' * 6000 + b'\\n'); err.flush()",
    "an agent that ended so": "say(GREETING); err.write(b'facenas-agent-exit ' + b'9' * 6000 + b'\\n'); err.flush()",
    "an agent that ended with 999999": "say(GREETING); err.write(b'facenas-agent-exit 999999\\n'); err.flush()",
    "another version, in colours": r"say(b'facenas-agent \x1b[2J9\n'); closed.wait()",
    "it ends after its greeting": "say(GREETING)",
    "a folder that is none": "say(b'facenas-folder /tmp/../etc/facenas-AAAAAAAA\\n', GREETING)",
    "a reply of 4 GB": "say(GREETING, b'FNAS' + b'\\xff' * (HEADER.size - 4)); closed.wait()",
    "a reply that is noise": "say(GREETING, os.urandom(4096)); closed.wait()",
    "an error that is a list": "reply(error=['a'], text=7)",
    "an error without words": "reply(error='unknown-model')",
    "an error in colours": r"reply(error='missing', text='\x1b[2J\x1b]0;x\x07 bad\nline')",
    "an error of 3 MB": "reply(error='missing', text='x' * 3_000_000)",
    "no facts": "reply()",
    "facts that are a list": "reply(facts=[1, 2], state={})",
    "5,000 digits of cores": "reply(facts=dict(FACTS, cores='9' * 5000), state={})",
    "infinitely many cores": "reply(facts=dict(FACTS, cores=float('inf')), state={})",
    "a processor's name of 5 MB": "reply(facts=dict(FACTS, processor='c' * 5_000_000), state={})",
    "a state that is a text": "reply(facts=FACTS, state='hot')",
}


def write_ssh(folder: Path, lie: str, reads: bool = True) -> Path:
    """A program `ssh` in `folder` that does `lie` instead."""
    folder.mkdir()
    path = folder / "ssh"
    path.write_text(PROGRAM.format(python=sys.executable, reads=reads, lie=textwrap.dedent(lie)))
    path.chmod(0o755)
    return folder


@pytest.mark.parametrize("lie", LIES)
def test_a_false_ssh_is_refused_in_one_line(
    lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facenas: Facenas
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    add_device(OwnDevice("pi", "user@pi", "onnxruntime", "fp32"))
    folder = write_ssh(tmp_path / "bin", LIES[lie], reads="echoes" not in lie)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "photo.jpg").write_bytes(encode_jpeg(np.zeros((64, 64, 3), np.uint8), 90))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = facenas("detect", tmp_path / "photo.jpg", "--model", "facenas-12ms", "--device", "pi")
    assert told.code == 2
    assert told.err.count("\n") == 1
    assert "pi" in told.err
    assert not told.out
    assert all(character.isprintable() for character in told.err.rstrip("\n"))
    assert len(told.err) < 1000
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < MAX_GROWN_MB


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        ("while True: say(b'soon\\n'); time.sleep(0.05)", (ConnectionLostError, DeviceTimeoutError)),
        ("time.sleep(600)", DeviceTimeoutError),
    ],
    ids=["a greeting line by line", "silence"],
)
def test_a_greeting_that_never_comes_is_waited_for_only_so_long(
    lie: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line comes in time, the greeting does not."""
    folder = write_ssh(tmp_path / "bin", lie)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    start = time.monotonic()
    with pytest.raises(error):
        Session(transport_for("user@pi"), "python3", start_s=2.0)
    assert time.monotonic() - start < 40  # of 1,000 lines a twentieth of a second each it would be 50
