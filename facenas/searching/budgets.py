"""Budgets: what a network may cost at most, and how that is typed: `--latency 5ms`, `--latency 5ms@p90`, or one a
device: `--latency cpu=8ms`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from facenas.cost import FLOPS, LAYERS, MEMORY, PARAMS, RELEASED_FLOPS, latency_cost
from facenas.errors import InputError
from facenas.units import LOW_PERCENTILE, parse_bytes, parse_count, parse_latency_budget


@dataclass(frozen=True)
class Budgets:
    """Upper limits; None or an absent target means no limit. `latency_ms`: by target name, `percentiles` of the runs that
    must keep it where that is not the 20th.

    `flops` are the whole detector's at the input size, `released_flops` the backbone's as the release counts them.
    """

    latency_ms: Mapping[str, float]
    flops: float | None = None
    params: float | None = None
    layers: int | None = None
    memory_bytes: float | None = None
    released_flops: float | None = None
    percentiles: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, value in self.limits.items():
            if not value > 0:
                raise InputError(f"{key} budget {value} must be more than zero")

    @property
    def limits(self) -> Mapping[str, float]:
        """Every limit that there is, by the key of its cost."""
        limits = {latency_cost(name).key: value for name, value in self.latency_ms.items()}
        counted = {FLOPS: self.flops, PARAMS: self.params, LAYERS: self.layers, MEMORY: self.memory_bytes}
        counted |= {RELEASED_FLOPS: self.released_flops}
        return limits | {cost.key: value for cost, value in counted.items() if value is not None}


def parse_budgets(
    latency: Sequence[str],
    devices: Sequence[str],
    flops: str | None,
    params: str | None,
    memory: str | None,
    layers: int | None,
    released_flops: str | None = None,
) -> Budgets:
    """The budgets of a search on `devices`. Raises InputError for a missing unit, an unknown or repeated device."""
    latency_ms: dict[str, float] = {}
    percentiles: dict[str, int] = {}
    for text in latency:
        device, equals, value = text.rpartition("=")
        if not devices:
            raise InputError(f"latency '{text}' needs a device; drop --device none")
        if not equals:
            if len(devices) > 1:
                raise InputError(f"latency '{text}' fits {len(devices)} devices; say whose, e.g. {devices[0]}={text}")
            device = devices[0]
        if device not in devices:
            raise InputError(f"latency budget for '{device}', which is no --device here; add --device {device}")
        if device in latency_ms:
            raise InputError(f"two latency budgets for '{device}': {latency_ms[device]:g}ms and {value}; keep one")
        budget = parse_latency_budget(value)
        latency_ms[device] = budget.limit_ms
        if budget.percentile != LOW_PERCENTILE:
            percentiles[device] = budget.percentile
    return Budgets(
        latency_ms,
        None if flops is None else parse_count(flops, "FLOPs"),
        None if params is None else parse_count(params, "parameters"),
        layers,
        None if memory is None else parse_bytes(memory),
        None if released_flops is None else parse_count(released_flops, "released FLOPs"),
        percentiles,
    )
