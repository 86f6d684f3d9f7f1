"""Budgets as typed on the command line: `--latency 5ms`, or one a device: `--latency cpu=8ms --latency npu=5ms`."""

from collections.abc import Sequence

from facenas.errors import InputError
from facenas.search.problem import Budgets
from facenas.units import parse_bytes, parse_count, parse_latency_ms


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
        latency_ms[device] = parse_latency_ms(value)
    return Budgets(
        latency_ms,
        None if flops is None else parse_count(flops, "FLOPs"),
        None if params is None else parse_count(params, "parameters"),
        layers,
        None if memory is None else parse_bytes(memory),
        None if released_flops is None else parse_count(released_flops, "released FLOPs"),
    )
