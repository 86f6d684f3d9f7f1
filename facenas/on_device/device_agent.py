"""The agent on a device: copied there with the few files it needs, run by the device's own Python (3.8 or later, with numpy).

It compiles, runs and times networks with the runtime that the device has, and does nothing else. It listens on no port:
what it is asked comes in on its standard input, what it answers goes out on its standard output, in frames (see
`frames`). After `hello` (version, runtime, precision, threads) come `compile` (an ONNX model, to be timed), `load` (an
exported file), `build` (an ONNX model to an engine, which comes back), `run` (one image in, the outputs out), `time` and
`layers` (n runs of a compiled model) and `close`. Whatever a runtime prints goes to standard error. A runtime that hangs
is ended, and this process with it, by an alarm that the host sets with each request; where it learnt something until then
(the timings of a build), that is sent before.
"""

from __future__ import annotations  # for Python 3.8

import gc
import hashlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO, NoReturn

from facenas.on_device.device_facts import facts, forget_peak, memory_is_short, peak_bytes, resident_bytes, state
from facenas.on_device.device_runtime import Refusal, image_of
from facenas.on_device.device_runtimes import RUNTIMES, pin
from facenas.on_device.frames import GREETING, VERSION, FrameError, Message, pack_frame, read_frame

MAX_RUNS = 1000
MAX_SECONDS = 3 * 3600
MAX_SIDE_PX = 8192
TOO_SLOW = 5
"""The exit code after a build was given up whose timings were sent."""
_GRACE_S, _LOOK_EVERY_S = 10, 0.1


class Agent:
    """Answers messages. Compiled models are kept for the next visit as long as memory is plenty.

    `last_words` sends a message and ends the process, from a thread beside the one that compiles.
    """

    def __init__(self, last_words: Callable[[dict[str, Any], bytes], None] = lambda message, data: None) -> None:
        self.runtime: Any = None
        self.models: dict[str, Any] = {}
        self.closed = False
        self.told: dict[str, Any] = {}
        self.last_words = last_words
        self._compiling, self._ending = False, threading.Lock()

    def answer(self, message: dict[str, Any], data: bytes) -> Message:
        """The reply to one message: what was asked for, or {"error": kind, "text": words}."""
        try:
            operation = message.get("operation")
            grace_s = _GRACE_S if operation in ("compile", "build") else 0  # it gives itself up before
            signal.alarm(_whole_number(message, "seconds", MAX_SECONDS) + grace_s)
            if operation == "hello":
                return self.hello(message, data)
            if operation == "close":
                self.closed = True
                return {}, b""
            if operation not in ("compile", "load", "build", "run", "time", "layers"):
                raise Refusal("request", f"there is no operation {str(operation)[:40]!r}")
            if self.runtime is None:
                raise Refusal("request", "hello comes first")
            return self.visit(operation, message, data)
        except Refusal as refusal:
            return {"error": refusal.kind, "text": str(refusal), **self.told}, b""
        except MemoryError as error:
            self.forget()
            return {"error": "memory", "text": _first_line(error)}, b""
        except OSError as error:
            return {"error": "disk", "text": str(error)[:300]}, b""
        except Exception as error:  # noqa: BLE001 - whatever it is, the host must hear it
            traceback.print_exc()
            return {"error": "crash", "text": f"{type(error).__name__}: {_first_line(error)}"}, b""

    def visit(self, operation: str, message: dict[str, Any], data: bytes) -> Message:
        """Compile or run. Where memory ends, all other models are forgotten, and it is tried once more.

        What else a runtime raises costs this network, not the others.
        """
        try:
            try:
                return getattr(self, operation)(message, data)  # type: ignore[no-any-return]
            except MemoryError:
                self.forget(but=message.get("model"))
            return getattr(self, operation)(message, data)  # type: ignore[no-any-return]
        except (MemoryError, OSError, Refusal):
            raise
        except Exception as error:  # noqa: BLE001
            if isinstance(error, self.runtime.errors):
                raise Refusal("model", _first_line(error)) from None
            traceback.print_exc()
            raise Refusal("model", f"{type(error).__name__}: {_first_line(error)}") from None

    def hello(self, message: dict[str, Any], data: bytes) -> Message:
        if message.get("version") != VERSION:
            raise Refusal("version", f"this agent speaks version {VERSION}, not {str(message.get('version'))[:20]}")
        name, precision = str(message.get("runtime")), str(message.get("precision"))
        if name not in RUNTIMES:
            raise Refusal("request", f"there is no runtime {name[:40]!r}")
        threads = _whole_number(message, "threads", 1024)
        kind, cure_of_package = RUNTIMES[name]
        told = facts()
        self.told = {"facts": told, "state": state()}  # also where a runtime is missing
        try:
            import numpy
        except (ImportError, OSError) as error:
            cure = "on the device: sudo apt install python3-numpy, or python3 -m pip install numpy"
            raise Refusal("missing", f"numpy cannot be imported ({_first_line(error)}); {cure}") from None
        try:
            self.runtime = kind(precision, threads)
        except (ImportError, OSError) as error:
            raise Refusal(
                "missing", f"{name} cannot be imported ({_first_line(error)}); on the device: {cure_of_package}"
            ) from None
        if hasattr(self.runtime, "timing_cache"):
            self.runtime.timing_cache = data
            told.update(self.runtime.facts())
        if self.runtime.pins:
            pin(threads)
        told.update(version=VERSION, runtime_version=self.runtime.version, numpy=numpy.__version__)
        self.told, told = {}, self.told
        return told, b""

    def compile(self, message: dict[str, Any], data: bytes) -> Message:
        """An ONNX model with made-up weights, to be timed and read by layers."""
        key = _announced(message, data)
        self.models[key], learnt = self._in_time(message["seconds"], lambda: self.runtime.compile(data))
        return {}, learnt

    def load(self, message: dict[str, Any], data: bytes) -> Message:
        """An exported file as it is; `peak_bytes`: of this process's memory, what it took to load and run once. `form`:
        onnx, openvino (the .xml, from byte `weights_at` on the .bin) or trt; `shape`: of the image to time it with."""
        key, shape = _announced(message, data), _shape(message)
        form, weights_at = str(message.get("form")), message.get("weights_at", 0)
        if form not in self.runtime.forms:
            raise Refusal("request", f"{message.get('form')!r} is no form of file that this runtime loads")
        if isinstance(weights_at, bool) or not isinstance(weights_at, int) or not 0 <= weights_at <= len(data):
            raise Refusal("request", f"weights_at is {str(weights_at)[:40]}, needs a place within the file")
        if memory_is_short() or self.runtime.memory_is_short():
            self.forget()
        forget_peak()
        before = resident_bytes()
        model = self.runtime.load(data, form, weights_at, shape)
        self.runtime.time(model, 1)
        self.models[key] = model
        return {"peak_bytes": max(0, peak_bytes() - before) if before and self.runtime.pins else 0}, b""

    def build(self, message: dict[str, Any], data: bytes) -> Message:
        """The engine of an ONNX model: its first `plan_bytes` bytes are the engine, the others what the build learnt."""
        _announced(message, data)
        if "trt" not in self.runtime.forms:
            raise Refusal("request", "this runtime has no engines to build")
        plan, learnt = self._in_time(message["seconds"], lambda: self.runtime.engine_of(data))
        return {"plan_bytes": len(plan)}, plan + learnt

    def _in_time(self, seconds: int, work: Callable[[], Any]) -> tuple[Any, bytes]:
        """What `work` gives, with what it learnt for the next time; it is given up after `seconds`."""
        if memory_is_short() or self.runtime.memory_is_short():
            self.forget()
        known = getattr(self.runtime, "timing_cache", b"")
        limit = threading.Timer(seconds, self.give_up, (seconds,))
        limit.daemon = True
        self._compiling = True
        limit.start()
        try:
            made = work()
        finally:
            limit.cancel()
            with self._ending:
                self._compiling = False
        learnt = getattr(self.runtime, "timing_cache", b"")
        return made, b"" if learnt == known else learnt

    def run(self, message: dict[str, Any], data: bytes) -> Message:
        """The outputs for one image: `outputs` lists name and shape of each, their float32 values follow one another.

        The image is float32 of `shape` [1, 3, height, width], or, with `pixels` ({order, mean, standard_deviation}), the
        uint8 [height, width, 3] that it is made from here.
        """
        model = self.model(message)
        outputs = self.runtime.run(model, image_of(data, _shape(message), message.get("pixels")))
        told = [[name, list(values.shape)] for name, values in outputs.items()]
        return {"outputs": told}, b"".join(values.astype("<f4").tobytes() for values in outputs.values())

    def time(self, message: dict[str, Any], data: bytes) -> Message:
        runs = _whole_number(message, "runs", MAX_RUNS)
        model = self.model(message)
        return {**self.runtime.time(model, runs), "state": state()}, b""

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

    def forget(self, but: Any = None) -> None:
        """Give up all compiled models, but for that of one key."""
        for key in [key for key in self.models if key != but]:
            del self.models[key]
        gc.collect()

    def give_up(self, seconds: int) -> None:
        """A build lasts too long: what it learnt is sent, so that the next one goes on from there."""
        while self._compiling and (timings := self.runtime.timings_so_far()) is not None:
            if timings == b"":  # it has not begun to take any
                time.sleep(_LOOK_EVERY_S)
                continue
            with self._ending:
                if self._compiling:
                    self.last_words({"error": "slow", "text": f"compiling took more than {seconds} s"}, timings)
            return


def _announced(message: dict[str, Any], data: bytes) -> str:
    """The key of the model that came. Raises Refusal where it is not the one that was announced."""
    key = message.get("model")
    if hashlib.sha256(data).hexdigest() != key:
        raise Refusal("request", "the model is not the one that was announced (its SHA-256 differs)")
    return str(key)


def _shape(message: dict[str, Any]) -> list[int]:
    shape = message.get("shape")
    if not isinstance(shape, list) or len(shape) != 4 or shape[:2] != [1, 3]:
        raise Refusal("request", f"shape is {str(shape)[:60]}, needs [1, 3, height, width]")
    sides = {"height": shape[2], "width": shape[3]}
    return [1, 3, *(_whole_number(sides, name, MAX_SIDE_PX) for name in sides)]


def _whole_number(message: dict[str, Any], name: str, largest: int) -> int:
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
        raise Refusal("request", f"{name} is {str(value)[:40]}, needs a whole number from 1 to {largest}")
    return value


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def serve(requests: BinaryIO, replies: BinaryIO) -> int:
    """Answer frames until the stream ends or `close` comes; the exit code: 0, or 3 after a damaged frame."""
    replies.write(GREETING)
    replies.flush()

    def last_words(message: dict[str, Any], data: bytes) -> None:
        replies.write(pack_frame(message, data))
        replies.flush()
        os._exit(TOO_SLOW)

    agent = Agent(last_words)
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
