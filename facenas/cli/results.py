"""Results of searches and verifications as tables for a person."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from facenas.cli.output import print_table
from facenas.cost import cost_of, latency_cost
from facenas.evaluation.gates import VERDICTS
from facenas.evaluation.verification import Verification
from facenas.searching.result import CostRange, SearchResult
from facenas.spaces.space import Space
from facenas.units import Size

RANKED_QUANTITIES = {"flops": "backbone GFLOPs", "params": "backbone parameters, millions", "random": "random value"}


def print_ranges(space: Space, input_size: Size, ranges: Sequence[CostRange], provenance: Mapping[str, str]) -> None:
    """What the networks of the space cost, against the budgets; `provenance` of the latencies by device."""
    keys = {name: latency_cost(name).key for name in provenance}
    names = {keys[name]: f"{keys[name]} ({words})" for name, words in provenance.items()}
    rows = [
        (
            names.get(entry.name, entry.name),
            _quantity(entry, entry.least),
            _quantity(entry, entry.median),
            _quantity(entry, entry.largest),
            "" if entry.limit is None else _quantity(entry, entry.limit),
        )
        for entry in ranges
    ]
    title = f"space {space.name} at {input_size}: {space.size:,} networks"
    print_table(title, ("cost", "least", "median of a sample", "largest of a sample", "budget"), rows)


def print_search(result: SearchResult) -> None:
    """The best candidates, and the certificate."""
    best = result.best
    print_table(
        "best candidates (latency is predicted)",
        (
            "architecture",
            "DDSAR",
            *(RANKED_QUANTITIES[name] for name in best.ranked),
            *best.reranked,
            *(f"{name} ({result.provenance[name]})" for name in best.latency_ms),
            *(f"{name} measured here" for name in best.measured_ms),
            *(f"{name} estimated by Vela" for name in best.estimated_ms),
            "FLOPs",
            "parameters",
        ),
        [
            (
                candidate.architecture,
                f"{candidate.ddsar:.4f}",
                *(f"{value:.4f}" for value in candidate.ranked.values()),
                *(f"{value:.2f}" for value in candidate.reranked.values()),
                *(f"{value:.2f} ms" for value in candidate.latency_ms.values()),
                *(f"{value:.2f} ms" for value in candidate.found_ms.values()),
                f"{candidate.flops / 1e6:.1f} M",
                f"{candidate.params:,}",
            )
            for candidate in result.top
        ],
    )
    if result.tightened_ms:
        asked = ", ".join(f"{name} {value:.2f} ms" for name, value in result.tightened_ms.items())
        how = " or ".join(
            word for word, found in (("measured", best.measured_ms), ("estimated", best.estimated_ms)) if found
        )
        print(f"the best of the budgets themselves were too slow when {how}; these were searched for {asked}")
    certificate = result.certificate
    size = f"the {certificate.space_size:,} networks of the space"
    if certificate.bound is None:
        print(f"the best of {certificate.labels:,} candidates; what else {size} hold is not known")
        return
    quantity = RANKED_QUANTITIES.get(result.ranked_by, "DDSAR")
    known = "certified" if certificate.optimal else "not the certified best, which does not stand first; certified"
    print(
        f"{known}: none of {size} within the budgets has a {quantity} above {certificate.bound:.6f}"
        f" ({certificate.labels:,} partial networks were formed)"
    )


def _quantity(entry: CostRange, value: float) -> str:
    unit = cost_of(entry.name).unit
    return f"{value / unit.size:.2f} {unit.symbol}" if unit.symbol else unit.text(value)


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
