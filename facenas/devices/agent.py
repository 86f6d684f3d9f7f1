"""The agent: a process of its own that measures one network after another, so that a runtime's crash ends only it.

It speaks JSON lines: a request on its standard input, the reply on its standard output. What a runtime prints goes to
standard error. `Agent` is the side that asks.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from facenas.architecture import Detector, parse_detector
from facenas.devices.cpu import free_memory_bytes, pin_to_cores
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.errors import AgentError, InputError
from facenas.units import Size, parse_size

if TYPE_CHECKING:
    from facenas.devices.compiled_model import CompiledModel

TIMEOUT_S = 300.0
_LEAST_FREE_BYTES = 2 << 30


@dataclass(frozen=True)
class Request:
    """Measure a detector with random weights in `runs` runs: end to end or, with `layers`, by layer counters."""

    architecture: str
    landmarks: bool
    input_size: str
    runs: int
    layers: bool


@dataclass(frozen=True)
class Sample:
    """What one visit to one network gave, in nanoseconds: runs end to end, or times by layer and those of no layer."""

    end_to_end_ns: tuple[int, ...]
    layers_ns: dict[str, list[int]]
    overhead_ns: tuple[int, ...]


class Agent:
    """A running agent for one target, pinned to as many cores as the target has threads. Use it in a `with` block."""

    def __init__(self, target: Target, timeout_s: float = TIMEOUT_S) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def measure(self, detector: Detector, input_size: Size, *, runs: int, layers: bool) -> Sample:
        """One visit. Raises AgentError where the runtime refuses the network, crashes on it or hangs."""
        request = Request(str(detector), detector.landmarks, str(input_size), runs, layers)
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(self._timeout_s, process.kill)
        timer.start()
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
            raise AgentError(f"the runtime {self._target.runtime} {_words_for_exit(code, self._timeout_s)}")
        reply = json.loads(line)
        if "error" in reply:
            raise AgentError(reply["error"])
        return Sample(tuple(reply["end_to_end_ns"]), reply["layers_ns"], tuple(reply["overhead_ns"]))

    def _start(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "facenas.devices.agent", self._target.name],
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


class Models:
    """Compiled networks, kept for the next visit as long as memory is plenty: a network that has run for a while is
    past the page faults of its first runs, and compiling takes longer than running.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._kept: dict[tuple[str, bool, str], CompiledModel] = {}

    def get(self, request: Request) -> "CompiledModel":
        """The compiled network of a request. Raises InputError where the runtime refuses it."""
        from facenas.devices.runtimes import load_model
        from facenas.exporters.onnx_graph import build_onnx, random_weights
        from facenas.graph import build_graph

        key = (request.architecture, request.landmarks, request.input_size)
        if key not in self._kept:
            if free_memory_bytes() < _LEAST_FREE_BYTES:
                self._kept.clear()
            detector = replace(parse_detector(request.architecture), landmarks=request.landmarks)
            graph = build_graph(detector, parse_size(request.input_size))
            model = build_onnx(graph, random_weights(graph)).SerializeToString()
            self._kept[key] = load_model(model, self._target, timing_only=True)
        return self._kept[key]


def serve(models: Models, request_line: str) -> dict[str, Any]:
    """The reply to one request."""
    request = Request(**json.loads(request_line))
    try:
        model = models.get(request)
    except InputError as error:
        return {"error": str(error)}
    if not request.layers:
        return {"end_to_end_ns": model.time(request.runs).tolist(), "layers_ns": {}, "overhead_ns": []}
    times = model.layer_times(request.runs)
    return {
        "end_to_end_ns": [],
        "layers_ns": {name: times.times_ns[:, index].tolist() for index, name in enumerate(times.names)},
        "overhead_ns": times.overhead_ns.tolist(),
    }


def main() -> None:
    """Serve requests until standard input ends. Ctrl-C is left to the process that asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    target = resolve_target(sys.argv[1])
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    pin_to_cores(target.threads)
    models = Models(target)
    for line in sys.stdin:
        replies.write(json.dumps(serve(models, line)) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
