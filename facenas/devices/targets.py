"""From a name to its target: what `--device` takes, and whether it can be used here.

A name is one of `TARGET_NAMES`, with one thread, or such a name of the CPU with a suffix for more threads
(`cpu-2threads`, `cpu-openvino-4threads`), or that of a device of the user's own (`facenas.devices.own_devices`).
"""

import importlib.util
import os
import re
from dataclasses import replace

from facenas.devices.cpu import BFLOAT16_FLAGS, cores, cpu_flags
from facenas.devices.own_devices import load_devices
from facenas.devices.target import GPU, LITERT, MODELLED_NAMES, NAMED_TARGETS, TARGET_NAMES, VELA, Target
from facenas.errors import InputError, MissingPackageError

_NPU_MODULES = {LITERT: "ai_edge_litert", VELA: "ethosu"}
# What oneDNN may be held to; OpenVINO then still promises bfloat16, and fails when it compiles.
_WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
_THREADS_SUFFIX = re.compile(r"(?P<base>.+)-(?P<threads>[1-9]\d{0,2})threads")


def resolve_target(name: str) -> Target:
    """The target of that name. Raises InputError that lists the names there are."""
    base, threads = name, 1
    if match := _THREADS_SUFFIX.fullmatch(name):
        base, threads = match["base"], int(match["threads"])
    for target in NAMED_TARGETS:
        if target.name == base and (threads == 1 or target.hardware.startswith("this machine's CPU")):
            return target if threads == 1 else replace(target, name=f"{base}-{threads}threads", threads=threads)
    devices = load_devices()
    if name in devices:
        return devices[name].target
    raise InputError(
        f"no device '{name}'; there are {', '.join((*TARGET_NAMES, *devices))}, those of the CPU also with a suffix such "
        "as -2threads"
    )


def why_unavailable(target: Target) -> str | None:
    """None where this machine can run the target, else the reason in words."""
    if target.elsewhere:
        return (
            f"it is elsewhere; facenas profile --device {target} --host user@host measures it, nothing else runs there"
        )
    if target.name in MODELLED_NAMES:
        return "a board that is modelled, not measured, and not here; it predicts and searches, but runs nothing"
    if target.hardware == GPU:
        return _why_no_gpu(target)
    if target.runtime in _NPU_MODULES:
        if importlib.util.find_spec(_NPU_MODULES[target.runtime]) is None:
            return f"the package '{target.runtime}' is not installed; install it with: pip install 'facenas[npu]'"
    elif importlib.util.find_spec(target.runtime) is None:
        return f"the package '{target.runtime}' is not installed; install it with: pip install {target.runtime}"
    if target.precision == "bf16" and not BFLOAT16_FLAGS & cpu_flags():
        return "this CPU computes no bfloat16 (it has neither avx512_bf16 nor amx_bf16)"
    if target.precision == "bf16" and (most := os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()) in _WITHOUT_BFLOAT16:
        return f"ONEDNN_MAX_CPU_ISA={most} keeps OpenVINO from computing in bfloat16; unset it"
    if target.threads > cores():
        return f"{target.threads} threads are more than the {cores()} cores that this process may use"
    return None


def _why_no_gpu(target: Target) -> str | None:
    from facenas.on_device.cuda_driver import Cuda, CudaError
    from facenas.on_device.tensorrt_engine import PACKAGES

    packages = PACKAGES if target.runtime == "tensorrt" else (target.runtime,)
    if not any(importlib.util.find_spec(package) for package in packages):
        return f"the package '{target.runtime}' is not installed; install it with: pip install 'facenas[tensorrt]'"
    try:
        Cuda()
    except CudaError as error:
        return str(error)
    return None


def require_available(target: Target) -> None:
    """Raises MissingPackageError or InputError with the reason where this machine cannot run the target."""
    reason = why_unavailable(target)
    if reason is not None:
        kind = MissingPackageError if "not installed" in reason else InputError
        raise kind(f"device '{target}' cannot be used here: {reason}")
