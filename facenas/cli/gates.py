"""The gates of a verification as a table for a person."""

from collections.abc import Iterable, Mapping
from typing import Any

from facenas.cli.output import print_table
from facenas.evaluation.gates import VERDICTS
from facenas.evaluation.verification import Verification


def print_gates(verification: Verification) -> None:
    """All gates with value and limit, and the average precisions."""
    values = verification.to_json()
    print_gate_rows(values["gates"])
    if verification.departure is not None:
        print(str(verification.departure))
    for name, figures in (("reference", verification.reference_ap), ("artefact", verification.artefact_ap)):
        text = "  ".join(f"{setting} {value:.4f}" for setting, value in figures.items() if value is not None)
        if text:
            print(f"average precision of the {name} on {verification.data}: {text}")
    print(_verdict(verification))


def _verdict(verification: Verification) -> str:
    """The last line: what failed, or else what passed and what nobody has measured."""
    failed = [gate.name for gate in verification.gates if gate.passed is False]
    if failed:
        return "FAILED: " + ", ".join(failed)
    open_gates = [gate.name for gate in verification.gates if gate.passed is None]
    return "passed, but not measured: " + ", ".join(open_gates) if open_gates else "passed"


def print_gate_rows(gates: Iterable[Mapping[str, Any]]) -> None:
    """One line a gate."""
    rows = [
        (
            gate["name"],
            VERDICTS[gate["passed"]],
            "" if gate["value"] is None else f"{gate['value']:.4g}",
            "" if gate["limit"] is None else f"{gate['limit']:.4g}",
            gate["note"],
        )
        for gate in gates
    ]
    print_table("gates", ("gate", "verdict", "value", "limit", "what"), rows)
