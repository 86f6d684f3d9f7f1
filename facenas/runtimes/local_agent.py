"""The agent: a process of its own that measures one network after another, so that a runtime's crash ends only it.

`LocalAgent` is the side that asks; `local_agent_process` is what it starts.
"""

import json
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

from facenas.architecture import Architecture
from facenas.devices.target import Target
from facenas.errors import AgentError
from facenas.quiet import Waiting
from facenas.units import Size

TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Request:
    """Measure a detector with random weights in `runs` runs: end to end or, with `layers`, by layer counters.

    `quiet_ns`: wait a while, but not for ever, until the companion takes no longer; 0 does not wait.
    """

    architecture: str
    landmarks: bool
    input_size: str
    runs: int
    layers: bool
    quiet_ns: int


@dataclass(frozen=True)
class Measurement:
    """What one visit to one network gave, in nanoseconds: runs end to end, or times by layer and those of no layer.

    `waited_share`: for what share of the visit the agent waited for a core that other work had; `companion_ns`: what the
    companion took beside it (facenas/runtimes/companion.py), 0 where none ran.
    """

    end_to_end_ns: tuple[int, ...]
    layers_ns: dict[str, list[int]]
    overhead_ns: tuple[int, ...]
    waited_share: float = 0.0
    companion_ns: int = 0


class LocalAgent:
    """A running agent for one target, pinned to as many cores as the target has threads. Use it in a `with` block.

    `as_graph`: whether the networks that it timed ran as CUDA graphs; None where there is no such thing.
    """

    def __init__(self, target: Target, timeout_s: float = TIMEOUT_S) -> None:
        self.target = target
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[str] | None = None
        self.as_graph: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def measure(
        self, detector: Architecture, input_size: Size, *, runs: int, layers: bool, quiet_ns: int = 0
    ) -> Measurement:
        """One visit. Raises AgentError where the runtime refuses the network, crashes on it or hangs."""
        request = Request(str(detector), detector.landmarks, str(input_size), runs, layers, quiet_ns)
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(self._timeout_s, process.kill)
        timer.start()
        waiting = Waiting(process.pid, self.target.threads)
        try:
            process.stdin.write(json.dumps(asdict(request)) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            code = self._stop()
            raise AgentError(f"the runtime {self.target.runtime} {_words_for_exit(code, self._timeout_s)}")
        reply = json.loads(line)
        if "error" in reply:
            raise AgentError(reply["error"])
        self.as_graph = reply["as_graph"] and self.as_graph is not False
        return Measurement(
            tuple(reply["end_to_end_ns"]),
            reply["layers_ns"],
            tuple(reply["overhead_ns"]),
            waiting.share(),
            reply["companion_ns"],
        )

    def _start(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "facenas.runtimes.local_agent_process", self.target.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self._process

    def _stop(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:  # a request that a dead agent never read
                    continue
        try:
            return process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _words_for_exit(code: int, timeout_s: float) -> str:
    if code == -signal.SIGKILL:
        return f"was killed: it ran out of memory or took more than {timeout_s:g} s"
    if code < 0:
        return f"crashed with signal {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
