"""What this machine's processor is, read from the operating system."""

import os
import platform
import re
import time
from collections.abc import Mapping
from math import ceil
from pathlib import Path

from facenas.cgroup import free_within_limits, quota_cores

_CPUINFO = Path("/proc/cpuinfo")
_MEMINFO = Path("/proc/meminfo")
_STAT = Path("/proc/stat")
_LOOKING_S = 0.2  # the system counts in hundredths of a second
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""With either of these a CPU computes in bfloat16."""

# What oneDNN may be held to; OpenVINO then still promises bfloat16, and fails when it compiles.
_WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")

# Instruction sets that an inference runtime chooses its kernels by.
_KERNEL_FLAGS = (
    *("sse4_2", "avx", "avx2", "fma", "avx_vnni"),
    *("avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2", "sme"),
)

_LIMITING_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_MODEL_NUMBERS = {
    "cpu family": "family",
    "model": "model",
    "stepping": "stepping",
    "CPU implementer": "implementer",
    "CPU part": "part",
    "CPU variant": "variant",
}


def _cpuinfo() -> dict[str, str]:
    """The fields of the first processor in /proc/cpuinfo; empty where there is no such file."""
    if not _CPUINFO.is_file():
        return {}
    first = _CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    fields = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in fields}


def cpu_flags() -> frozenset[str]:
    """Instruction sets of this CPU that matter to inference, by their Linux names."""
    return kernel_flags(_cpuinfo())


def why_no_bfloat16(flags: frozenset[str] | None = None) -> str | None:
    """None where a CPU with these instruction sets (default: this one) computes in bfloat16, else the reason in words."""
    if not BFLOAT16_FLAGS & (cpu_flags() if flags is None else flags):
        return "this CPU computes no bfloat16 (it has neither avx512_bf16 nor amx_bf16)"
    if (most := os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()) in _WITHOUT_BFLOAT16:
        return f"ONEDNN_MAX_CPU_ISA={most} keeps OpenVINO from computing in bfloat16; unset it"
    return None


def kernel_flags(fields: Mapping[str, str]) -> frozenset[str]:
    """The same from the fields of a processor in /proc/cpuinfo, of this machine or another."""
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return frozenset(flags & set(_KERNEL_FLAGS))


def limiting_variables(environment: Mapping[str, str]) -> frozenset[str]:
    """What keeps a runtime from instruction sets that the CPU has: to it that is another machine."""
    return frozenset(f"{name}={environment[name]}" for name in _LIMITING_VARIABLES if environment.get(name))


def cpu_model() -> str:
    """Name and, because virtual machines often hide it, the numbers of the CPU model."""
    return describe_cpu(_cpuinfo(), platform.processor() or platform.machine())


def describe_cpu(fields: Mapping[str, str], fallback: str) -> str:
    """The same from the fields of a processor in /proc/cpuinfo; `fallback` is for one without a name."""
    name = fields.get("model name") or fields.get("Hardware") or fallback
    numbers = [f"{word} {fields[key]}" for key, word in _MODEL_NUMBERS.items() if key in fields]
    vendor = fields.get("vendor_id", "")
    details = ", ".join([*([vendor] if vendor else []), *numbers])
    return f"{name} ({details})" if details else name


def governor() -> str:
    """How the clock is governed, or `unknown` where the system does not say (virtual machines)."""
    try:
        return _GOVERNOR.read_text(encoding="ascii").strip() or "unknown"
    except OSError:
        return "unknown"


def cores() -> int:
    """Logical cores that this process may use: those that it is allowed, or as many as its container's quota is worth."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = quota_cores()
    return allowed if quota is None else max(1, min(allowed, ceil(quota)))


def pin_to_cores(count: int) -> None:
    """Keep this process on the `count` cores that are least busy now, so that it is not moved while it is timed.

    Of equally busy ones the last, because systems serve interrupts on the first. Does nothing where the system cannot pin.
    """
    if hasattr(os, "sched_setaffinity"):
        before = _busy_ticks_by_core()
        time.sleep(_LOOKING_S)
        after = _busy_ticks_by_core()
        busy = {core: after.get(core, 0) - before.get(core, 0) for core in os.sched_getaffinity(0)}
        os.sched_setaffinity(0, sorted(busy, key=lambda core: (busy[core], -core))[:count])


def _busy_ticks_by_core() -> dict[int, int]:
    """Processor time of everything that ran on each core since the start of the system; empty where it is not told."""
    try:
        lines = _STAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    rows = [line.split() for line in lines if re.match(r"cpu\d", line)]
    return {int(row[0].removeprefix("cpu")): sum(map(int, row[1:4])) + sum(map(int, row[6:9])) for row in rows}


def free_memory_bytes() -> int:
    """Memory that can be taken without swapping and within the limits of this process's container, or 0 where nobody says."""
    within = free_within_limits()
    if not _MEMINFO.is_file():
        return within or 0
    fields = (line.partition(":") for line in _MEMINFO.read_text(encoding="ascii").splitlines())
    kilobytes = {key: value.split()[0] for key, _, value in fields if value.split()}
    free_bytes = int(kilobytes.get("MemAvailable", "0")) * 1024
    return free_bytes if within is None else min(free_bytes, within)


def compute_threads() -> int:
    """Threads for a training's mathematics: one core stays free for those that make its samples, with which it would
    otherwise wait in every parallel section; and no more than the user allows with OMP_NUM_THREADS."""
    threads, allowed = max(1, cores() - 1), os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(threads, int(allowed)) if allowed.isdecimal() and int(allowed) else threads
