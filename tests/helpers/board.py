"""A board that is played, behind a fake `ssh` on the PATH, or a GPU in this machine: stand-ins of TensorRT and of the
CUDA driver."""

import ctypes
import importlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]
HOST = "user@board"
VERSIONS = ("8.5.2", "8.6.2", "10.3.0", "10.16.0", "11.1.0")

_SITE = """
import os
if os.environ.get("TENSORRT_STANDIN"):
    import ctypes
    from helpers import cuda_standin
    ctypes.CDLL = cuda_standin.stand_in()
"""
_TENSORRT = "import sys\nfrom helpers import tensorrt_standin\nsys.modules[__name__] = tensorrt_standin\n"


@dataclass(frozen=True)
class Board:
    """A board that answers to `ssh user@board`. `arguments`: what names it on the command line."""

    folder: Path
    python: str = sys.executable

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("--host", HOST, "--python", self.python)

    @property
    def environment(self) -> Path:
        """Lines of shell that run before each command there."""
        return self.folder / "environment.sh"

    def has(self, settings: Mapping[str, str]) -> None:
        """From the next connection on, these environment variables, and no earlier ones."""
        lines = [f"export {name}='{value}'" for name, value in {"TENSORRT_STANDIN": "10.3.0", **settings}.items()]
        self.environment.write_text("\n".join(lines) + "\n")

    def restarts(self) -> None:
        """Everything that runs there ends at once."""
        os.killpg(int((self.folder / "pid").read_text()), signal.SIGKILL)  # a session of its own


def standin_folder(folder: Path) -> Path:
    """A folder that, on PYTHONPATH beside the tests', gives any Python a `tensorrt` and a CUDA driver."""
    path = folder / "standins"
    path.mkdir(parents=True, exist_ok=True)
    (path / "sitecustomize.py").write_text(_SITE)
    (path / "tensorrt.py").write_text(_TENSORRT)
    return path


def board(
    folder: Path, monkeypatch: pytest.MonkeyPatch, version: str = "10.3.0", python: str = sys.executable
) -> Board:
    """Put an `ssh` on the PATH that runs its last word here, as the board would."""
    made = Board(folder / "board", python)
    (made.folder / "tmp").mkdir(parents=True)
    binaries = folder / "board-bin"
    binaries.mkdir()
    path = f"{standin_folder(folder)}{os.pathsep}{TESTS}"
    (binaries / "ssh").write_text(
        "#!/bin/sh\n"
        'for word; do last="$word"; done\n'
        f"export PYTHONPATH='{path}' TMPDIR='{made.folder}/tmp' HOME='{made.folder}'\n"
        f". '{made.environment}'\n"
        f"echo $$ > '{made.folder}/pid'\n"
        'exec sh -c "$last"\n'
    )
    (binaries / "ssh").chmod(0o755)
    made.has({"TENSORRT_STANDIN": version})
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    return made


def gpu_here(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: str) -> Any:
    """This machine has a GPU and TensorRT, in this process and in those that it starts; the GPU (`cuda_standin.Gpu`)."""
    for name, value in {"TENSORRT_STANDIN": "10.3.0", **settings}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(standin_folder(folder)), os.environ.get("PYTHONPATH", ""))))
    for name in ("helpers.cuda_standin", "helpers.tensorrt_standin", "tensorrt"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    cuda = importlib.import_module("helpers.cuda_standin")
    monkeypatch.setitem(sys.modules, "tensorrt", importlib.import_module("helpers.tensorrt_standin"))
    monkeypatch.setattr(ctypes, "CDLL", cuda.stand_in())
    return cuda.GPU


def python_of(version: str, *modules: str) -> str:
    """A Python of that version with these modules, on the PATH, of pyenv, or named by FACENAS_TEST_PYTHON; else skips."""
    candidates = [os.environ.get("FACENAS_TEST_PYTHON"), shutil.which(f"python{version}")]
    candidates += sorted(map(str, Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python")))
    ask = f"import sys{''.join(f', {module}' for module in modules)}; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, candidates):
        done = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return candidate
    pytest.skip(f"no Python {version}{' with ' if modules else ''}{', '.join(modules)} on this machine")
