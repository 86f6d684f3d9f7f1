"""Devices: the targets there are, whether they can be used or reached, and their tables."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from facenas.devices.host import transport_for
from facenas.devices.own_devices import OwnDevice, load_devices
from facenas.devices.target import JETSON, TARGET_NAMES
from facenas.devices.targets import resolve_target
from facenas.errors import FacenasError, TableError
from facenas.latency.table import find_table
from facenas.remote.remote_agent import RemoteAgent
from facenas.runtimes.runtime import why_unavailable
from facenas.units import DEFAULT_INPUT


@dataclass(frozen=True)
class Device:
    """A target: whether it is `available` here or answers elsewhere, else the `reason`; and of its table at the default
    input (that of ./latency_tables, else the one that ships) what it holds, None where there is none."""

    target: str
    hardware: str
    runtime: str
    precision: str
    available: bool
    reason: str | None
    table: str | None
    provenance: str | None
    error_percent: float | None
    age_days: int | None

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        return asdict(self)

    @property
    def cure(self) -> str:
        """How to make the table that is missing."""
        return f"make one: facenas profile --device {self.target}"


def list_devices() -> tuple[Device, ...]:
    """All targets that --device names; own devices elsewhere are asked whether they answer."""
    own = load_devices()
    with ThreadPoolExecutor(max_workers=8) as pool:
        asked = dict(zip(own, pool.map(_why_unreachable, own.values()), strict=True))
    return tuple(_device(name, own, asked) for name in dict.fromkeys((*TARGET_NAMES, *own)))


def _device(name: str, own: dict[str, OwnDevice], asked: dict[str, str | None]) -> Device:
    target = own[name].target if name in own else resolve_target(name)
    reason = asked[name] if name in own else why_unavailable(target)
    if name == JETSON and name not in own:
        reason = "say where it is: facenas profile --device jetson --host user@host, or facenas device add"
    known = (name, target.hardware, target.runtime, target.precision, reason is None, reason)
    try:
        table = find_table(target, DEFAULT_INPUT)
    except TableError:
        return Device(*known, None, None, None, None)
    made = datetime.fromisoformat(table.date)
    age = datetime.now(UTC) - (made if made.tzinfo else made.replace(tzinfo=UTC))
    words = f"{len(table.operators)} operators, {table.date[:10]}"
    error_percent = round(table.calibration.error_percent, 1)
    return Device(*known, words, table.provenance, error_percent, max(0, age.days))


def _why_unreachable(device: OwnDevice) -> str | None:
    """None where the device answers and has its runtime, else why not."""
    try:
        with RemoteAgent(device.target, transport_for(device.host), python=device.python) as agent:
            agent.connect()
    except FacenasError as error:
        return str(error)
    return None
