"""A Ray that `rank` starts is reached from this machine only, and runs no code of the folder that it is started in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from facenas.ranking.workers import ray_installed

_SCRIPT = """
import json, os
from pathlib import Path
from facenas.ranking.workers import workers

def tree(pid):
    children = [int(p.name) for p in Path("/proc").glob("[0-9]*") if parent(p) == pid]
    return [pid, *(each for child in children for each in tree(child))]

def parent(process):
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1

def inodes(pid):
    for fd in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            yield os.readlink(fd).removeprefix("socket:[").rstrip("]")
        except OSError:
            pass

with workers(None) as (run_tasks, where):
    import ray
    print("LOADED", ray.get(ray.remote(lambda: __import__("numpy").__file__).remote()))
    mine = {inode for pid in tree(os.getpid()) for inode in inodes(pid)}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in mine:
                print("LISTENS", fields[1].partition(":")[0])
"""
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


@pytest.mark.skipif(not ray_installed(), reason="Ray is not installed (extra `cluster`)")
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="no /proc to see the ports of a process in")
def test_all_ports_are_on_loopback_and_no_foreign_code_runs(tmp_path: Path) -> None:
    for name in ("numpy", "json", "filelock", "psutil"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').write(__file__)")
    (tmp_path / "script.py").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-P", "-c", _SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("LISTENS")}
    assert found
    assert found <= LOOPBACK
    assert "site-packages" in next(line for line in done.stdout.splitlines() if line.startswith("LOADED"))
    assert not (tmp_path / "ran").exists()
