"""Targets: what `--device` names. A target is hardware + runtime + precision + threads.

A name is one of `TARGET_NAMES`, with one thread, or such a name with a suffix for more threads: `cpu-2threads`,
`cpu-openvino-4threads`. A table that was made for one target says nothing about another.
"""

import importlib.util
import os
import re
from dataclasses import dataclass, replace

from facenas.devices.cpu import cpu_flags
from facenas.errors import InputError, MissingPackageError


@dataclass(frozen=True)
class Target:
    """`runtime`: the Python package that executes the network; `precision`: fp32, bf16 or int8."""

    name: str
    hardware: str
    runtime: str
    precision: str
    threads: int = 1

    def __str__(self) -> str:
        return self.name


_TARGETS = (
    Target("cpu", "this machine's CPU", "onnxruntime", "fp32"),
    Target("cpu-openvino", "this machine's CPU", "openvino", "fp32"),
    Target("cpu-openvino-bf16", "this machine's CPU with AVX512-BF16 or AMX", "openvino", "bf16"),
    Target("cpu-openvino-int8", "this machine's CPU", "openvino", "int8"),
)
TARGET_NAMES = tuple(target.name for target in _TARGETS)
_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
_THREADS_SUFFIX = re.compile(r"(?P<base>.+)-(?P<threads>[1-9]\d{0,2})threads")


def resolve_target(name: str) -> Target:
    """The target of that name. Raises InputError that lists the names there are."""
    base, threads = name, 1
    if match := _THREADS_SUFFIX.fullmatch(name):
        base, threads = match["base"], int(match["threads"])
    for target in _TARGETS:
        if target.name == base:
            return target if threads == 1 else replace(target, name=f"{base}-{threads}threads", threads=threads)
    raise InputError(
        f"no device '{name}'; there are {', '.join(TARGET_NAMES)}, each also with a suffix such as -2threads"
    )


def why_unavailable(target: Target) -> str | None:
    """None where this machine can run the target, else the reason in words."""
    if importlib.util.find_spec(target.runtime) is None:
        return f"the package '{target.runtime}' is not installed; install it with: pip install {target.runtime}"
    if target.precision == "bf16" and not _BF16_FLAGS & cpu_flags():
        return "this CPU computes no bfloat16 (it has neither avx512_bf16 nor amx_bf16)"
    cores = os.cpu_count() or 1
    if target.threads > cores:
        return f"{target.threads} threads are more than the {cores} cores of this machine"
    return None


def require_available(target: Target) -> None:
    """Raises MissingPackageError or InputError with the reason where this machine cannot run the target."""
    reason = why_unavailable(target)
    if reason is not None:
        kind = MissingPackageError if "not installed" in reason else InputError
        raise kind(f"device '{target}' cannot be used here: {reason}")
