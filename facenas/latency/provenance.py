"""Where a latency comes from: what its provenance is called, and the facts of the table behind it."""

from collections.abc import Mapping
from dataclasses import dataclass

from facenas.devices.fingerprint import Fingerprint, differences
from facenas.latency.table import COUNTERS, LatencyTable, ShortProfile
from facenas.quiet import MAX_ERROR_PERCENT

MAX_UNSTABLE_SHARE = 0.2
_NOT_MEASURED: Mapping[str, str] = {
    "vendor-estimated": "by its compiler, not measured",
    "modelled": "from published figures, not measured",
}

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


@dataclass(frozen=True)
class TableFacts:
    """What must be said of the table behind a latency: of what machine it is, from when, and how right it is.

    `where`: on this machine, on this kind of machine, or in words on another one or on none; `date`: when its operators were
    measured; `error_percent`: mean, `worst_percent`: of a single network, both cross-validated; `carried_over`: operators
    that were not measured there but carried over from a table of `carried_from`; `unstable`: operators whose samples
    disagree.
    """

    target: str
    provenance: str
    processor: str
    runtime: str
    runtime_version: str
    precision: str
    threads: int
    where: str
    date: str
    error_percent: float
    worst_percent: float
    operators: int
    carried_over: int = 0
    carried_from: str = ""
    unstable: int = 0

    @property
    def words(self) -> str:
        """All of it on one line, for a person."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        runtime = f"{self.runtime} {self.runtime_version}, {self.precision}, {threads}"
        line = f"{self.provenance} {self.where} ({self.processor}; {runtime}), {self.date[:10]}"
        line += f", mean error {self.error_percent:.1f} %"
        if self.provenance != "measured":
            line += f", worst {self.worst_percent:.0f} %"
        if self.carried_over:
            line += f"; {self.carried_over} of {self.operators} operators carried over from {self.carried_from}"
        return line + "".join(f"; {doubt}" for doubt in self.doubts)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons to measure anew."""
        found = []
        if self.provenance == "measured" and self.error_percent > MAX_ERROR_PERCENT:
            found.append(f"an error above {MAX_ERROR_PERCENT:g} % means that other work disturbed it: profile again")
        if self.unstable > MAX_UNSTABLE_SHARE * self.operators:
            found.append(f"{self.unstable} of {self.operators} operators are flagged unstable: profile again")
        return tuple(found)


def facts_of(table: LatencyTable, here: Fingerprint | None) -> TableFacts:
    """The facts of a table; `here`: the fingerprint of this machine, None where the target is not on it."""
    fingerprint = table.fingerprint
    if table.provenance in _NOT_MEASURED:
        where = _NOT_MEASURED[table.provenance]
    elif here is None:
        governor = "" if fingerprint.governor == "unknown" else f" ({fingerprint.governor})"
        where = f"on its device{governor}"
    elif differences(fingerprint, here):
        where = "on another machine, not calibrated on this one"
    else:
        where = "on this kind of machine" if table.short_profile is None else "on this machine"
    short = table.short_profile or ShortProfile()
    if table.method != COUNTERS:
        where += f", by {table.method}"
    return TableFacts(
        table.target,
        table.provenance,
        fingerprint.cpu,
        fingerprint.runtime,
        fingerprint.runtime_version,
        fingerprint.precision,
        fingerprint.threads,
        where,
        table.date,
        round(table.calibration.error_percent, 2),
        round(table.calibration.worst_percent, 2),
        len(table.operators),
        short.carried_over,
        short.prior_cpu,
        table.unstable_operators,
    )
