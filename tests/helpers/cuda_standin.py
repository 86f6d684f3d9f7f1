"""What `ctypes.CDLL("libcuda.so.1")` gives where there is no GPU: a driver made of Python and numpy.

Strict where a caller can be wrong: an address (all above 4 GiB) passed as a plain int, of which ctypes gives the library
32 bits, is an OverflowError; a thread without a current context gets error 201; memory ends (error 2); waiting for a
stream that is being captured spoils the capture (error 900); and what `cuMemcpyHtoD_v2` copies from pageable memory
arrives when the legacy stream is waited for, or before work on a stream that waits for that one, not before work on one
of CU_STREAM_NON_BLOCKING (CUDA's "API synchronization behavior").
Environment: CUDA_STANDIN_GPU (name;major.minor;multiprocessors), _BYTES (its memory), _EAGER_COPIES=1 (arrive at once),
_THROTTLED (see Nvml).
This file also runs on a board that is played: Python 3.8 or later and numpy.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from typing import Any, Callable  # noqa: UP035 - for Python 3.8

import numpy as np

_WORDS = {
    1: b"invalid argument",
    2: b"out of memory",
    201: b"invalid device context",
    400: b"invalid resource handle",
    900: b"operation not permitted when stream is capturing",
    901: b"operation failed due to a previous error during capture",
}
_NEED_NO_CONTEXT = ("cuInit", "cuDevice", "cuDriver", "cuCtxSetCurrent", "cuGetErrorString")
_EVENT_STEP_NS = 500

Effect = Callable[[], None]


class Stream:
    """A clock that kernels advance; while it is captured, what would run is written down instead."""

    def __init__(self, non_blocking: bool) -> None:
        self.non_blocking, self.ns, self.spoilt = non_blocking, 0.0, False
        self.captured: list[Any] | None = None


class Gpu:
    """Everything behind the library: memory, streams, events, graphs."""

    def __init__(self) -> None:
        self.name, capability, count = os.environ.get("CUDA_STANDIN_GPU", "Orin;8.7;8").split(";")
        self.attributes = {16: int(count), 75: int(capability.split(".")[0]), 76: int(capability.split(".")[1])}
        self.total_bytes = self.free_bytes = int(os.environ.get("CUDA_STANDIN_BYTES", str(6 << 30)))
        self.memory: dict[int, Any] = {}
        self.unread: dict[int, Effect] = {}
        self.staged: list[Any] = []
        self.streams: dict[int, Stream] = {}
        self.events: dict[int, float] = {}
        self.graphs: dict[int, list[Any]] = {}
        self.current, self._next, self.retained = threading.local(), 0x7F0000000000, 0

    def handle(self, step: int = 256) -> int:
        self._next += step
        return self._next

    def take(self, size_bytes: int) -> bool:
        """Whether so much memory was left; it is then taken."""
        enough = size_bytes <= self.free_bytes
        self.free_bytes -= size_bytes if enough else 0
        return enough

    def land(self) -> None:
        """The copies that are under way arrive."""
        for address, content in self.staged:
            self.memory[address][: len(content)] = content
        self.staged.clear()

    def read(self, address: int) -> Any:
        """The bytes there; what a kernel writes there is computed when somebody looks."""
        self.unread.pop(address, lambda: None)()
        return self.memory[address]

    def launch(self, stream: Stream, duration_ns: Callable[[], float], launch_ns: float, effect: Effect) -> None:
        """Kernels on a stream: their clock passes, really, and what they write is there; or they are captured."""
        if stream.captured is not None:
            stream.captured.append((duration_ns, launch_ns, effect))
            return
        if not stream.non_blocking:
            self.land()
        effect()
        taken_ns = duration_ns() + launch_ns
        stream.ns += taken_ns
        time.sleep(taken_ns / 1e9)  # a clock beside it sees that time pass

    def allocate(self, address: Any, size: Any) -> int:
        if not size.value or not self.take(size.value):
            return 2 if size.value else 1
        address._obj.value = self.handle(size.value + 512)
        self.memory[address._obj.value] = np.zeros(size.value, np.uint8)
        return 0

    def free(self, address: Any) -> int:
        if address.value not in self.memory:
            return 1
        self.free_bytes += len(self.memory.pop(address.value))
        self.unread.pop(address.value, None)
        self.staged = [entry for entry in self.staged if entry[0] != address.value]
        return 0

    def copy_in(self, address: Any, source: Any, size: Any, stream: Any = None) -> int:
        """With a stream it arrives in the order of that stream, which reads it."""
        if size.value > len(self.memory.get(address.value, ())):
            return 1
        self.land()
        self.unread.pop(address.value, None)
        self.staged.append((address.value, np.frombuffer(ctypes.string_at(source.value, size.value), np.uint8)))
        if stream or os.environ.get("CUDA_STANDIN_EAGER_COPIES") == "1":
            self.land()
        return 0

    def copy_out(self, target: Any, address: Any, size: Any, stream: Any = None) -> int:
        if size.value > len(self.memory.get(address.value, ())):
            return 1
        self.land()
        ctypes.memmove(target.value, self.read(address.value).ctypes.data, size.value)
        return 0

    def create_stream(self, stream: Any, flags: int) -> int:
        stream._obj.value = self.handle()
        self.streams[stream._obj.value] = Stream(non_blocking=flags == 1)
        return 0

    def synchronize(self, stream: Any) -> int:
        if not getattr(stream, "value", stream):
            self.land()
            return 0
        found = self.streams.get(stream.value)
        if found is None:
            return 400
        if found.captured is not None:
            found.spoilt = True
            return 900
        return 0

    def begin_capture(self, stream: Any, mode: int) -> int:
        self.streams[stream.value].captured, self.streams[stream.value].spoilt = [], False
        return 0

    def end_capture(self, stream: Any, graph: Any) -> int:
        found = self.streams[stream.value]
        captured, found.captured = found.captured, None
        if captured is None or found.spoilt:
            return 901
        graph._obj.value = self.handle()
        self.graphs[graph._obj.value] = captured
        return 0

    def instantiate(self, executable: Any, graph: Any, flags: Any) -> int:
        executable._obj.value = self.handle()
        self.graphs[executable._obj.value] = self.graphs[graph.value]
        return 0

    def launch_graph(self, executable: Any, stream: Any) -> int:
        """One launch for all that was captured."""
        for duration_ns, _, effect in self.graphs[executable.value]:
            self.launch(self.streams[stream.value], duration_ns, 0, effect)
        return 0

    def record(self, event: Any, stream: Any) -> int:
        self.events[event.value] = self.streams[stream.value].ns
        return 0

    def elapsed(self, milliseconds: Any, start: Any, end: Any) -> int:
        if not {start.value, end.value} <= set(self.events):
            return 400
        steps = round((self.events[end.value] - self.events[start.value]) / _EVENT_STEP_NS)
        return _set(milliseconds, steps * _EVENT_STEP_NS / 1e6)

    def retain(self, context: Any, device: Any) -> int:
        self.retained += 1
        return _set(context, 0x7E0000000000)

    def release(self, device: Any) -> int:
        if not self.retained:
            return 201
        self.retained -= 1
        return 0


def _set(place: Any, value: Any) -> int:
    place._obj.value = value
    return 0


def _name(name: Any, length: int, device: Any) -> int:
    name.value = GPU.name.encode()
    return 0


def _set_current(context: Any) -> int:
    GPU.current.context = getattr(context, "value", context)
    return 0


def _forget(handles: Any) -> Callable[[Any], int]:
    return lambda handle: 400 if handles.pop(handle.value, None) is None else 0


GPU = Gpu()
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "cuInit": lambda flags: 0,
    "cuGetErrorString": lambda code, text: _set(text, _WORDS.get(code, b"unknown")),
    "cuDriverGetVersion": lambda version: _set(version, 12060),
    "cuDeviceGet": lambda device, ordinal: _set(device, ordinal),
    "cuDeviceGetName": _name,
    "cuDeviceGetAttribute": lambda value, number, device: _set(value, GPU.attributes[number]),
    "cuDevicePrimaryCtxRetain": GPU.retain,
    "cuDevicePrimaryCtxRelease_v2": GPU.release,
    "cuCtxSetCurrent": _set_current,
    "cuCtxSynchronize": GPU.land,
    "cuMemGetInfo_v2": lambda free, total: _set(free, GPU.free_bytes) or _set(total, GPU.total_bytes),
    "cuMemAlloc_v2": GPU.allocate,
    "cuMemFree_v2": GPU.free,
    "cuMemcpyHtoD_v2": GPU.copy_in,
    "cuMemcpyHtoDAsync_v2": GPU.copy_in,
    "cuMemcpyDtoH_v2": GPU.copy_out,
    "cuMemcpyDtoHAsync_v2": GPU.copy_out,
    "cuStreamCreate": GPU.create_stream,
    "cuStreamSynchronize": GPU.synchronize,
    "cuStreamDestroy_v2": _forget(GPU.streams),
    "cuStreamBeginCapture_v2": GPU.begin_capture,
    "cuStreamEndCapture": GPU.end_capture,
    "cuGraphInstantiateWithFlags": GPU.instantiate,
    "cuGraphLaunch": GPU.launch_graph,
    "cuGraphExecDestroy": _forget(GPU.graphs),
    "cuGraphDestroy": _forget(GPU.graphs),
    "cuEventCreate": lambda event, flags: _set(event, GPU.handle()),
    "cuEventRecord": GPU.record,
    "cuEventSynchronize": lambda event: 0,
    "cuEventElapsedTime": GPU.elapsed,
    "cuEventDestroy_v2": lambda event: GPU.events.pop(event.value, None) and 0,
}


class Library:
    """Those functions; any other is an AttributeError, as in ctypes."""

    def __getattr__(self, name: str) -> Callable[..., int]:
        if name not in _FUNCTIONS:
            raise AttributeError(f"undefined symbol: {name}")

        def call(*arguments: Any) -> int:
            for argument in arguments:
                if isinstance(argument, int) and not -(1 << 31) <= argument < 1 << 31:
                    raise OverflowError(f"{name}: {argument:#x} as a plain int; the library would get 32 bits of it")
            if not name.startswith(_NEED_NO_CONTEXT) and getattr(GPU.current, "context", None) is None:
                return 201
            return _FUNCTIONS[name](*arguments) or 0

        return call


class Nvml:
    """The calls of NVIDIA's management library, of a GPU that CUDA_STANDIN_THROTTLED slows down (bits of reasons)."""

    def __getattr__(self, name: str) -> Callable[..., int]:
        told = {
            "nvmlDeviceGetClockInfo": 1980,
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetTemperature": 88,
            "nvmlDeviceGetCurrentClocksThrottleReasons": int(os.environ["CUDA_STANDIN_THROTTLED"]),
        }
        return lambda *arguments: _set(arguments[-1], told[name]) if name in told else 0


def stand_in() -> Any:
    """A `ctypes.CDLL` by which `libcuda.so.1` is the stand-in, and `libnvidia-ml.so.1` where a GPU is throttled."""

    class Cdll(ctypes.CDLL):
        def __new__(cls, name: Any = None, *rest: Any, **options: Any) -> Any:
            if name == "libnvidia-ml.so.1" and "CUDA_STANDIN_THROTTLED" in os.environ:
                return Nvml()
            return Library() if name == "libcuda.so.1" else object.__new__(cls)

    return Cdll
