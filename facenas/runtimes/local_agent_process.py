"""The process of a local agent: it compiles and times one network after another, for whoever speaks to it.

A request is a JSON line on its standard input, the reply one on its standard output. What a runtime prints goes to
standard error.
"""

import json
import os
import signal
import sys
import time
from dataclasses import replace
from typing import Any

from facenas.architecture import parse_architecture
from facenas.devices.cpu import free_memory_bytes, pin_to_cores
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.runtimes.companion import Companion, companion_of
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.local_agent import Request
from facenas.runtimes.runtime import load_model, runtime_of
from facenas.units import parse_size

_MIN_FREE_BYTES = 2 << 30
# A later visit runs a network for so long, if not more often than that: three runs tell little of one of a millisecond.
VISIT_NS, MOST_RUNS = 20_000_000, 40
_PATIENCE_S = 1.0


class Models:
    """Compiled networks, kept for the next visit as long as memory is plenty: a network that has run for a while is
    past the page faults of its first runs, and compiling takes longer than running.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._kept: dict[tuple[str, bool, str], CompiledModel] = {}
        self._run_ns: dict[Request, float] = {}

    def get(self, request: Request) -> CompiledModel:
        """The compiled network of a request. Raises InputError where the runtime refuses it."""
        from facenas.exporters.onnx_graph import build_onnx, random_weights
        from facenas.graph import build_graph

        key = (request.architecture, request.landmarks, request.input_size)
        if key not in self._kept:
            if free_memory_bytes() < _MIN_FREE_BYTES:
                self._kept.clear()
            detector = replace(parse_architecture(request.architecture), landmarks=request.landmarks)
            graph = build_graph(detector, parse_size(request.input_size))
            model = build_onnx(graph, random_weights(graph)).SerializeToString()
            self._kept[key] = load_model(model, self._target, timing_only=True)
        return self._kept[key]

    def runs(self, request: Request) -> int:
        """As many runs as are asked for, or as fill a visit, as far as an earlier one tells."""
        return max(request.runs, min(MOST_RUNS, int(VISIT_NS / self._run_ns.get(request, VISIT_NS))))

    def took(self, request: Request, run_ns: float) -> None:
        """Keep the nanoseconds of a run for the next visit; not of an estimate, which is the same in every run."""
        if run_ns and not runtime_of(self._target).estimates:
            self._run_ns[request] = run_ns


def take_when_quiet(companion: Companion | None, quiet_ns: int) -> int:
    """What the companion takes once it takes no longer than `quiet_ns`, or after some patience; 0 does not wait, and is the
    answer where there is no companion."""
    if companion is None:
        return 0
    deadline_s = time.monotonic() + _PATIENCE_S
    taken_ns = companion.take()
    while taken_ns > quiet_ns > 0 and time.monotonic() < deadline_s:
        taken_ns = companion.take()
    return taken_ns


def serve(models: Models, companion: Companion | None, request_line: str) -> dict[str, Any]:
    """The reply to one request; the companion is timed before and after, and the mean of the two is told."""
    request = Request(**json.loads(request_line))
    asked = replace(request, quiet_ns=0)
    try:
        model = models.get(request)
        before_ns = take_when_quiet(companion, request.quiet_ns)
        if request.layers:
            times = model.layer_times(models.runs(asked))
            models.took(asked, float(times.times_ns.sum(1).mean()))
            layers_ns = {name: times.times_ns[:, index].tolist() for index, name in enumerate(times.names)}
            reply = {"end_to_end_ns": [], "layers_ns": layers_ns, "overhead_ns": times.overhead_ns.tolist()}
        else:
            end_to_end_ns = model.time(models.runs(asked))
            models.took(asked, float(end_to_end_ns.mean()))
            reply = {"end_to_end_ns": end_to_end_ns.tolist(), "layers_ns": {}, "overhead_ns": []}
    except InputError as error:
        return {"error": str(error)}
    reply["as_graph"] = model.as_graph
    return reply | {"companion_ns": (before_ns + take_when_quiet(companion, 0)) // 2}


def main() -> None:
    """Serve requests until standard input ends. Ctrl-C is left to the process that asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    target = resolve_target(sys.argv[1])
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    pin_to_cores(target.threads)
    models, companion = Models(target), companion_of(target)
    for line in sys.stdin:
        replies.write(json.dumps(serve(models, companion, line)) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
