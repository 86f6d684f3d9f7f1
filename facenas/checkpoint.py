"""Checkpoints: tensors in safetensors, everything else as JSON in the file's own metadata. No pickle, and no torch.

Tensor names are the graph's (`backbone.stage1.0.conv.weight`), so an exporter folds them without importing torch.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facenas.architecture import Architecture, parse_architecture
from facenas.errors import InputError
from facenas.files import is_file, parse_json, write_atomic
from facenas.units import Size, parse_size

SCHEMA = 1
_METADATA_KEY = "facenas"
_AVERAGE = "average/"


@dataclass(frozen=True)
class TrainedSpace:
    """The elastic space that a supernet is of: its name, and the SHA-256 of its choices, which is what counts."""

    name: str
    digest: str


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Weights of a detector (float arrays by graph name) and how they came about (`origin`: data, recipe, step, AP).

    `space`: of a supernet; the detector then is the largest of it, and its norms have no moments.
    """

    detector: Architecture
    input_size: Size
    tensors: Mapping[str, npt.NDArray[Any]]
    origin: Mapping[str, Any]
    space: TrainedSpace | None = None


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically; tensors in half precision take half the space, and are read as float32 again."""
    from safetensors.numpy import save

    detector = checkpoint.detector
    header = {
        "schema": SCHEMA,
        "architecture": str(detector),
        "landmarks": detector.landmarks,
        "input": str(checkpoint.input_size),
        "origin": dict(checkpoint.origin),
    }
    if checkpoint.space is not None:
        header["space"] = asdict(checkpoint.space)
    tensors = {name: np.asarray(tensor, order="C") for name, tensor in sorted(checkpoint.tensors.items())}
    write_atomic(path, save(tensors, {_METADATA_KEY: json.dumps(header)}))


def _widened(tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return tensor.astype(np.float32) if tensor.dtype == np.float16 else tensor


def load_checkpoint(path: Path, *, supernet: bool = False) -> Checkpoint:
    """Read a checkpoint. Raises InputError where the file is absent, cut off, or none of ours, and where it holds a
    supernet though that is not allowed for (`supernet`).
    """
    from safetensors import SafetensorError, safe_open

    if not is_file(path):
        raise InputError(f"no checkpoint at {path}; check the path or train one with `facenas train`")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: _widened(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        header = _header(metadata[_METADATA_KEY])
        if header["schema"] != SCHEMA:
            raise InputError(
                f"checkpoint {path} has schema {header['schema']}, this facenas reads {SCHEMA}; train again"
            )
        detector = parse_architecture(header["architecture"])
        detector = Architecture(detector.backbone, detector.neck_and_head, bool(header["landmarks"]))
        space = TrainedSpace(**header["space"]) if "space" in header else None
        if space is not None and not supernet:
            raise InputError(
                f"{path} is a supernet of space '{space.name}', no single detector; cut one out with `facenas slice"
                f" --supernet {path} --arch ARCH` and give that"
            )
        odd = next((name for name, tensor in tensors.items() if not np.isfinite(tensor).all()), None)
        if odd is not None:
            raise InputError(f"checkpoint {path} has weights that are not finite ({odd}); train again")
        return Checkpoint(detector, parse_size(header["input"]), tensors, dict(header["origin"]), space)
    except SafetensorError as error:
        raise InputError(f"checkpoint {path} is no whole safetensors file ({error}); copy or train it again") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"checkpoint {path} was not written by facenas (no readable header); train one") from error


def _header(text: str) -> Any:
    """Raises ValueError for what is no JSON of ours."""
    try:
        return parse_json(text, "the header")
    except InputError as error:
        raise ValueError(str(error)) from error


def load_weights(path: Path) -> Checkpoint:
    """The weights of one detector: a checkpoint, or the running average of a training's last state. Raises InputError as
    `load_checkpoint` does."""
    return without_state(load_checkpoint(path))


def without_state(checkpoint: Checkpoint) -> Checkpoint:
    """The weights to use of a training's last state, which are their running average; any other checkpoint as it is."""
    average = {
        name.removeprefix(_AVERAGE): tensor for name, tensor in checkpoint.tensors.items() if name.startswith(_AVERAGE)
    }
    return replace(checkpoint, tensors=average) if average else checkpoint
