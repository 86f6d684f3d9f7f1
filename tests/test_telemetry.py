"""Nothing is asked of any host, and nothing is left in the home folder, by the libraries that a detector runs on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Every name that the process, whatever library does it, asks the system to resolve.
_RECORDER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    FILE *file = fopen(getenv("RECORDED_NAMES"), "a");
    if (file) { fprintf(file, "%s\n", node ? node : "-"); fclose(file); }
    return EAI_FAIL;
}
"""
_USE = """
import socket, time
import numpy as np
import facenas
detector = facenas.FaceDetector("facenas-5ms")
photo = np.zeros((48, 64, 3), np.uint8)
for _ in range(5):
    detector(photo)
import openvino, nncf, openvino.tools.ovc
facenas.export("facenas-12ms", "openvino", out="model.xml")
time.sleep(3)  # what is sent is sent from threads
if "--ask" in __import__("sys").argv:
    try:
        socket.getaddrinfo("recorded.invalid", 80)
    except OSError:
        pass
"""


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler, so no resolver can be put in the system's place")
    folder = tmp_path_factory.mktemp("recorder")
    (folder / "recorder.c").write_text(_RECORDER)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "recorder.so", folder / "recorder.c"], check=True)
    return folder / "recorder.so"


def names_asked_for(recorder: Path, folder: Path, *arguments: str, **environment: str) -> tuple[list[str], list[str]]:
    """Host names that a detector's process asks for, and what it leaves in the home folder."""
    home = folder / "home"
    home.mkdir()
    recorded = folder / "names"
    settings = {"LD_PRELOAD": str(recorder), "RECORDED_NAMES": str(recorded), "HOME": str(home), **environment}
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "FACENAS_TELEMETRY", "XDG_"))
    }
    command = [sys.executable, "-P", "-c", _USE, *arguments]
    subprocess.run(command, check=True, cwd=folder, env=kept | settings, capture_output=True)
    names = recorded.read_text().split() if recorded.exists() else []
    return names, sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())


def test_no_host_is_asked_for_and_no_identity_is_left(recorder: Path, tmp_path: Path) -> None:
    assert names_asked_for(recorder, tmp_path, "--ask") == (["recorded.invalid"], [])


@pytest.mark.slow
def test_it_can_be_allowed(recorder: Path, tmp_path: Path) -> None:
    names, left = names_asked_for(recorder, tmp_path, FACENAS_TELEMETRY="allow")
    assert names or left
