"""The zoo: trained detectors that ship with the package, by name, so that `facenas detect photo.jpg` works at once.

A detector of the zoo is NAME.onnx to detect with, NAME.safetensors to train on and to verify against, NAME.md, its card (data
and their terms, recipe, accuracy, latency), and NAME.bom.json, what its weights are made of (not recorded for facenas-12ms, the
oldest). Wherever a command takes a model or a checkpoint, it takes such a name too. A supernet is SPACE.safetensors with its
card, its NAME.bom.json, and SPACE.accuracy.json, its accuracy table.
"""

import importlib.resources
from pathlib import Path

from facenas.errors import InputError, meant

ZOO_NAMES = ("facenas-1ms", "facenas-2.5ms", "facenas-5ms", "facenas-10ms", "facenas-12ms")
SUPERNET_NAMES = ("facenas-elastic",)
DEFAULT_NAME = "facenas-10ms"


def zoo_model(name: str = DEFAULT_NAME) -> Path:
    """The ONNX file of a detector of the zoo. Raises InputError for another name, or where this installation lacks it."""
    return _file_of(name, ".onnx")


def zoo_checkpoint(name: str = DEFAULT_NAME) -> Path:
    """The weights of a detector of the zoo, .safetensors. Raises InputError as `zoo_model` does."""
    return _file_of(name, ".safetensors")


def zoo_supernet(space: str) -> Path | None:
    """The supernet of a space, .safetensors, where one ships."""
    return _of_supernet(space, ".safetensors")


def zoo_accuracy_table(space: str) -> Path | None:
    """The accuracy table of the zoo's supernet of a space, where one ships."""
    return _of_supernet(space, ".accuracy.json")


def _of_supernet(space: str, suffix: str) -> Path | None:
    path = Path(str(importlib.resources.files(__name__))) / f"{space}{suffix}"
    return path if space in SUPERNET_NAMES and path.is_file() else None


def model_path(given: Path) -> Path:
    """The zoo's model where `given` is one of its names, else `given` itself."""
    return zoo_model(str(given)) if _is_name(given) else given


def checkpoint_path(given: Path) -> Path:
    """The zoo's checkpoint or supernet where `given` is one of its names, else `given` itself."""
    supernet = None if given.exists() else zoo_supernet(str(given))
    return supernet or (zoo_checkpoint(str(given)) if _is_name(given) else given)


def _is_name(given: Path) -> bool:
    """A file of the user's own that has the name goes first."""
    return str(given) in ZOO_NAMES and not given.exists()


def _file_of(name: str, suffix: str) -> Path:
    if name not in ZOO_NAMES:
        known = ", ".join(ZOO_NAMES)
        raise InputError(f"no detector '{name}' ships with facenas; there are {known}{meant(name, ZOO_NAMES)}")
    path = Path(str(importlib.resources.files(__name__))) / f"{name}{suffix}"
    if not path.is_file():
        raise InputError(f"this installation lacks {path.name}; install facenas again, or give a file of your own")
    return path
