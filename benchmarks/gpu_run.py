"""A machine that is lent for a while, as benchmarks/on_a_gpu.py uses it: state, time, and commands of facenas."""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from processes import StoppedError, begin, finish, last_line, package_of, told_by

ROOT = Path(__file__).resolve().parents[1]
FACENAS = ("-P", "-m", "facenas.cli.main")


class Lent:
    """A machine that is lent for a while: what was asked, what was reached, the time that is left, and commands of facenas."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.state, self.out = options, options.state.resolve(), options.out.resolve()
        self.deadline: float = time.monotonic() + 60 * options.max_minutes
        self.state.mkdir(parents=True, exist_ok=True)
        places = [str(package_of(ROOT, self.state / "code")), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        self.results: dict[str, Any] = read(self.state / "results.json")

    @property
    def seconds_left(self) -> float:
        """Until --max-minutes are over."""
        return self.deadline - time.monotonic()

    def note(self, stage: str, value: object) -> None:
        """Keep a stage's result."""
        self.results[stage] = value
        (self.state / "results.json").write_text(json.dumps(self.results, indent=1) + "\n")

    def call(
        self, words: Sequence[str | Path], most_s: float, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A Python command, told to stop (Ctrl-C) where it takes longer; its progress is not shown."""
        return finish(begin(words, cwd or self.state, self.environment), most_s)

    def facenas(self, *words: str | Path, most_s: float | None = None) -> Any:
        """The JSON that a verb of facenas prints. Raises StoppedError with its last line where it fails."""
        left = self.seconds_left if most_s is None else min(most_s, self.seconds_left)
        return told_by(self.call([*FACENAS, *words, "--json"], left))

    def facenas_at_once(self, each: Mapping[str, Sequence[str | Path]]) -> dict[str, Any]:
        """The JSON that each of some verbs prints, all running at the same time; StoppedError for one that fails."""
        begun = [begin([*FACENAS, *words, "--json"], self.state, self.environment) for words in each.values()]
        with ThreadPoolExecutor(len(begun)) as pool:
            done = list(pool.map(lambda process: finish(process, self.seconds_left), begun))
        told = {}
        for name, one in zip(each, done, strict=True):
            try:
                told[name] = told_by(one)
            except StoppedError as stop:
                told[name] = stop
        return told

    def ask(self, code: str, *words: Path) -> Any:
        """What a few lines of Python print as JSON."""
        done = self.call(["-P", "-c", code, *words], self.seconds_left)
        if done.returncode:
            raise StoppedError(last_line(done))
        return json.loads(done.stdout)


def read(path: Path) -> Any:
    """A JSON file; an empty object where there is none."""
    return json.loads(path.read_text()) if path.exists() else {}
