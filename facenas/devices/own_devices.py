"""The user's own devices, in `devices.toml` of the user's configuration folder: what `facenas device add` keeps.

[nano]
host = "user@jetson.local"
runtime = "tensorrt"
precision = "fp16"
threads = 1
python = "python3"
"""

import json
import os
import re
import tomllib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facenas.devices.host import transport_for
from facenas.devices.target import JETSON, TARGET_NAMES, Target
from facenas.errors import InputError, meant
from facenas.files import read_text, write_atomic
from facenas.locks import only_one

PRECISIONS = {
    "onnxruntime": ("fp32", "int8"),
    "openvino": ("fp32", "bf16"),
    "tensorrt": ("fp16", "fp32", "int8"),
    "ai-edge-litert": ("int8",),
    "ncnn": ("fp32", "fp16"),
}
_MAX_BYTES, _MAX_DOTS = 1_000_000, 50  # a key of very many parts would take gigabytes
_PATIENCE_S = 60.0
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_FIELDS = {"host": str, "runtime": str, "precision": str, "threads": int, "python": str}


@dataclass(frozen=True)
class OwnDevice:
    """A device elsewhere: where it is, and what runs there. Raises InputError for what cannot be."""

    name: str
    host: str
    runtime: str
    precision: str
    threads: int = 1
    python: str = "python3"

    def __post_init__(self) -> None:
        transport_for(self.host)
        if not _NAME.fullmatch(self.name) or len(self.name) > 40:
            raise InputError(f"'{self.name}' is no name of a device; use small letters, digits and '-', as in nano-2")
        if self.runtime not in PRECISIONS:
            raise InputError(
                f"runtime '{self.runtime}' is none of {', '.join(PRECISIONS)}{meant(self.runtime, PRECISIONS)}"
            )
        if self.precision not in PRECISIONS[self.runtime]:
            known = ", ".join(PRECISIONS[self.runtime])
            raise InputError(f"precision '{self.precision}' is none of those of {self.runtime}: {known}")
        if not 1 <= self.threads <= 1024:
            raise InputError(f"{self.threads} threads cannot be; give 1 to 1024")
        if self.name in TARGET_NAMES and self.name != JETSON:
            raise InputError(f"'{self.name}' is a name that facenas has given already; choose another")
        if self.name == JETSON and (self.runtime, self.precision) != ("tensorrt", "fp16"):
            raise InputError(f"'{JETSON}' stands for TensorRT in fp16; choose another name for {self.runtime}")

    @property
    def target(self) -> Target:
        """What `--device` with this name stands for."""
        return Target(self.name, f"device at {self.host}", self.runtime, self.precision, self.threads, elsewhere=True)


def devices_file() -> Path:
    """Where the user's devices are kept: $XDG_CONFIG_HOME/facenas/devices.toml, else under ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - which never raises
    return Path(base) / "facenas/devices.toml"


def load_devices() -> dict[str, OwnDevice]:
    """The user's devices by name. Raises InputError where the file is damaged."""
    path = devices_file()
    if not path.exists():
        return {}
    text = read_text(path, "list of devices", _MAX_BYTES)
    try:
        if any(line.count(".") > _MAX_DOTS for line in text.splitlines()):
            raise InputError(f"cannot read {path}: a line of more than {_MAX_DOTS} dots; mend or delete it")
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tomllib's own error is a ValueError, too
        raise InputError(f"cannot read {path}: {error}; mend or delete it") from error
    try:
        return {name: _device(name, table) for name, table in tables.items()}
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _device(name: str, table: Any) -> OwnDevice:
    if not isinstance(table, dict) or not {"host", "runtime", "precision"} <= set(table) <= set(_FIELDS):
        raise InputError(f"[{name}] needs host, runtime and precision, and may have threads and python; nothing else")
    for field, value in table.items():
        if type(value) is not _FIELDS[field]:
            raise InputError(f"[{name}] has {field} = {value!r}, needs a {_FIELDS[field].__name__}")
    return OwnDevice(name, **table)


def add_command(target: Target, name: str = "", host: str = "user@host") -> str:
    """What keeps a device with a target's runtime and precision, under the target's name where no other is given."""
    return f"facenas device add {name or target.name} --host {host} --runtime {target.runtime} --precision {target.precision}"


def add_device(device: OwnDevice) -> None:
    """Keep a device. Raises InputError where one of that name is kept already."""
    with _alone():
        devices = load_devices()
        if device.name in devices:
            raise InputError(
                f"there is a device '{device.name}' already; remove it first: facenas device remove {device.name}"
            )
        _save({**devices, device.name: device})


def remove_device(name: str) -> None:
    """Forget a device; its table stays. Raises InputError where there is none of that name."""
    with _alone():
        devices = load_devices()
        if name not in devices:
            raise InputError(
                f"there is no own device '{name}'; there are {', '.join(devices) or 'none'}{meant(name, devices)}"
            )
        _save({kept: device for kept, device in devices.items() if kept != name})


def _alone() -> AbstractContextManager[None]:
    """Held while the file is read and written anew, so that of several changes at once none is lost."""
    path = devices_file()
    if not path.is_absolute():
        raise InputError("there is no home folder to keep devices in; set HOME or XDG_CONFIG_HOME")
    return only_one(path.with_suffix(".lock"), "another change of the devices", wait_s=_PATIENCE_S)


def _save(devices: dict[str, OwnDevice]) -> None:
    # A JSON string or whole number is one of TOML, too.
    tables = [
        f"[{name}]\n" + "".join(f"{field} = {json.dumps(getattr(device, field))}\n" for field in _FIELDS)
        for name, device in sorted(devices.items())
    ]
    write_atomic(devices_file(), "\n".join(tables))
