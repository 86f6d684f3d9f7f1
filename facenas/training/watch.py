"""A training in TensorBoard: the lines of its curve as scalars, in the folder `tensorboard` beside it."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from facenas.errors import MissingPackageError

INSTALL = "pip install 'facenas[tensorboard]'"
_NO_FIGURES = ("step", "steps")
_LOSSES = ("score", "box", "landmark")


def require_tensorboard() -> None:
    """Raises MissingPackageError where nothing can write for TensorBoard."""
    if find_spec("tensorboard") is None:
        raise MissingPackageError(f"--tensorboard needs the package tensorboard, which is not installed: {INSTALL}")


class TensorBoard:
    """Writes below `folder` what comes after `step`; what an earlier training wrote after it is no longer shown."""

    def __init__(self, folder: Path, step: int) -> None:
        require_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line of the curve: `loss/score`, `AP/hard`, `speed/crops a second`, of supernets with the member's name."""
        for name, value in line.items():
            if name not in _NO_FIGURES:
                self._writer.add_scalar(_tag(name), value, int(line["step"]))
        self._writer.flush()

    def close(self) -> None:
        """What was added stays."""
        self._writer.close()


def _tag(name: str) -> str:
    """Of a figure of the curve; those of one kind stand together in TensorBoard."""
    if name == "crops_per_s":
        return "speed/crops a second"
    member, _, figure = name.rpartition(" ")
    kind = "loss" if figure in _LOSSES else "AP"
    return f"{kind}/{figure}{f' of the {member}' if member else ''}"
