"""The exceptions of facenas, all under one base, so that the command line can turn any of them into one line and an exit code.

Exit codes (see the command-line contract in the README): 1 a gate failed or a budget cannot be met; 2 unusable words or input.
"""


class FacenasError(Exception):
    """Base of everything facenas raises on purpose. The message is one line: the value that was wrong, and the cure."""

    exit_code = 2


class InputError(FacenasError):
    """An argument, file, photo, label or architecture that cannot be used."""


class BudgetError(FacenasError):
    """No network of the space meets the budgets."""

    exit_code = 1


class TableError(FacenasError):
    """A latency table that is damaged, of another schema or target, or that lacks an operator."""


class MissingPackageError(FacenasError):
    """An optional package that the requested operation needs is not installed."""


class TrainingError(FacenasError):
    """Training cannot go on (for example a loss that is not finite)."""

    exit_code = 1


class BusyMachineError(FacenasError):
    """Other work on the machine spoils what is measured; nothing measured beside it is kept."""
