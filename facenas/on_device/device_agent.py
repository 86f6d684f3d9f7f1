"""The agent on a device: copied there with the few files it needs, run by the device's own Python (3.8 or later, with numpy).

It compiles and times networks with the runtime that the device has, and does nothing else. It listens on no port: what
it is asked comes in on its standard input, what it answers goes out on its standard output, in frames (see `frames`).
After `hello` (version, runtime, precision, threads) come `compile` (an ONNX model), `time` and `layers` (n runs of a
compiled model) and `close`. Whatever a runtime prints goes to standard error. A runtime that hangs is ended, and this
process with it, by an alarm that the host sets with each request.
"""

from __future__ import annotations  # for Python 3.8

import hashlib
import os
import signal
from typing import Any, BinaryIO, NoReturn

from facenas.on_device.device_facts import facts, memory_is_short, state
from facenas.on_device.device_runtimes import RUNTIMES, Refusal
from facenas.on_device.frames import GREETING, VERSION, FrameError, Message, pack_frame, read_frame

MAX_RUNS = 1000
MAX_SECONDS = 3600


class Agent:
    """Answers messages. Compiled models are kept for the next visit as long as memory is plenty."""

    def __init__(self) -> None:
        self.runtime: Any = None
        self.models: dict[str, Any] = {}
        self.closed = False

    def answer(self, message: dict[str, Any], data: bytes) -> Message:
        """The reply to one message: what was asked for, or {"error": kind, "text": words}."""
        try:
            operation = message.get("operation")
            signal.alarm(_whole_number(message, "seconds", MAX_SECONDS))
            if operation == "hello":
                return self.hello(message, data)
            if operation == "close":
                self.closed = True
                return {}, b""
            if operation not in ("compile", "time", "layers"):
                raise Refusal("request", f"there is no operation {str(operation)[:40]!r}")
            if self.runtime is None:
                raise Refusal("request", "hello comes first")
            try:
                return getattr(self, operation)(message, data)  # type: ignore[no-any-return]
            except self.runtime.errors as error:
                raise Refusal("model", (str(error).strip() or type(error).__name__).splitlines()[0][:300]) from None
        except Refusal as refusal:
            return {"error": refusal.kind, "text": str(refusal)}, b""
        except MemoryError:
            self.forget()
            return {"error": "memory", "text": "out of memory"}, b""
        except OSError as error:
            return {"error": "disk", "text": str(error)[:300]}, b""

    def hello(self, message: dict[str, Any], data: bytes) -> Message:
        if message.get("version") != VERSION:
            raise Refusal("version", f"this agent speaks version {VERSION}, not {str(message.get('version'))[:20]}")
        name, precision = str(message.get("runtime")), str(message.get("precision"))
        if name not in RUNTIMES:
            raise Refusal("request", f"there is no runtime {name[:40]!r}")
        threads = _whole_number(message, "threads", 1024)
        kind, cure = RUNTIMES[name]
        told = facts()
        try:
            import numpy
        except ImportError:
            raise Refusal("missing", "numpy is not installed; on the device: python3 -m pip install numpy") from None
        try:
            self.runtime = kind(precision, threads)
        except ImportError as error:
            raise Refusal("missing", f"{name} cannot be imported ({error}); on the device: {cure}") from None
        if hasattr(self.runtime, "timing_cache"):
            self.runtime.timing_cache = data
            told.update(self.runtime.facts())
        if hasattr(os, "sched_setaffinity"):
            # The last cores, because systems serve interrupts on the first.
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
        told.update(version=VERSION, runtime_version=self.runtime.version, numpy=numpy.__version__)
        return {"facts": told, "state": state()}, b""

    def compile(self, message: dict[str, Any], data: bytes) -> Message:
        key = message.get("model")
        if hashlib.sha256(data).hexdigest() != key:
            raise Refusal("request", "the model is not the one that was announced (its SHA-256 differs)")
        if memory_is_short():
            self.forget()
        known = getattr(self.runtime, "timing_cache", b"")
        self.models[str(key)] = self.runtime.compile(data)
        learnt = getattr(self.runtime, "timing_cache", b"")
        return {}, b"" if learnt == known else learnt

    def time(self, message: dict[str, Any], data: bytes) -> Message:
        runs = _whole_number(message, "runs", MAX_RUNS)
        model = self.model(message)
        return {"times_ns": self.runtime.time(model, runs), "state": state()}, b""

    def layers(self, message: dict[str, Any], data: bytes) -> Message:
        runs = _whole_number(message, "runs", MAX_RUNS)
        model = self.model(message)
        want_graph = self.runtime.graph_wanted and message.get("graph") is True
        reply, graph = self.runtime.layers(model, runs, want_graph)
        reply["state"] = state()
        return reply, graph

    def model(self, message: dict[str, Any]) -> Any:
        """The compiled model that a message names."""
        key = message.get("model")
        if not isinstance(key, str) or key not in self.models:
            raise Refusal("unknown-model", "that model is not compiled here (any more)")
        return self.models[key]

    def forget(self) -> None:
        """Give up all compiled models."""
        self.models.clear()


def _whole_number(message: dict[str, Any], name: str, largest: int) -> int:
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
        raise Refusal("request", f"{name} is {str(value)[:40]}, needs a whole number from 1 to {largest}")
    return value


def serve(requests: BinaryIO, replies: BinaryIO) -> int:
    """Answer frames until the stream ends or `close` comes; the exit code: 0, or 3 after a damaged frame."""
    replies.write(GREETING)
    replies.flush()
    agent = Agent()
    while not agent.closed:
        try:
            frame = read_frame(requests)
            if frame is None:
                break
            answer = pack_frame(*agent.answer(*frame))
        except FrameError as error:
            replies.write(pack_frame({"error": "frame", "text": str(error)}))
            replies.flush()
            return 3
        signal.alarm(0)
        replies.write(answer)
        replies.flush()
    return 0


def main() -> NoReturn:
    """Serve on standard input and output. Ctrl-C is left to the host; a host that is gone ends the agent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    try:
        code = serve(requests, replies)
    except BrokenPipeError:
        code = 4
    # At once: taking hundreds of compiled models apart can take longer than the host waits.
    os._exit(code)


if __name__ == "__main__":
    main()
