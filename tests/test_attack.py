"""Damaged files of every kind that comes from outside are read or refused in one line: no traceback, no hang, no flood of
memory. `make test-all` runs hundreds of each; `python tests/test_attack.py` prints the figures as a table."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import pytest
from helpers import attack
from helpers.attacked_files import KINDS

PATIENCE_S = 30.0
START_S = 300.0  # for imports and the honest file, on however busy a machine
MAX_GROWN_MB = 100
CASES = 200
SCRIPT = Path(attack.__file__)


def attacked(kind: str, cases: int, folder: Path) -> list[dict[str, Any]]:
    """What each case came to; a process that dies or takes longer than half a minute is a case, too, and is started anew."""
    told: list[dict[str, Any]] = []
    while len(told) < cases:
        command = [sys.executable, "-P", str(SCRIPT), kind, str(len(told)), str(cases - len(told)), str(folder)]
        environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            lines: Queue[str] = Queue()
            errors: list[str] = []
            Thread(target=lambda into=lines, of=process: [*map(into.put, of.stdout), into.put("")], daemon=True).start()
            Thread(target=lambda into=errors, of=process: into.append(of.stderr.read()), daemon=True).start()
            patience_s = START_S
            while len(told) < cases:
                try:
                    line = lines.get(timeout=patience_s)
                except Empty:
                    process.kill()
                    told.append(
                        {"case": len(told), "outcome": "hang", "words": "", "seconds": patience_s, "grown_mb": 0}
                    )
                    break
                if not line:
                    words = f"exit code {process.wait()}: {''.join(errors)[-2000:]}"
                    assert patience_s != START_S, f"{kind}: no case was begun: {words}"
                    told.append({"case": len(told), "outcome": "died", "words": words, "seconds": 0, "grown_mb": 0})
                    break
                if not line.startswith("{"):
                    print("on stdout:", line)
                    continue
                told.append(json.loads(line))
                patience_s = PATIENCE_S
    return told


def bad(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in told if each["outcome"] not in ("read", "refused") or each["grown_mb"] > MAX_GROWN_MB]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    told = attacked(kind, CASES, tmp_path)
    assert len(told) == CASES
    if kind != "run folders":  # whose pieces are named on the page where they cannot be used
        assert sum(each["outcome"] == "refused" for each in told) > CASES // 20
    found = bad(told)
    assert not found, json.dumps(found[:3], indent=1)


if __name__ == "__main__":
    names, number = (
        [name for name in KINDS if not sys.argv[2:] or name in sys.argv[2:]],
        int((sys.argv[1:] or ["200"])[0]),
    )
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            results = attacked(name, number, Path(place))
        counts = Counter(each["outcome"] for each in results)
        most = max(each["grown_mb"] for each in results)
        print(f"{name}: {dict(counts)}; grown by {most} MB at most", flush=True)
        for ending in {each["words"].strip().splitlines()[-1][:150] for each in bad(results) if each["words"].strip()}:
            first = next(each for each in bad(results) if ending in each["words"])
            place = "".join(first["words"].strip().splitlines()[-3:-1])[:300]
            print("   ", first["case"], ending, "<-", place, flush=True)
