"""Search results as tables for a person."""

from facenas.cli.output import print_table
from facenas.search.result import CostRange, SearchResult


def print_search(result: SearchResult) -> None:
    """The ranges of the space against the budgets, the best candidates, and the certificate."""
    rows = [
        (
            entry.name,
            _quantity(entry, entry.least),
            _quantity(entry, entry.median),
            _quantity(entry, entry.largest),
            "" if entry.limit is None else _quantity(entry, entry.limit),
        )
        for entry in result.ranges
    ]
    print_table(f"space {result.space} at {result.input}", ("cost", "least", "median", "largest", "budget"), rows)
    print_table(
        "best candidates (latency is predicted)",
        (
            "architecture",
            "DDSAR",
            *(f"{name} ({result.provenance[name]})" for name in result.best.latency_ms),
            *(f"{name} measured here" for name in result.best.measured_ms),
            "FLOPs",
            "parameters",
        ),
        [
            (
                candidate.architecture,
                f"{candidate.ddsar:.4f}",
                *(f"{value:.2f} ms" for value in candidate.latency_ms.values()),
                *(f"{value:.2f} ms" for value in candidate.measured_ms.values()),
                f"{candidate.flops / 1e6:.1f} M",
                f"{candidate.params:,}",
            )
            for candidate in result.top
        ],
    )
    certificate = result.certificate
    size = f"the {certificate.space_size:,} networks of the space"
    if certificate.bound is None:
        print(f"the best of {certificate.labels:,} candidates; what else {size} hold is not known")
        return
    value = "scores" if result.ranked_by == "ddsar" else f"has by {result.ranked_by}"
    known = "certified: none" if certificate.optimal else "not the certified best; none"
    print(
        f"{known} of {size} {value} more than {certificate.bound:.6f}"
        f" within the budgets ({certificate.labels:,} partial networks were formed)"
    )


def _quantity(entry: CostRange, value: float) -> str:
    if entry.name.startswith("latency"):
        return f"{value:.2f} ms"
    return f"{value / 1e6:.2f} M" if entry.name in ("flops", "params", "released_flops") else f"{value:g}"
