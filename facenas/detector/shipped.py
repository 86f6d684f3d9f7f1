"""The detector that ships with the package, so that `facenas detect photo.jpg` works at once."""

import importlib.resources
from pathlib import Path

from facenas.errors import InputError

SHIPPED_MODEL = "facenas-12ms.onnx"


def shipped_model_path() -> Path:
    """The path of the shipped model. Raises InputError where this installation has none."""
    path = Path(str(importlib.resources.files("facenas.detector"))) / SHIPPED_MODEL
    if not path.is_file():
        raise InputError("this installation ships no detector; give one with --model, made by `facenas run`")
    return path
