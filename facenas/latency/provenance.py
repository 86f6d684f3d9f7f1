"""What the provenance of a latency is called."""

from collections.abc import Mapping

NOT_RECORDED = "provenance not recorded"
ESTIMATED = "vendor-estimated (Vela)"
_PREDICTED: Mapping[str, str] = {
    "measured": "predicted from a measured table",
    "vendor-estimated": "predicted from vendor-estimated costs",
    "modelled": "modelled, not measured",
}


def predicted_from(provenance: str | None) -> str:
    """Words for a predicted latency, from the provenance of the table that it was predicted with."""
    if provenance is None:
        return NOT_RECORDED
    return _PREDICTED.get(provenance, f"predicted; the table's provenance is '{provenance}'")
