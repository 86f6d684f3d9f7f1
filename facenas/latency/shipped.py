"""The tables that ship with facenas."""

import importlib.resources
from pathlib import Path

from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.units import DEFAULT_INPUT, Size


def table_file_name(target: Target, input_size: Size) -> str:
    """`cpu.json`, and for other inputs than 640x480 for example `cpu-320x256.json`."""
    return f"{target.name}.json" if input_size == DEFAULT_INPUT else f"{target.name}-{input_size}.json"


def shipped_table_path(target_name: str, input_size: Size = DEFAULT_INPUT) -> Path | None:
    """The table that ships for a target and an input size, or None."""
    folder = Path(str(importlib.resources.files("facenas.latency_tables")))
    path = folder / table_file_name(resolve_target(target_name), input_size)
    return path if path.is_file() else None
