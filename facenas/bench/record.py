"""Record: what one run of the benchmarks measured, on which machine, with which versions, from which commit.

A record is never changed: its file is written once and not overwritten. Records of different machines, schemas or
extents (quick or full) do not compare.
"""

import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from facenas.devices.fingerprint import Fingerprint, fingerprint_from_json
from facenas.devices.targets import resolve_target
from facenas.errors import InputError, TableError
from facenas.files import read_json, write_json
from facenas.runtimes.runtime import read_fingerprint
from facenas.typed_json import read_as
from facenas.version import __version__

SCHEMA = 2  # 1 kept the shorter of a visit's two references
# What makes a machine another one; a runtime's version is a version, and an upgrade may well be what is compared.
_MACHINE = ("cpu", "instruction_sets", "cores", "governor", "operating_system")
_PACKAGES = ("numpy", "scipy", "onnx", "onnxruntime", "openvino", "torch", "opencv-python-headless")


@dataclass(frozen=True)
class Timing:
    """One workload: nanoseconds of each visit (the least of its runs), and of the reference workload beside it."""

    samples_ns: tuple[int, ...]
    reference_ns: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.samples_ns) != len(self.reference_ns) or not self.samples_ns:
            raise InputError(
                f"a timing has {len(self.samples_ns)} samples and {len(self.reference_ns)} of the reference; "
                "it needs as many of each, and at least one"
            )
        if min(*self.samples_ns, *self.reference_ns) <= 0:
            raise InputError("a timing holds a sample that is not above zero; measure again")

    def __add__(self, other: "Timing") -> "Timing":
        return Timing(self.samples_ns + other.samples_ns, self.reference_ns + other.reference_ns)


@dataclass(frozen=True)
class Record:
    """`commit` ends in `+` where the checkout held changes; `figures` are numbers that are no durations."""

    schema: int
    date: str
    commit: str
    quick: bool
    fingerprint: Fingerprint
    versions: Mapping[str, str]
    timings: Mapping[str, Timing]
    figures: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"fingerprint": self.fingerprint.to_json()}


def new_record(timings: Mapping[str, Timing], figures: Mapping[str, float], quick: bool, checkout: Path) -> Record:
    """A record of this machine, now; `checkout` is where the commit is asked for."""
    versions = {"facenas": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # an optional one
    return Record(
        SCHEMA,
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        commit_of(checkout),
        quick,
        read_fingerprint(resolve_target("cpu")),
        versions,
        dict(timings),
        dict(figures),
    )


def commit_of(checkout: Path) -> str:
    """The commit that is checked out, with `+` where files differ from it; `unknown` where git does not say."""
    try:
        name = _git(checkout, "rev-parse", "--short=12", "HEAD")
        return name + "+" * bool(_git(checkout, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(checkout: Path, *arguments: str) -> str:
    # The checkout's own configuration may name programs to run.
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", str(checkout), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def require_new(path: Path) -> None:
    """Raises InputError where there is something at `path`: worth asking before minutes of measuring."""
    if path.exists():
        raise InputError(f"{path} exists, and records are never overwritten; give another name, or remove it yourself")


def write_record(record: Record, path: Path) -> None:
    """Write a record. Raises InputError where the file exists: a record is not changed after the fact."""
    require_new(path)
    write_json(path, record.to_json())


def read_record(path: Path) -> Record:
    """Raises InputError for what is no record, or one of another schema."""
    value = read_json(path, "benchmark record")
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != SCHEMA:
        raise InputError(
            f"{path} is no benchmark record of schema {SCHEMA} (its schema: {schema}); make it again: "
            "facenas bench --out F"
        )
    try:
        fingerprint = fingerprint_from_json(value.get("fingerprint"))
    except TableError as error:
        raise InputError(f"{path}: {error}") from error
    plain = read_as(_PlainRecord, value, str(path))
    return Record(
        SCHEMA,
        plain.date,
        plain.commit,
        plain.quick,
        fingerprint,
        plain.versions,
        plain.timings,
        plain.figures,
    )


@dataclass(frozen=True)
class _PlainRecord:
    """A record's fields but for its fingerprint, which has a reader of its own."""

    date: str
    commit: str
    quick: bool
    versions: Mapping[str, str]
    timings: Mapping[str, Timing]
    figures: Mapping[str, float]


def require_comparable(baseline: Record, record: Record) -> None:
    """Raises InputError, in words, where the two come from different machines or are of different extents."""
    for name in _MACHINE:
        then, now = getattr(baseline.fingerprint, name), getattr(record.fingerprint, name)
        if then != now:
            raise InputError(
                f"the baseline is from another machine ({name.replace('_', ' ')}: {_words(then)}; here {_words(now)}); "
                "times of two machines do not compare: make a baseline here with facenas bench --out F"
            )
    if baseline.quick != record.quick:
        kind = {True: "with --quick", False: "without --quick"}
        raise InputError(
            f"the baseline was made {kind[baseline.quick]}, this run {kind[record.quick]}; the workloads differ: "
            "run alike"
        )


def _words(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
