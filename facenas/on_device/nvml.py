"""What NVIDIA's management library (NVML) tells of the GPU on a card: clocks, temperature, and why it is slowed down.

Through ctypes, as `cuda_driver`; the library comes with the driver. This file stands alone: Python 3.8 or later.
"""

from __future__ import annotations  # for Python 3.8

import ctypes
from typing import Any

_SM_CLOCK, _GPU_TEMPERATURE = 1, 0
# nvmlClocksThrottleReason*: those that mean that the GPU would be faster if it could. Idle, and clocks that the user set,
# are none.
REASONS = {0x4: "power limit", 0x8: "hardware slowdown", 0x20: "heat", 0x40: "heat (hardware)", 0x80: "power brake"}


def gpu_state(open_library: Any = None) -> dict[str, Any]:
    """`gpu_hz`, `gpu_max_hz`, `temperature_c` and `throttle_reasons` of the first GPU, as far as they are told.

    Empty where there is no such library or GPU.
    """
    try:
        library = (open_library or ctypes.CDLL)("libnvidia-ml.so.1")
    except OSError:
        return {}
    device = ctypes.c_void_p()
    if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(0), ctypes.byref(device)):
        return {}
    told: dict[str, Any] = {}
    for name, function in (("gpu_hz", "nvmlDeviceGetClockInfo"), ("gpu_max_hz", "nvmlDeviceGetMaxClockInfo")):
        mhz = ctypes.c_uint()
        if not getattr(library, function)(device, ctypes.c_int(_SM_CLOCK), ctypes.byref(mhz)):
            told[name] = mhz.value * 1_000_000
    celsius, reasons = ctypes.c_uint(), ctypes.c_ulonglong()
    if not library.nvmlDeviceGetTemperature(device, ctypes.c_int(_GPU_TEMPERATURE), ctypes.byref(celsius)):
        told["temperature_c"] = celsius.value
    if not library.nvmlDeviceGetCurrentClocksThrottleReasons(device, ctypes.byref(reasons)):
        told["throttle_reasons"] = [words for bit, words in REASONS.items() if reasons.value & bit]
    return told
