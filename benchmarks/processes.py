"""Commands of facenas as processes of a benchmark, from a checkout that need not be installed."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class StoppedError(Exception):
    """What cannot go on, in words."""


def package_of(root: Path, folder: Path) -> Path:
    """The package as an installation lays it out, by links, for a checkout that is not installed."""
    package = folder / "facenas"
    shutil.rmtree(folder, ignore_errors=True)
    package.mkdir(parents=True)
    for path in (*(root / "facenas").iterdir(), root / "exporters", root / "latency_tables"):
        (package / path.name).symlink_to(path)
    return folder


def begin(words: Sequence[str | Path], cwd: Path, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    """Start a Python command; `finish` brings what it tells."""
    command, pipe = [sys.executable, *map(str, words)], subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, env=environment, text=True, stdout=pipe, stderr=pipe)


def finish(process: "subprocess.Popen[str]", most_s: float) -> subprocess.CompletedProcess[str]:
    """What a process that was begun told, stopped by Ctrl-C where it takes longer."""
    with process:
        try:
            out, err = process.communicate(timeout=max(1.0, most_s))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                out, err = process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def told_by(done: subprocess.CompletedProcess[str]) -> Any:
    """The JSON that a verb printed. Raises StoppedError with its last line where it failed."""
    if done.returncode or not done.stdout.strip():
        raise StoppedError(last_line(done))
    return json.loads(done.stdout)


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that it wrote of an error."""
    lines = [line for line in done.stderr.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"ended with code {done.returncode}"
