"""The latency that an exported file really has on its target, beside the one predicted from the table."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from facenas.cost import detector_costs
from facenas.devices.fingerprint import differences
from facenas.devices.target import Target
from facenas.errors import TableError
from facenas.evaluation.decoder_check import open_raw
from facenas.evaluation.gates import LatencyCheck, Tolerances, latency_gates
from facenas.exporters.artefact import Description
from facenas.exporters.formats import description_of
from facenas.latency.predictor import predict
from facenas.latency.table import LatencyTable
from facenas.latency.this_machine import facts_of_table, is_measured_here
from facenas.progress import SILENT, Progress
from facenas.quiet import DISTURBED_SHARE, OtherWork, Waiting
from facenas.runtimes.companion import companion_of, usual_ns
from facenas.runtimes.peak_memory import peak_memory_bytes
from facenas.runtimes.runtime import Load, load_model, read_fingerprint, runtime_of
from facenas.runtimes.timing import measure_latency
from facenas.units import LatencyBudget

PAUSES_S = (0.0, 2.0, 6.0, 20.0)
"""Before each pass: another tenant's burst of work lasts for seconds to a minute."""

ROUNDS = 12
_BYTES_A_VALUE = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}
_MAX_BURST = 2.0  # other work on a core makes a run at most about so many times as long


def check_latency(
    artefact: Path,
    target: Target,
    table: LatencyTable | None,
    budget: LatencyBudget | None,
    progress: Progress = SILENT,
    *,
    tolerances: Tolerances = Tolerances(),
    load: Load = load_model,
    sleep: Callable[[float], None] = time.sleep,
) -> LatencyCheck:
    """Predict and measure an exported file.

    Other work on the machine only ever lengthens a run, so where that may be why a gate would fail, by these `tolerances`,
    the file is measured again, after ever longer pauses (`PAUSES_S`), and the least of the passes counts. Raises InputError
    or TableError for unusable files.
    """
    description = description_of(artefact)
    check = predict_latency(description, target, table)
    if budget is not None:
        check = replace(check, budget_ms=budget.limit_ms, percentile=budget.percentile)
    model = load(artefact, target)
    models = [model] if description.decoding is None else [model, open_raw(artefact, target, load)[0]]
    if runtime_of(target).estimates:
        return replace(check, estimated_ms=float(model.time(1)[0]) / 1e6)
    pace = Pace(target, table)
    for number, pause_s in enumerate(PAUSES_S):
        what = "measuring latency" if number == 0 else f"measuring latency again ({number + 1} of {len(PAUSES_S)})"
        if pause_s:
            progress(0, ROUNDS, f"{what}, in {pause_s:g} s")
            sleep(pause_s)
        other_work, waiting = OtherWork(), Waiting(os.getpid(), target.threads)
        latency, *without_decoder = measure_latency(
            models, rounds=ROUNDS, input_size=description.input_size, progress=progress, what=what, beside=pace.take
        )
        disturbed = not target.elsewhere and waiting.share() > DISTURBED_SHARE
        if check.measured_ms is None or latency.latency_ms < check.measured_ms:
            check = replace(check, pace=pace.now())
        check = replace(
            check,
            measured_ms=_least(check.measured_ms, latency.latency_ms),
            median_ms=_least(check.median_ms, latency.median_ms),
            p90_ms=_least(check.p90_ms, latency.p90_ms),
            p99_ms=_least(check.p99_ms, latency.p99_ms),
            other_work=other_work.words() if disturbed else "",
        )
        for network in without_decoder:
            decode_ms = max(0.0, latency.latency_ms - network.latency_ms)
            check = replace(check, decode_ms=_least(check.decode_ms, decode_ms))
        if all(gate.passed is not False for gate in latency_gates(check, tolerances)) or not _may_be_noise(check):
            break
    costs = detector_costs(description.detector, description.input_size)
    bytes_a_value = _BYTES_A_VALUE[description.precision]
    return replace(
        check,
        peak_memory_bytes=model.peak_memory_bytes() if target.elsewhere else peak_memory_bytes(artefact, target),
        counted_memory_bytes=bytes_a_value * costs.params + costs.peak_memory_bytes * bytes_a_value // 4,
    )


class Pace:
    """How quick this machine is now against when a table was made, by the companion that ran beside both; unknown where the
    table is of another machine."""

    def __init__(self, target: Target, table: LatencyTable | None) -> None:
        self._then_ns = 0
        if table is not None and is_measured_here(target):
            here = read_fingerprint(target)
            self._then_ns = 0 if differences(table.fingerprint, here) else table.companion_ns
        self._companion = companion_of(target) if self._then_ns else None
        self._taken_ns: list[int] = []

    def take(self) -> None:
        """Look at the companion."""
        if self._companion is not None:
            self._taken_ns.append(self._companion.take())

    def now(self) -> float | None:
        """Of the looks since the last call: 0.9 where everything takes a ninth longer than then; None where it is unknown."""
        now_ns, self._taken_ns = usual_ns(self._taken_ns), []
        return round(self._then_ns / now_ns, 4) if now_ns else None


def predict_latency(description: Description, target: Target, table: LatencyTable | None) -> LatencyCheck:
    """What the table predicts for a file. A table that does not reach it is no fault of the file: that gate is then not
    measured."""
    try:
        if table is None:
            raise TableError(f"there is no latency table for {target} at {description.input_size}")
        if description.precision != target.precision:
            raise TableError(
                f"the table of {target} is of {target.precision} networks, this is {description.precision}"
            )
        if kept := description.calibration.get("kept_fp32"):
            raise TableError(f"the table of {target} is of int8 networks, this keeps {len(kept)} layers in float32")
        prediction = predict(description.detector, table, description.input_size)
    except TableError as error:
        return LatencyCheck(target.name, why_unpredicted=str(error))
    facts = facts_of_table(table)
    return LatencyCheck(target.name, prediction.latency_ms, provenance=prediction.provenance, table=facts)


def _least(before_ms: float | None, now_ms: float) -> float:
    return round(now_ms if before_ms is None else min(before_ms, now_ms), 4)


def _may_be_noise(check: LatencyCheck) -> bool:
    """Whether other work may have made the measurement longer than it should be."""
    predicted_ms = None if check.predicted_ms is None else check.predicted_ms + (check.decode_ms or 0.0)
    meant_ms = [value for value in (predicted_ms, check.budget_ms) if value is not None]
    return check.judged_ms is not None and min(meant_ms) < check.judged_ms <= _MAX_BURST * min(meant_ms)
