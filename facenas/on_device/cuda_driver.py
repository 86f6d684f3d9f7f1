"""The CUDA driver's own library, libcuda, through ctypes: there wherever an NVIDIA GPU works, with nothing to install.

Only calls whose form is the same in every CUDA since 11.4. Copies go over the stream that reads them: from pageable memory
they may still be under way when the call returns, and streams that do not block would not wait for them. The current
context is each thread's own, so every call makes it current first. This file stands alone: Python 3.8 or later and numpy.
"""

from __future__ import annotations  # for Python 3.8

import ctypes
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

_COMPUTE_CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
_MULTIPROCESSORS = 16  # CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
_OUT_OF_MEMORY = 2
_NON_BLOCKING = 1
_CAPTURE_THREAD_LOCAL = 1  # what other threads do then spoils no capture of this one


class CudaError(Exception):
    """No GPU answers, or it cannot do what was asked; the message says why."""


class CudaMemoryError(CudaError, MemoryError):
    """The GPU's memory is full."""


class Graph(NamedTuple):
    """A captured stream, launched as one: the handles of the graph and of what was made of it."""

    graph: int
    executable: int


class Gpu(NamedTuple):
    """The first CUDA device: its name, compute capability (`8.7`), the CUDA version of its driver (`12.6`)."""

    name: str
    compute_capability: str
    driver: str
    multiprocessors: int


class Cuda:
    """The few calls of the CUDA driver that running an engine takes. Raises CudaError where no GPU answers."""

    def __init__(self) -> None:
        self._context = ctypes.c_void_p()
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError:
            raise CudaError("no CUDA driver on this machine (libcuda.so.1 is absent)") from None
        self._check("cuInit", self._library.cuInit(0))
        device = ctypes.c_int()
        self._check("cuDeviceGet", self._library.cuDeviceGet(ctypes.byref(device), 0))
        self._device = device
        # The primary context is the one that TensorRT, which speaks to the CUDA runtime, uses too.
        retain = self._library.cuDevicePrimaryCtxRetain
        self._check("cuDevicePrimaryCtxRetain", retain(ctypes.byref(self._context), device))
        self.use()

    def __del__(self) -> None:
        if self._context:
            with suppress(AttributeError, TypeError):  # at the interpreter's end
                # Nobody may be left in a context that is gone; TensorRT and PyTorch then take a new one.
                self._library.cuCtxSetCurrent(None)
                self._library.cuDevicePrimaryCtxRelease_v2(self._device)

    def use(self) -> None:
        """Make the context current in this thread, for what comes: TensorRT's own calls need that, too."""
        self._check("cuCtxSetCurrent", self._library.cuCtxSetCurrent(self._context))

    def _call(self, name: str, *arguments: Any) -> None:
        self.use()
        self._check(name, getattr(self._library, name)(*arguments))

    def _check(self, name: str, code: int) -> None:
        if code:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(code, ctypes.byref(text))
            words = text.value.decode() if text.value else "unknown error"
            kind = CudaMemoryError if code == _OUT_OF_MEMORY else CudaError
            raise kind(f"CUDA: {name} failed: {words} (error {code})")

    def _attribute(self, number: int) -> int:
        value = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), number, self._device)
        return value.value

    def gpu(self) -> Gpu:
        """What the GPU and its driver are."""
        name = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", name, len(name), self._device)
        driver = ctypes.c_int()
        self._call("cuDriverGetVersion", ctypes.byref(driver))
        return Gpu(
            name.value.decode(),
            ".".join(str(self._attribute(number)) for number in _COMPUTE_CAPABILITY),
            f"{driver.value // 1000}.{driver.value % 1000 // 10}",
            self._attribute(_MULTIPROCESSORS),
        )

    def memory_bytes(self) -> tuple[int, int]:
        """Of the GPU's memory what is free, and all; where it is the board's own, what that has left."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def allocate(self, size_bytes: int) -> int:
        """Memory on the GPU, by address."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size_bytes))
        return int(address.value)

    def free(self, address: int) -> None:
        """Give memory back."""
        self._call("cuMemFree_v2", ctypes.c_uint64(address))

    def to_gpu(self, address: int, values: np.ndarray[Any, Any], stream: int) -> None:
        """Copy a contiguous array to the GPU, before whatever is put on the stream next; done when this returns."""
        source = ctypes.c_void_p(values.ctypes.data)
        size, there = ctypes.c_size_t(values.nbytes), ctypes.c_uint64(address)
        self._call("cuMemcpyHtoDAsync_v2", there, source, size, ctypes.c_void_p(stream))
        self.synchronize(stream)

    def from_gpu(self, values: np.ndarray[Any, Any], address: int, stream: int) -> None:
        """Copy from the GPU into a contiguous array, after what was put on the stream; done when this returns."""
        target = ctypes.c_void_p(values.ctypes.data)
        size, there = ctypes.c_size_t(values.nbytes), ctypes.c_uint64(address)
        self._call("cuMemcpyDtoHAsync_v2", target, there, size, ctypes.c_void_p(stream))
        self.synchronize(stream)

    def stream(self) -> int:
        """A new stream."""
        handle = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(handle), _NON_BLOCKING)
        return int(handle.value or 0)

    def synchronize(self, stream: int) -> None:
        """Wait until all that was put on the stream is done."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(stream))

    def event(self) -> int:
        """A new event, to be recorded on a stream."""
        handle = ctypes.c_void_p()
        self._call("cuEventCreate", ctypes.byref(handle), 0)
        return int(handle.value or 0)

    def record(self, event: int, stream: int) -> None:
        """Put the event on the stream."""
        self._call("cuEventRecord", ctypes.c_void_p(event), ctypes.c_void_p(stream))

    def elapsed_ns(self, start: int, end: int) -> int:
        """Nanoseconds between two recorded events that have passed; CUDA resolves about half a microsecond."""
        milliseconds = ctypes.c_float()
        self._call("cuEventElapsedTime", ctypes.byref(milliseconds), ctypes.c_void_p(start), ctypes.c_void_p(end))
        return round(milliseconds.value * 1e6)

    def begin_capture(self, stream: int) -> None:
        """What is put on the stream from now on is written down, not run."""
        self._call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), _CAPTURE_THREAD_LOCAL)

    def end_capture(self, stream: int) -> Graph:
        """What was captured, ready to be launched. Raises CudaError where something cannot be captured."""
        graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(graph))
        self._call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, ctypes.c_ulonglong(0))
        return Graph(int(graph.value or 0), int(executable.value or 0))

    def launch(self, graph: Graph, stream: int) -> None:
        """Put all of a graph on the stream, by one launch."""
        self._call("cuGraphLaunch", ctypes.c_void_p(graph.executable), ctypes.c_void_p(stream))

    def forget_graph(self, graph: Graph) -> None:
        """Destroy a graph."""
        self._call("cuGraphExecDestroy", ctypes.c_void_p(graph.executable))
        self._call("cuGraphDestroy", ctypes.c_void_p(graph.graph))

    def forget(self, stream: int, events: tuple[int, ...]) -> None:
        """Destroy a stream and events."""
        for event in events:
            self._call("cuEventDestroy_v2", ctypes.c_void_p(event))
        self._call("cuStreamDestroy_v2", ctypes.c_void_p(stream))
