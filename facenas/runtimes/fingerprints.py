"""The fingerprint of this machine, read for a target; its runtime must be installed."""

import importlib.metadata
import os
import platform

from facenas.devices.cpu import cores, cpu_flags, cpu_model, governor, limiting_variables
from facenas.devices.fingerprint import Fingerprint
from facenas.devices.power import power_words
from facenas.devices.target import Target


def of_this_cpu(target: Target) -> Fingerprint:
    """The fingerprint of this machine's CPU."""
    return of_this_cpu_with(target, importlib.metadata.version(target.runtime))


def of_this_cpu_with(target: Target, runtime_version: str) -> Fingerprint:
    """As `of_this_cpu`, where the runtime is no Python package."""
    return Fingerprint(
        cpu=cpu_model(),
        instruction_sets=tuple(sorted(cpu_flags() | limiting_variables(os.environ))),
        cores=cores(),
        governor=governor(),
        operating_system=f"{platform.system()} {platform.machine()}",
        runtime=target.runtime,
        runtime_version=runtime_version,
        precision=target.precision,
        threads=target.threads,
    )


def of_an_npu(target: Target) -> Fingerprint:
    """That of an NPU that only its compiler knows: whatever machine runs the compiler, its answer is the same."""
    from facenas.runtimes.vela import npu_of

    return Fingerprint(
        cpu=str(npu_of(target)),
        instruction_sets=(),
        cores=1,
        governor="estimate",
        operating_system="none",
        runtime=target.runtime,
        runtime_version=importlib.metadata.version(target.runtime),
        precision=target.precision,
        threads=target.threads,
    )


def of_this_gpu(target: Target) -> Fingerprint:
    """That of the GPU: its multiprocessors are the cores, what its driver says stands for the governor."""
    return _of_gpu(target, importlib.metadata.version(target.runtime))


def of_tensorrt(target: Target) -> Fingerprint:
    """That of the GPU, with the flavour of TensorRT: its package has more than one name."""
    from facenas.exporters.tensorrt import FLAVOURS_OF_RUNTIMES, require_package

    package = require_package(FLAVOURS_OF_RUNTIMES[target.runtime])
    return _of_gpu(target, f"{package.flavour} {package.version}")


def _of_gpu(target: Target, runtime_version: str) -> Fingerprint:
    from facenas.on_device.cuda_driver import Cuda
    from facenas.on_device.device_facts import facts

    gpu = Cuda().gpu()
    return Fingerprint(
        cpu=gpu.name,
        instruction_sets=(f"sm_{gpu.compute_capability.replace('.', '')}",),
        cores=gpu.multiprocessors,
        governor=f"driver for CUDA {gpu.driver}{power_words(facts())}",
        operating_system=f"{platform.system()} {platform.machine()}",
        runtime=target.runtime,
        runtime_version=runtime_version,
        precision=target.precision,
        threads=target.threads,
    )
