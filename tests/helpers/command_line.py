"""What a command left, as a person would see it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """Exit code, stdout, stderr."""

    code: int
    out: str
    err: str
