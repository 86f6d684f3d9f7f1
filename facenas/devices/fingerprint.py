"""Fingerprint: everything that a latency on this machine depends on. Tables of different fingerprints do not mix."""

import importlib.metadata
import platform
from dataclasses import asdict, dataclass, fields
from typing import Any

from facenas.devices.cpu import cores, cpu_flags, cpu_model, governor
from facenas.devices.target import GPU, Target
from facenas.errors import TableError


@dataclass(frozen=True)
class Fingerprint:
    """`governor` is `unknown` where the system does not tell; `instruction_sets` are sorted Linux names."""

    cpu: str
    instruction_sets: tuple[str, ...]
    cores: int
    governor: str
    operating_system: str
    runtime: str
    runtime_version: str
    precision: str
    threads: int

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self) | {"instruction_sets": list(self.instruction_sets)}


def read_fingerprint(target: Target) -> Fingerprint:
    """The fingerprint of this machine running `target`; its runtime must be installed."""
    if target.hardware == GPU:
        return _gpu_fingerprint(target)
    if target.estimated:
        return _npu_fingerprint(target)
    return Fingerprint(
        cpu=cpu_model(),
        instruction_sets=tuple(sorted(cpu_flags())),
        cores=cores(),
        governor=governor(),
        operating_system=f"{platform.system()} {platform.machine()}",
        runtime=target.runtime,
        runtime_version=importlib.metadata.version(target.runtime),
        precision=target.precision,
        threads=target.threads,
    )


def _npu_fingerprint(target: Target) -> Fingerprint:
    """That of an NPU that only its compiler knows: whatever machine runs the compiler, its answer is the same."""
    from facenas.devices.vela import npu_of

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


def _gpu_fingerprint(target: Target) -> Fingerprint:
    """That of the GPU: its multiprocessors are the cores, what its driver says stands for the governor."""
    from facenas.devices.cuda_driver import Cuda
    from facenas.devices.tensorrt_engine import find_package

    gpu = Cuda().gpu()
    package = find_package() if target.runtime == "tensorrt" else None
    version = importlib.metadata.version(target.runtime) if package is None else f"{package.flavour} {package.version}"
    return Fingerprint(
        cpu=gpu.name,
        instruction_sets=(f"sm_{gpu.compute_capability.replace('.', '')}",),
        cores=gpu.multiprocessors,
        governor=f"driver for CUDA {gpu.driver}",
        operating_system=f"{platform.system()} {platform.machine()}",
        runtime=target.runtime,
        runtime_version=version,
        precision=target.precision,
        threads=target.threads,
    )


def fingerprint_from_json(value: Any) -> Fingerprint:
    """The fingerprint that `to_json` gave. Raises TableError where a field is missing or of another type."""
    names = {field.name: field.type for field in fields(Fingerprint)}
    if not isinstance(value, dict) or set(value) != set(names):
        raise TableError(f"fingerprint must have exactly the fields {', '.join(names)}; profile the device again")
    for name, kind in names.items():
        expected = {str: str, int: int}.get(kind, list) if isinstance(kind, type) else list
        if not isinstance(value[name], expected) or isinstance(value[name], bool):
            raise TableError(f"fingerprint field '{name}' is {value[name]!r}; profile the device again")
    return Fingerprint(**(value | {"instruction_sets": tuple(map(str, value["instruction_sets"]))}))


def differences(table: Fingerprint, here: Fingerprint) -> tuple[str, ...]:
    """In words, each field in which the machine of a table and this one differ; empty where they agree."""
    found = []
    for field in fields(Fingerprint):
        then, now = getattr(table, field.name), getattr(here, field.name)
        if then != now:
            name = field.name.replace("_", " ")
            if isinstance(then, tuple):
                then, now = " ".join(sorted(set(then) - set(now))) or "none", " ".join(sorted(set(now) - set(then)))
                found.append(f"{name}: the table's only {then}, this machine's only {now or 'none'}")
            else:
                found.append(f"{name}: the table's {then}, this machine's {now}")
    return tuple(found)
