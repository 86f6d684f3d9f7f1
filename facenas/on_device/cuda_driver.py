"""The CUDA driver's own library, libcuda, through ctypes: there wherever an NVIDIA GPU works, with nothing to install.

Only calls whose form is the same in every CUDA since 11. This file stands alone: Python 3.8 or later and numpy.
"""

from __future__ import annotations  # for Python 3.8

import ctypes
from typing import Any, NamedTuple

import numpy as np

_COMPUTE_CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
_MULTIPROCESSORS = 16  # CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT


class CudaError(Exception):
    """No GPU answers, or it cannot do what was asked; the message says why."""


class Gpu(NamedTuple):
    """The first CUDA device: its name, compute capability (`8.7`), the CUDA version of its driver (`12.6`)."""

    name: str
    compute_capability: str
    driver: str
    multiprocessors: int


class Cuda:
    """The few calls of the CUDA driver that running an engine takes. Raises CudaError where no GPU answers."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError:
            raise CudaError("no CUDA driver on this machine (libcuda.so.1 is absent)") from None
        self._call("cuInit", 0)
        device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self._device = device
        context = ctypes.c_void_p()
        # The primary context is the one that TensorRT, which speaks to the CUDA runtime, uses too.
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(code, ctypes.byref(text))
            words = text.value.decode() if text.value else "unknown error"
            raise CudaError(f"CUDA: {name} failed: {words} (error {code})")

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

    def allocate(self, size_bytes: int) -> int:
        """Memory on the GPU, by address."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size_bytes))
        return int(address.value)

    def free(self, address: int) -> None:
        """Give memory back."""
        self._call("cuMemFree_v2", ctypes.c_uint64(address))

    def to_gpu(self, address: int, values: np.ndarray[Any, Any]) -> None:
        """Copy a contiguous array to the GPU; done when this returns."""
        source = ctypes.c_void_p(values.ctypes.data)
        self._call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), source, ctypes.c_size_t(values.nbytes))

    def from_gpu(self, values: np.ndarray[Any, Any], address: int) -> None:
        """Copy from the GPU into a contiguous array; done when this returns."""
        target = ctypes.c_void_p(values.ctypes.data)
        self._call("cuMemcpyDtoH_v2", target, ctypes.c_uint64(address), ctypes.c_size_t(values.nbytes))

    def stream(self) -> int:
        """A new stream."""
        handle = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(handle), 1)  # CU_STREAM_NON_BLOCKING
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

    def forget(self, stream: int, events: tuple[int, ...]) -> None:
        """Destroy a stream and events."""
        for event in events:
            self._call("cuEventDestroy_v2", ctypes.c_void_p(event))
        self._call("cuStreamDestroy_v2", ctypes.c_void_p(stream))
