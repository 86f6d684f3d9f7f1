"""What a run is asked for: the settings, and all of it as run.json keeps it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from facenas.data.face_sizes import FaceSizes
from facenas.errors import InputError
from facenas.latency.this_machine import Calibrate
from facenas.searching.any_input import AskedInput, as_text
from facenas.searching.budgets import Budgets
from facenas.spaces import DEFAULT_SPACE
from facenas.units import LOW_PERCENTILE, LatencyBudget

_NEWER = ("supernet", "photos", "input_size", "faces", "init", "teacher", "top", "params", "memory_bytes")
"""Runs before there were these go on."""
_NO_RESULT = ("calibrate", "max_minutes")
"""When something is done, not what: a table that is there stays, and a training that was cut goes on."""
_OF_A_TRAINING = ("epochs", "init", "teacher", "top", "max_minutes")


@dataclass(frozen=True)
class RunSettings:
    """`val`: labelled photos to verify on (default: a part of the data); `epochs`: length of the training (default: 90
    synthetic, 12 on photos); `space`: default facenas-elastic, whose supernet ships; `supernet`: of the
    space (default: the zoo's); `photos`: folder of unlabelled ones for the norms of its slice (default: synthetic ones);
    `input_size`: one, several or any, as `search` takes them; `table`: default the shipped one; `seed`: of the training;
    `calibrate`: whether the table is made this machine's; `faces`: whose sizes weigh the accuracy; `init`: checkpoint or name
    of the zoo to start from (default: the slice of the supernet); `teacher`: stronger detector to learn from; `top`: so many
    of the search's best are trained briefly first, 2 or more; `params`: budget of parameters; `memory_bytes`: budget of the
    peak memory in bytes; `max_minutes`: the training ends then."""

    val: Path | None = None
    epochs: int | None = None
    space: str = DEFAULT_SPACE
    supernet: Path | None = None
    photos: Path | None = None
    input_size: AskedInput = None
    table: Path | None = None
    seed: int = 0
    calibrate: Calibrate = Calibrate.ONCE
    faces: FaceSizes | None = None
    init: Path | str | None = None
    teacher: Path | None = None
    top: int | None = None
    params: float | None = None
    memory_bytes: float | None = None
    max_minutes: float | None = None

    def require_no_training(self) -> None:
        """Raises InputError where something is asked of a training, and there is none."""
        for name in _OF_A_TRAINING:
            if (value := getattr(self, name)) is not None:
                option = f"--{name.replace('_', '-')} {value}"
                raise InputError(f"{option}: a slice of a supernet is not trained; add --data, or leave it out")


@dataclass(frozen=True)
class Asked:
    """What a run was asked for; `data` None: a synthetic set."""

    device: str
    budget: LatencyBudget
    data: Path | None
    settings: RunSettings

    def budgets(self, share: float = 1.0) -> Budgets:
        """All of them, with `share` of the latency."""
        percentile, settings = self.budget.percentile, self.settings
        return Budgets(
            {self.device: share * self.budget.limit_ms},
            params=settings.params,
            memory_bytes=settings.memory_bytes,
            percentiles={} if percentile == LOW_PERCENTILE else {self.device: percentile},
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values of what decides the result."""
        settings = {field.name: getattr(self.settings, field.name) for field in fields(self.settings)}
        for name in _NO_RESULT:
            del settings[name]
        settings = {key: value for key, value in settings.items() if value is not None or key not in _NEWER}
        if not isinstance(settings.get("input_size", ""), str):
            settings["input_size"] = as_text(settings["input_size"])
        if self.settings.faces is not None:
            settings["faces"] = list(self.settings.faces.shares())
        plain = {"device": self.device, "budget": self.budget, "data": self.data, **settings}
        return {key: str(value) if isinstance(value, Path | LatencyBudget) else value for key, value in plain.items()}
