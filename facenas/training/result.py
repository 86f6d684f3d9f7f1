"""What a training says of itself when it ends, or stops to go on later."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facenas.shown import Rows, Shown, figures


@dataclass(frozen=True, repr=False)
class TrainingResult(Shown):
    """`checkpoint`: the file with the best validated weights (the last ones where nothing was validated).

    `step` of `steps` were made; fewer than all where the time was up (`finished` False, and then the file may not be
    there yet). `photos`: how many there are; `problems`: photos that turned out not to be readable, one line each.
    """

    checkpoint: Path
    epochs: int
    best: dict[str, float | None]
    step: int
    steps: int
    photos: int
    problems: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether the recipe's last step was made."""
        return self.step >= self.steps

    def line(self) -> str:
        """How far it is, and how good."""
        best = "  ".join(f"{name} {value:.3f}" for name, value in self.best.items() if value is not None)
        return f"step {self.step:,} of {self.steps:,}, best AP {best or 'not validated yet'}"

    def shown(self) -> tuple[Rows, ...]:
        """All figures."""
        best = "  ".join(f"{name} {value:.3f}" for name, value in self.best.items() if value is not None)
        rows = (
            ("checkpoint", str(self.checkpoint) if self.checkpoint.exists() else "none yet"),
            ("epochs", str(self.epochs)),
            ("steps", f"{self.step:,} of {self.steps:,}{'' if self.finished else '; go on with --resume'}"),
            ("best AP", best or "not validated yet"),
        )
        return (figures("trained", rows),)

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        checkpoint = str(self.checkpoint) if self.checkpoint.exists() else None
        progress = {"finished": self.finished, "step": self.step, "steps": self.steps}
        return {"checkpoint": checkpoint, "epochs": self.epochs, "best": self.best, **progress}
