"""What a device's operating system tells about it, unedited; the host makes fingerprint and warnings of it.

This file is also run on devices: Python 3.8 or later, no package.
"""

from __future__ import annotations  # for Python 3.8

import ctypes
import os
import platform
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from facenas.on_device.nvml import gpu_state

_MIN_FREE_BYTES = 2 << 30
# 17000000.gpu, and on older systems .ga10b, .gv11b, .gp10b; on a Thor gpu-gpc-0.
_GPUS = ("class/devfreq/*.g[pav]*", "class/devfreq/gpu-gpc-*")


def _read_text(path: str) -> str:
    """A small file of the operating system, or "" where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(1 << 16).decode("utf-8", "replace").strip("\0\n ")
    except OSError:
        return ""


def _read_numbers(pattern: str, system: Path = Path("/sys")) -> list[int]:
    """The whole numbers in those files of /sys that match a pattern, in the order of their names."""
    texts = [_read_text(str(path)) for path in sorted(system.glob(pattern))]
    return [int(text) for text in texts if text.lstrip("-").isdigit()]


def _power_mode() -> str:
    """What nvpmodel, the power mode tool of a Jetson, says; "" on other devices."""
    tool = shutil.which("nvpmodel") or "/usr/sbin/nvpmodel"
    try:
        done = subprocess.run([tool, "-q"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")[:1000].strip()


def _gpu_hz(system: Path, name: str) -> int | None:
    """A clock of the first GPU, from its devfreq folder."""
    for pattern in _GPUS:
        found = _read_numbers(f"{pattern}/{name}", system)
        if found:
            return found[0]
    return None


def clocks_fixed(system: Path = Path("/sys")) -> bool | None:
    """Whether GPU and first core are held at one clock, as jetson_clocks does; None where no GPU's clock is told."""
    low, high = _gpu_hz(system, "min_freq"), _gpu_hz(system, "max_freq")
    if low is None or high is None:
        return None
    core = "devices/system/cpu/cpu0/cpufreq/scaling_"
    return low == high and _read_numbers(core + "min_freq", system) == _read_numbers(core + "max_freq", system)


def facts(system: Path = Path("/sys")) -> dict[str, Any]:
    """What the operating system tells about the device, unedited; the host makes the fingerprint of it."""
    fields = [line.partition(":") for line in _read_text("/proc/cpuinfo").split("\n\n", 1)[0].splitlines()]
    return {
        "cpuinfo": {key.strip(): value.strip() for key, _, value in fields if key.strip()},
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "governor": _read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": platform.processor(),
        "board": _read_text("/proc/device-tree/model"),
        "l4t": _read_text("/etc/nv_tegra_release").partition("\n")[0],
        "power_mode": _power_mode(),
        "power_mode_file": _read_text("/var/lib/nvpmodel/status"),
        "clocks_fixed": clocks_fixed(system),
        "python": platform.python_version(),
        "memory_bytes": list(_memory_bytes()),
        "environment": {name: value for name, value in os.environ.items() if name.endswith("_MAX_CPU_ISA")},
    }


def state(system: Path = Path("/sys")) -> dict[str, Any]:
    """What may change while it is measured: temperature, GPU clock, throttling, power mode; null where not told."""
    milli_celsius = [value for value in _read_numbers("class/thermal/thermal_zone*/temp", system) if value > 0]
    over_current = _read_numbers("class/hwmon/hwmon*/oc*_event_cnt", system)
    told = {
        "temperature_c": max(milli_celsius) / 1000 if milli_celsius else None,
        "gpu_hz": _gpu_hz(system, "cur_freq"),
        "gpu_max_hz": _gpu_hz(system, "max_freq"),
        "throttle_events": sum(over_current) if over_current else None,
        "power_mode_file": _read_text("/var/lib/nvpmodel/status") or None,
    }
    if told["gpu_hz"] is None:
        told.update(gpu_state())  # a GPU on a card; NVML knows little of a Jetson's
    return told


def _memory_bytes() -> tuple[int, int]:
    """Free (without swapping) and all memory."""
    fields = dict(line.split()[:2] for line in _read_text("/proc/meminfo").splitlines() if len(line.split()) > 1)
    free, total = (1024 * int(fields.get(name, "0")) for name in ("MemAvailable:", "MemTotal:"))
    return free, total


def resident_bytes() -> int:
    """What this process holds of the memory; 0 where the system does not tell."""
    return _of_this_process("VmRSS")


def peak_bytes() -> int:
    """The most that it held since it began, or since `forget_peak`; 0 where the system does not tell."""
    return _of_this_process("VmHWM")


def forget_peak() -> None:
    """Give back what lies unused, and begin to look for the most anew, where the system can."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _of_this_process(name: str) -> int:
    fields = dict(line.partition(":")[::2] for line in _read_text("/proc/self/status").splitlines())
    words = fields.get(name, "").split()
    return 1024 * int(words[0]) if words else 0


def memory_is_short() -> bool:
    """Whether less than 2 GiB, or on a small device less than a quarter of its memory, is free."""
    free, total = _memory_bytes()
    return 0 < free < min(_MIN_FREE_BYTES, total // 4)
