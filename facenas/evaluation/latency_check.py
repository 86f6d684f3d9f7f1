"""The latency that an exported file really has on its target, beside the one predicted from the table."""

import time
from pathlib import Path

from facenas.devices.target import Target
from facenas.errors import TableError
from facenas.evaluation.gates import LatencyCheck, Limits, latency_gates
from facenas.evaluation.protocols import Report
from facenas.exporters.formats import description_of
from facenas.latency.predictor import predict
from facenas.latency.table import LatencyTable, find_table
from facenas.runtimes.runtime import load_model
from facenas.runtimes.timing import measure_latency
from facenas.units import Size

PAUSES_S = (0.0, 2.0, 6.0, 20.0)
"""Before each pass: another tenant's burst of work lasts for seconds to a minute."""

_ROUNDS = 12
_MOST_BURST = 2.0  # other work on a core makes a run at most about so many times as long


def table_for(target: Target, input_size: Size, path: Path | None = None) -> LatencyTable | None:
    """The table that a file's latency is predicted from; None where there is none, unless `path` names one.

    Without a table the prediction is not measured, and its gate says so. Raises TableError for a `path` of no use.
    """
    try:
        return find_table(target, input_size, path)
    except TableError:
        if path is not None:
            raise
        return None


def check_latency(
    artefact: Path, target: Target, table: LatencyTable | None, budget_ms: float | None, report: Report
) -> LatencyCheck:
    """Predict and measure an exported file.

    Other work on the machine only ever lengthens a run, so where that may be why a gate would fail the file is measured
    again, after ever longer pauses (`PAUSES_S`), and the least of the passes counts. Raises InputError or TableError for
    unusable files.
    """
    description = description_of(artefact)
    predicted_ms = provenance = why_unpredicted = None
    try:
        if table is None:
            raise TableError(f"there is no latency table for {target} at {description.input_size}")
        if description.precision != target.precision:
            raise TableError(
                f"the table of {target} is of {target.precision} networks, this is {description.precision}"
            )
        prediction = predict(description.detector, table, description.input_size)
        predicted_ms, provenance = prediction.latency_ms, prediction.provenance
    except TableError as error:
        # A table that does not reach this network is no fault of the file: that gate is then not measured.
        why_unpredicted = str(error)
    model = load_model(artefact, target)
    if target.estimated:
        estimated_ms = float(model.time(1)[0]) / 1e6
        return LatencyCheck(target.name, predicted_ms, None, budget_ms, provenance, why_unpredicted, estimated_ms)
    measured_ms = float("inf")
    for number, pause_s in enumerate(PAUSES_S):
        what = "measuring latency" if number == 0 else f"measuring latency again ({number + 1} of {len(PAUSES_S)})"
        if pause_s:
            report(0, _ROUNDS, f"{what}, in {pause_s:g} s")
            time.sleep(pause_s)
        latency = measure_latency(
            [model],
            rounds=_ROUNDS,
            input_size=description.input_size,
            progress=lambda done, total, what=what: report(done, total, what),  # type: ignore[misc]
        )[0]
        measured_ms = min(measured_ms, latency.latency_ms)
        check = LatencyCheck(target.name, predicted_ms, round(measured_ms, 4), budget_ms, provenance, why_unpredicted)
        if all(gate.passed is not False for gate in latency_gates(check, Limits())) or not _may_be_noise(check):
            break
    return check


def _may_be_noise(check: LatencyCheck) -> bool:
    """Whether other work may have made the measurement longer than it should be."""
    meant_ms = [value for value in (check.predicted_ms, check.budget_ms) if value is not None]
    return check.measured_ms is not None and min(meant_ms) < check.measured_ms <= _MOST_BURST * min(meant_ms)
