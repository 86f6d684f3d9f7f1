"""The gates of a verification: what each compares with which limit, and why the limits are what they are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from facenas.evaluation.parity import BoxParity, TensorParity
from facenas.evaluation.sustained import Sustained
from facenas.latency.provenance import TableFacts
from facenas.shown import Rows
from facenas.units import LOW_PERCENTILE, in_megabytes, in_ms

# The same sums in another order: a thousand times less than what moves a box by a pixel.
FP32_MAX_ABS = 1e-4
# Relative differences of outputs. One rounding to n significant bits errs by 2^-(n+1) at most; over the forty layers of
# a detector the errors add like a random walk, about six times one of them. Then a factor of about four for outputs of
# which a large part cancels. fp16, 11 bits: 6 * 2^-12 = 0.15 %; bf16, 8 bits: 1.2 % (measured 0.9 %). int8 has 255 steps
# for a whole range that few values fill, errs by 1 to 2 % a layer, and was measured between 3 and 6 %.
RELATIVE = {"fp16": 0.006, "bf16": 0.04, "int8": 0.15}
# A box edge that moves by a twentieth of the box's side costs a partner at IoU 0.9; int8 moves some that far.
BOXES_MATCHED = {"fp32": 0.99, "fp16": 0.99, "bf16": 0.98, "int8": 0.9}
# A photo that is drawn again tells little of photos that were not: of fewer than ten the error comes out too small.
MIN_PHOTOS = 10
WORTH_TELLING = 0.02  # of a pace
ENOUGH_PHOTOS = 100
AP_DROPS = {"fp32": 0.005, "fp16": 0.005, "bf16": 0.005, "int8": 0.005}


@dataclass(frozen=True)
class Tolerances:
    """What the gates allow. None: by the precision of the artefact, as the tables above have it. `latency_percent`:
    measured against predicted; `budget_percent`: the measuring tolerance by which the measured latency may stand above
    the budget."""

    boxes_matched: float | None = None
    ap_drop: float | None = None
    latency_percent: float = 10.0
    budget_percent: float = 5.0


@dataclass(frozen=True)
class LatencyCheck:
    """Predicted and measured latency in milliseconds; None where there is no table, no measurement or no budget.

    `predicted_ms` and `measured_ms` are the 20th percentile of the runs, beside the measured 50th, 90th and 99th; `percentile`
    is that of the budget. `estimated_ms` stands for a measurement where the device is not here and its vendor's compiler
    estimates the file. `decode_ms`: what the file's own decoder takes of the measurement, which nothing predicts.
    `pace`: how quick the machine was against when the table was made, 0.9 where everything takes a ninth longer; None where
    that is not known. `other_work`: who disturbed the measurement, empty where nobody did. `table`: what must be said of
    the table of the prediction.
    """

    target: str
    predicted_ms: float | None = None
    measured_ms: float | None = None
    budget_ms: float | None = None
    provenance: str | None = None
    why_unpredicted: str | None = None
    estimated_ms: float | None = None
    median_ms: float | None = None
    p90_ms: float | None = None
    percentile: int = LOW_PERCENTILE
    other_work: str = ""
    table: TableFacts | None = None
    p99_ms: float | None = None
    peak_memory_bytes: int | None = None
    counted_memory_bytes: int | None = None
    sustained: Sustained | None = None
    decode_ms: float | None = None
    pace: float | None = None

    @property
    def judged_ms(self) -> float | None:
        """What is held against the budget: the measurement at its percentile, else the estimate."""
        measured = {20: self.measured_ms, 50: self.median_ms, 90: self.p90_ms}[self.percentile]
        return self.estimated_ms if measured is None else measured

    @property
    def found_ms(self) -> float | None:
        """The measurement, else the estimate."""
        return self.estimated_ms if self.measured_ms is None else self.measured_ms

    def words(self) -> str:
        """What was measured beside the gates: the tail of the latency, memory, how it lasts."""
        lines = []
        if self.measured_ms is not None:
            tail = zip(
                ("20th", "50th", "90th", "99th"),
                (self.measured_ms, self.median_ms, self.p90_ms, self.p99_ms),
                strict=True,
            )
            told = ", ".join(f"{name} percentile {in_ms(ms)}" for name, ms in tail if ms is not None)
            lines.append(f"latency on {self.target}: {told}")
        if self.peak_memory_bytes is not None and self.counted_memory_bytes is not None:
            counted = f"{in_megabytes(self.counted_memory_bytes)} of weights and feature maps counted"
            lines.append(f"memory on {self.target}: {in_megabytes(self.peak_memory_bytes)} taken at most, {counted}")
        if self.sustained is not None:
            lines.append(self.sustained.words())
        return "\n".join(lines)

    @property
    def off_percent(self) -> float | None:
        """By how much what was found of the network, at the pace of the table, exceeds the prediction, in percent of it."""
        if self.predicted_ms is None or self.found_ms is None:
            return None
        found_ms = (self.found_ms - (self.decode_ms or 0.0)) * (self.pace or 1.0)
        return round(100 * (found_ms / self.predicted_ms - 1), 2)


@dataclass(frozen=True)
class Precision:
    """Average precision by setting, of the reference and of the artefact; None where a setting has no faces. `drop`: the
    largest; `drop_error`: how far chance moves it on so many `photos` (`facenas.evaluation.chance`), None where unknown."""

    reference: Mapping[str, float | None]
    artefact: Mapping[str, float | None]
    drop: float | None
    drop_error: float | None = None
    photos: int = 0

    @property
    def drop_words(self) -> str:
        """The drop with its error, as far as they are known."""
        error = "" if self.drop_error is None else f" +- {self.drop_error:.4f}"
        return "" if self.drop is None else f"{self.drop:.4f}{error}"


PARITY_GATES = ("loads", "tensors", "boxes", "average precision")
"""What is decided on the file and the photos alone, on any machine that runs the file."""
VERDICTS = {True: "passed", False: "FAILED", None: "not measured"}
"""By `Gate.passed`, the word for it."""


@dataclass(frozen=True)
class Gate:
    """One check: `passed` is None where it was not measured; `value` must keep to `limit`; `note` says what they are."""

    name: str
    passed: bool | None
    value: float | None
    limit: float | None
    note: str = ""


def proved(gates: Sequence[Gate]) -> bool:
    """Whether some gate passed, none failed, and those of the file itself were decided."""
    verdicts = [gate.passed for gate in gates]
    return True in verdicts and False not in verdicts and not undecided(gates)


def undecided(gates: Sequence[Gate]) -> list[str]:
    """The gates of the file itself that were not decided."""
    return [gate.name for gate in gates if gate.passed is None and gate.name in PARITY_GATES]


def outcome(gates: Sequence[Gate]) -> str:
    """In a line: what failed, else what of the file itself was not decided, else that all is well."""
    failed = [gate.name for gate in gates if gate.passed is False]
    if failed or not proved(gates):
        return f"failed: {', '.join(failed)}" if failed else f"not measured: {', '.join(undecided(gates))}"
    return "all gates passed"


def gate_rows(gates: Sequence[Gate]) -> Rows:
    """One line a gate."""
    rows = [
        (
            gate.name,
            VERDICTS[gate.passed],
            "" if gate.value is None else f"{gate.value:.4g}",
            "" if gate.limit is None else f"{gate.limit:.4g}",
            gate.note,
        )
        for gate in gates
    ]
    return Rows("gates", ("gate", "verdict", "value", "limit", "what"), tuple(rows))


def tolerances_of(precision: str, tolerances: Tolerances) -> tuple[float, float]:
    """Least share of matched boxes and largest drop of average precision for an artefact of that precision."""
    matched = BOXES_MATCHED[precision] if tolerances.boxes_matched is None else tolerances.boxes_matched
    return matched, AP_DROPS[precision] if tolerances.ap_drop is None else tolerances.ap_drop


def tensor_gate(parities: Mapping[str, TensorParity], precision: str) -> Gate:
    """fp32: the largest absolute difference; else the largest relative one, because values may be of any size."""
    relative = precision in RELATIVE
    limit = RELATIVE[precision] if relative else FP32_MAX_ABS
    odd = [name for name, parity in parities.items() if parity.max_abs is None]
    if odd:
        return Gate("tensors", False, None, limit, f"output {odd[0]} is missing, of another shape or not finite")
    values = [parity.relative if relative else parity.max_abs for parity in parities.values()]
    worst = max(value or 0.0 for value in values)
    cosine = min(parity.cosine for parity in parities.values())
    what = "relative" if relative else "absolute"
    return Gate("tensors", worst <= limit, worst, limit, f"largest {what} difference; least cosine {cosine:.6f}")


def boxes_gate(boxes: BoxParity, least_matched: float) -> Gate:
    """Of no face nothing can be said."""
    if not boxes.reference_faces:
        return Gate("boxes", None, None, least_matched, "not measured: the reference finds no face in these photos")
    note = f"share with a partner; scores of partners differ by {boxes.max_score_difference:.2g} at most"
    return Gate("boxes", boxes.matched >= least_matched, boxes.matched, least_matched, note)


def precision_gate(ap: Precision, most_drop: float, precision: str) -> Gate:
    """Where there is no face to find, or the reference finds none of them, nothing can drop; nor can few photos tell.

    A rounded network fails where its drop exceeds the limit by more than its error, and passes where the drop keeps to the
    limit on photos whose error does; else it is not decided. float32 is the same sums in another order: no chance is in it.
    """
    if ap.drop is None or not any(ap.reference.values()):
        why = "no face counts in these photos" if ap.drop is None else "the reference finds none of the faces"
        return Gate("average precision", None, None, most_drop, f"not measured: {why}")
    passed, found = ap.drop <= most_drop, "largest drop"
    if precision not in RELATIVE or not ap.photos:
        return Gate("average precision", passed, ap.drop, most_drop, found)
    found = f"drop {ap.drop_words} of {ap.photos} photos"
    may_err = most_drop if passed else ap.drop - most_drop
    if ap.drop_error is None or ap.photos < MIN_PHOTOS or ap.drop_error > may_err:
        note = f"not measured: {found}: too few to tell; give {_photos_that_tell(ap, most_drop)} photos or more"
        return Gate("average precision", None, ap.drop, most_drop, note)
    return Gate("average precision", passed, ap.drop, most_drop, found)


def _photos_that_tell(ap: Precision, most_drop: float) -> int:
    """Of how many photos like these the error, which falls with the square root of their number, is small enough; where the
    drop is at the limit, small beside the limit."""
    drop, error = ap.drop or 0.0, ap.drop_error or 0.0
    enough = most_drop if drop <= most_drop else max(drop - most_drop, most_drop / 4)
    needed = ap.photos * (error / enough) ** 2 if enough > 0 else 0.0
    return max(ENOUGH_PHOTOS, 50 * math.ceil(max(needed, ap.photos + 1) / 50))


def latency_gates(latency: LatencyCheck, tolerances: Tolerances) -> tuple[Gate, Gate]:
    """Measured against predicted latency, and against the budget; or, where there is only that, the estimate."""
    return _prediction_gate(latency, tolerances), _budget_gate(latency, tolerances)


def _is_estimate(latency: LatencyCheck) -> bool:
    return latency.measured_ms is None and latency.estimated_ms is not None


def _prediction_gate(latency: LatencyCheck, tolerances: Tolerances) -> Gate:
    """Slower than predicted fails. Faster is no fault of the file: within its budget it passes, and the table is named."""
    name, off_percent = "latency as predicted", latency.off_percent
    if off_percent is None:
        return Gate(
            name, None, None, tolerances.latency_percent, f"not measured: {latency.why_unpredicted or 'no measurement'}"
        )
    how = "the compiler's estimate" if _is_estimate(latency) else "measured"
    note = f"{how} against predicted, percent"
    if latency.decode_ms is not None:
        note += f"; without the file's decoder, {latency.decode_ms:.2f} ms"
    if latency.pace is not None and abs(latency.pace - 1) > WORTH_TELLING:
        note += f"; the machine runs at {latency.pace:.2f} of the pace at which the table was made, which is taken out"
    passed = off_percent <= tolerances.latency_percent
    if off_percent < -tolerances.latency_percent:
        passed = _budget_gate(latency, tolerances).passed is not False
        note += f"; faster than the table says: it is off for this machine, facenas calibrate --device {latency.target}"
    return Gate(name, passed, off_percent, tolerances.latency_percent, note + _disturbance(latency, passed))


def _budget_gate(latency: LatencyCheck, tolerances: Tolerances) -> Gate:
    name = "latency within budget"
    if latency.budget_ms is None:
        return Gate(name, None, None, None, "not measured")
    if latency.judged_ms is None:
        return _predicted_budget_gate(name, latency, latency.budget_ms)
    if _is_estimate(latency):  # the same each time, so it is allowed no tolerance
        passed = latency.judged_ms <= latency.budget_ms
        return Gate(name, passed, latency.judged_ms, latency.budget_ms, "ms, the compiler's estimate, not measured")
    over_ms = latency.budget_ms * (1 + tolerances.budget_percent / 100)
    passed = latency.judged_ms <= over_ms
    what = "" if latency.percentile == LOW_PERCENTILE else f" at the {latency.percentile}th percentile"
    note = f"ms{what}; budget and {tolerances.budget_percent:g} % for measuring"
    at_pace_ms = latency.judged_ms * (latency.pace or 1.0)
    if not passed and at_pace_ms <= over_ms:
        note += f"; {at_pace_ms:.2f} at the table's pace: the machine is slower now, try again when it is not"
    return Gate(name, passed, latency.judged_ms, over_ms, note + _disturbance(latency, passed))


def _predicted_budget_gate(name: str, latency: LatencyCheck, budget_ms: float) -> Gate:
    """Where nothing was measured: a prediction above the budget fails, one within it passes nothing."""
    if latency.predicted_ms is None:
        return Gate(name, None, None, budget_ms, "not measured")
    over = latency.predicted_ms > budget_ms
    note = f"ms, predicted by the {latency.provenance} table, not measured"
    return Gate(name, False if over else None, latency.predicted_ms, budget_ms, note)


def _disturbance(latency: LatencyCheck, passed: bool) -> str:
    """Why a gate failed that other work may have failed."""
    return "" if passed or not latency.other_work else f"; beside {latency.other_work}: measure again without"
