"""Numbers as a person reads them, and what a latency's provenance is called."""

from collections.abc import Mapping

NOT_RECORDED = "provenance not recorded"
ESTIMATED = "vendor-estimated (Vela)"
_PREDICTED: Mapping[str, str] = {
    "measured": "predicted from a measured table",
    "vendor-estimated": "predicted from vendor-estimated costs",
    "modelled": "modelled, not measured",
}


def in_ms(value_ms: float) -> str:
    """A latency with its unit, to three or four digits."""
    digits = 3 if abs(value_ms) < 1 else 2 if abs(value_ms) < 100 else 1
    return f"{value_ms:.{digits}f} ms"


def in_millions(value: float) -> str:
    """A count such as FLOPs or parameters, in millions."""
    millions = value / 1e6
    return f"{millions:,.{3 if millions < 1 else 1}f} M"


def in_megabytes(value_bytes: float) -> str:
    """Bytes as decimal megabytes."""
    return f"{value_bytes / 1e6:.2f} MB"


def in_seconds(value_s: float) -> str:
    """A duration in seconds, minutes or hours."""
    if value_s < 90:
        return f"{value_s:.1f} s"
    return f"{value_s / 60:.1f} min" if value_s < 5400 else f"{value_s / 3600:.1f} h"


def in_percent(share: float) -> str:
    """A share of 0 to 1 in per cent."""
    return f"{100 * share:.1f} %"


def predicted_from(provenance: str | None) -> str:
    """Words for a predicted latency, from the provenance of the table that it was predicted with."""
    if provenance is None:
        return NOT_RECORDED
    return _PREDICTED.get(provenance, f"predicted; the table's provenance is '{provenance}'")


def cost_name(name: str) -> str:
    """The name of a budgeted cost as a person says it: `latency cpu` is `latency on cpu`."""
    if name.startswith("latency "):
        return f"latency on {name.removeprefix('latency ')}"
    names = {"flops": "FLOPs", "params": "parameters", "memory": "peak memory", "released_flops": "released FLOPs"}
    return names.get(name, name)


def cost_value(name: str, value: float) -> str:
    """The value of a budgeted cost with its unit."""
    if name.startswith("latency "):
        return in_ms(value)
    if name in ("flops", "params", "released_flops"):
        return in_millions(value)
    return in_megabytes(value) if name == "memory" else f"{value:g}"
