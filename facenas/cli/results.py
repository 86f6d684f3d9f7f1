"""Results of searches and verifications as tables for a person."""

from facenas.cli.output import print_table
from facenas.cost import cost_of, latency_cost
from facenas.searching.result import CostRange, SearchResult

RANKED_QUANTITIES = {"flops": "backbone GFLOPs", "params": "backbone parameters, millions", "random": "random value"}


def print_ranges(result: SearchResult) -> None:
    """What the networks of the space cost, against the budgets."""
    keys = {name: latency_cost(name).key for name in result.provenance}
    names = {keys[name]: f"{keys[name]} ({words})" for name, words in result.provenance.items()}
    rows = [
        (
            names.get(entry.name, entry.name),
            _quantity(entry, entry.least),
            _quantity(entry, entry.median),
            _quantity(entry, entry.largest),
            "" if entry.limit is None else _quantity(entry, entry.limit),
        )
        for entry in result.ranges
    ]
    title = f"space {result.space} at {result.input}: {result.certificate.space_size:,} networks"
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
