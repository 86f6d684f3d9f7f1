"""Where an exported file runs: on this machine, or on a device elsewhere over one connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from facenas.devices.fingerprint import Fingerprint
from facenas.devices.own_devices import load_devices
from facenas.devices.target import MODELLED_NAMES, Target
from facenas.progress import SILENT, Progress
from facenas.remote.remote_model import RemoteModel, kept_agent
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.runtime import Load, load_model, read_fingerprint, why_unavailable


@dataclass(frozen=True)
class Place:
    """`load` compiles a file for a target there; `fingerprint`: of what runs it, None where this machine cannot."""

    load: Load
    fingerprint: Fingerprint | None


def is_reached(target: Target) -> bool:
    """Whether something runs files for a target: this machine, or a device elsewhere that was added."""
    if target.elsewhere:
        return target.name in load_devices()
    return target.name not in MODELLED_NAMES and why_unavailable(target) is None


@contextmanager
def place_of(target: Target, progress: Progress = SILENT) -> Iterator[Place]:
    """Where a target's files run, as long as the block lasts. Raises InputError for a device elsewhere that was not added,
    DeviceError for one that cannot be reached."""
    if not target.elsewhere:
        yield Place(load_model, read_fingerprint(target) if why_unavailable(target) is None else None)
        return
    with kept_agent(target, progress) as agent:

        def load(model: Path | bytes, wanted: Target) -> CompiledModel:
            return RemoteModel(agent, model) if wanted.name == target.name else load_model(model, wanted)

        yield Place(load, agent.fingerprint)
