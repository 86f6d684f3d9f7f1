"""The exceptions of facenas, all under one base, so that the command line can turn any of them into one line and an exit code.

Exit codes (see the command-line contract in the README): 1 a gate failed or a budget cannot be met; 2 unusable words or input.
"""

import unicodedata
from collections.abc import Iterable

_MOST_CHARACTERS = 4000
_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, marks of direction, lone surrogates, line and paragraph ends


def printable(text: str) -> str:
    """`text` as one line that steers no terminal: what came from a file name or a device is written as an escape."""
    if not text.isprintable():
        text = "".join(_escaped(each) if unicodedata.category(each) in _STEERING else each for each in text)
    return text


def meant(given: str, known: Iterable[str]) -> str:
    """`; did you mean 'cpu'?`, for the end of a message about a name that is none of `known`; empty where none is like it."""
    from difflib import get_close_matches

    small = {name.lower(): name for name in known}
    near = get_close_matches(given.lower(), small, n=1)
    return f"; did you mean '{small[near[0]]}'?" if near else ""


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class FacenasError(Exception):
    """Base of everything facenas raises on purpose. The message is one line: the value that was wrong, and the cure."""

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        line = printable(str(message))
        super().__init__(line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}...")


class InputError(FacenasError):
    """An argument, file, photo, label or architecture that cannot be used."""


class BudgetError(FacenasError):
    """No network of the space meets the budgets."""

    exit_code = 1


class LatencyBudgetError(BudgetError):
    """No network of the space is as fast: the least possible on `target` is `least_ms`, of which `offset_ms` is paid for
    no operator."""

    def __init__(self, message: str, target: str, limit_ms: float, least_ms: float, offset_ms: float) -> None:
        super().__init__(message)
        self.target, self.limit_ms, self.least_ms, self.offset_ms = target, limit_ms, least_ms, offset_ms


class TableError(FacenasError):
    """A latency table that is damaged, of another schema or target, or that lacks an operator."""


class MissingPackageError(FacenasError):
    """An optional package that the requested operation needs is not installed."""


class TrainingError(FacenasError):
    """Training cannot go on (for example a loss that is not finite)."""

    exit_code = 1


class BusyMachineError(FacenasError):
    """Other work on the machine spoils what is measured; nothing measured beside it is kept."""


class DeviceError(FacenasError):
    """A device cannot be reached or used; the message says why and what to do."""


class ConnectionLostError(DeviceError):
    """The connection ended, or what came over it was damaged; a new one may work."""


class DeviceTimeoutError(ConnectionLostError):
    """The device gave no answer in time."""


class AgentError(FacenasError):
    """The network could not be measured; the message says why."""


class PassingFaultError(AgentError):
    """The network could not be measured now, but may be later: memory ended, a build lasted too long."""


class AgentEndedError(DeviceError):
    """The agent's process ended while it was asked, with an exit code as a shell tells it: 128 + n for signal n."""

    def __init__(self, code: int, last_words: str) -> None:
        super().__init__(last_words)
        self.code = code
