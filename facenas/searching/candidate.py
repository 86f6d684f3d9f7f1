"""One network that a search found: what it scores and what it costs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from facenas.cost import FLOPS, LAYERS, MEMORY, PARAMS, RELEASED_FLOPS, latency_cost


@dataclass(frozen=True)
class Candidate:
    """A detector and what it costs; `latency_ms` by target, predicted.

    `flops` and `params` are the whole detector's at the input size, `released_flops` the backbone's as the release
    counts them. Filled where they were asked for: `ranked`, the value of another ranking than DDSAR (which was
    maximised), `reranked`, that of a measure that put the best in order, and what confirmed it by target: `measured_ms`,
    or `estimated_ms` where only the vendor's compiler tells it; `ap`: the average precision that an accuracy table
    predicts, `judged_ap`: that of the supernet's slice on labelled photos.
    """

    architecture: str
    ddsar: float
    latency_ms: Mapping[str, float]
    flops: int
    params: int
    layers: int
    peak_memory_bytes: int
    released_flops: int | None = None
    ranked: Mapping[str, float] = field(default_factory=dict)
    reranked: Mapping[str, float] = field(default_factory=dict)
    measured_ms: Mapping[str, float] = field(default_factory=dict)
    estimated_ms: Mapping[str, float] = field(default_factory=dict)
    ap: float | None = None
    judged_ap: float | None = None

    @property
    def found_ms(self) -> Mapping[str, float]:
        """The measurements and estimates, by target."""
        return {**self.measured_ms, **self.estimated_ms}

    @property
    def costs(self) -> dict[str, float]:
        """What budgets can limit, by the key of the cost."""
        costs = {latency_cost(target).key: value for target, value in self.latency_ms.items()}
        counted = {FLOPS: self.flops, PARAMS: self.params, LAYERS: self.layers, MEMORY: self.peak_memory_bytes}
        counted |= {RELEASED_FLOPS: self.released_flops or 0}
        return costs | {cost.key: float(value) for cost, value in counted.items()}

    def to_json(self) -> dict[str, Any]:
        """All fields but the empty ones."""
        return {key: value for key, value in asdict(self).items() if value not in ({}, None) or key == "latency_ms"}
