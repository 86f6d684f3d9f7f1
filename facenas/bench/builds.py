"""A session: one or two builds, each in a process of its own, whose workloads are visited in turns.

Whatever slows the machine for a while then slows all workloads, and both builds, instead of the one that happened to
run; and every visit carries its own reference (facenas/bench/worker.py).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from facenas.bench.record import Timing
from facenas.bench.regression import MIN_VISITS, is_quiet
from facenas.errors import InputError
from facenas.progress import Progress

PATIENCE = 3  # how many times as long a busy machine is measured
_HERE = Path(__file__).resolve().parents[1]
# One thread, so that a workload's time does not depend on what the other cores are busy with.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Builds:
    """Worker processes, one a build; end them by leaving the `with` block."""

    def __init__(self, trees: Sequence[Path | None], folder: Path, quick: bool, only: str) -> None:
        """`trees`: for each build a folder that holds its package `facenas`, None for the one that runs."""
        # -P: the current folder must not come before the tree. Without a tree: what this process itself imports.
        arguments = [
            sys.executable,
            "-P",
            "-m",
            "facenas.bench.worker",
            str(folder),
            "quick" if quick else "full",
            only,
        ]
        imported = [path for path in sys.path if path]
        self._workers = [
            subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ
                | _ONE_THREAD
                | {"PYTHONPATH": os.pathsep.join([*([str(tree)] if tree else []), *imported])},
            )
            for tree in trees
        ]
        try:
            offered = [self._answer(worker) for worker in self._workers]
            self.names = [name for name in offered[0] if all(name in names for names in offered)]
            if not self.names:
                raise InputError(f"no benchmark in {folder} has '{only}' in its name; try --only without it")
        except BaseException:  # no `with` block is entered that would end the workers
            self._end_workers()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_workers()

    def _end_workers(self) -> None:
        for worker in self._workers:
            worker.terminate()
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()

    def _answer(self, worker: subprocess.Popen[str], request: Mapping[str, object] | None = None) -> Any:
        if request is not None and worker.stdin is not None:
            print(json.dumps(request), file=worker.stdin, flush=True)
        line = worker.stdout.readline() if worker.stdout is not None else ""
        if not line:
            raise InputError(f"a benchmark broke (exit code {worker.wait()}); its last words stand above")
        value = json.loads(line)
        if isinstance(value, dict) and set(value) == {"error"}:
            raise InputError(value["error"])
        return value

    def figures(self) -> dict[str, float]:
        """The figures of the first build."""
        figures: dict[str, float] = self._answer(self._workers[0], {"figures": True})
        return figures

    def measure(
        self, visits: int, seconds_each: float, progress: Progress, names: Collection[str] | None = None, seed: int = 0
    ) -> list[dict[str, Timing]]:
        """Timings of each build by workload, all visited in turns, in an order drawn anew each round.

        A workload that is long gets fewer than `visits` (at least `MIN_VISITS`), so that it stays within about
        `seconds_each` for each build. One that was hardly ever visited while the machine was quiet gets up to
        `PATIENCE` times as much of both.
        """
        generator = np.random.default_rng(seed)
        left = [name for name in self.names if names is None or name in names]
        taken: list[dict[str, list[tuple[int, int]]]] = [{name: [] for name in left} for _ in self._workers]
        spent = dict.fromkeys(left, 0.0)
        for round_index in range(PATIENCE * visits):
            for name in generator.permutation(left):
                for build in generator.permutation(len(self._workers)):
                    start = time.monotonic()
                    pair = self._answer(self._workers[build], {"visit": str(name)})
                    spent[name] += time.monotonic() - start
                    taken[build][name].append((pair[0], pair[1]))
            done = round_index + 1
            progress(min(done, visits), visits, "benchmarking" if done <= visits else "waiting for a quiet machine")
            share = {name: max(done / visits, spent[name] / (seconds_each * len(self._workers))) for name in left}
            left = [
                name
                for name in left
                if done < MIN_VISITS
                or share[name] < 1
                or (share[name] < PATIENCE and min(_quiet_count(build[name]) for build in taken) < MIN_VISITS)
            ]
            if not left:
                break
        return [{name: _timing(pairs) for name, pairs in build.items()} for build in taken]


def _quiet_count(pairs: Sequence[tuple[int, int]]) -> int:
    """How many visits were as quiet as the quietest."""
    references_ns = [reference for _, reference in pairs]
    return int(is_quiet(references_ns, min(references_ns)).sum())


def _timing(pairs: Sequence[tuple[int, int]]) -> Timing:
    return Timing(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


@contextmanager
def tree_of_checkout(checkout: Path) -> Iterator[Path]:
    """A folder with the package as that checkout would install it, but with this build's benchmark runner.

    Raises InputError where the folder is no checkout of facenas.
    """
    if not (checkout / "facenas" / "errors.py").is_file():
        raise InputError(f"{checkout} is no checkout of facenas; give one, or a record made by facenas bench --out F")
    with tempfile.TemporaryDirectory(prefix="facenas-bench-") as place:
        package = Path(place) / "facenas"
        package.mkdir()
        ours = (_HERE / "bench", _HERE / "quiet.py")
        names = {"__pycache__", *(path.name for path in ours)}
        members = [path for path in (checkout / "facenas").iterdir() if path.name not in names]
        # Beside the package in a checkout, inside it when installed.
        members += [checkout / name for name in ("exporters", "latency_tables") if (checkout / name).is_dir()]
        for member in (*members, *ours):
            (package / member.name).symlink_to(member.resolve())
        yield Path(place)
