"""Verification: the gates that an artefact must pass before anybody relies on it.

In this order: it loads and has the promised outputs; its tensors equal the reference's; so do its faces; its average
precision has not dropped; its measured latency is what was predicted; and it is within the budget. A gate that could not
be tried is *not measured* (passed is null), never passed. Where tensors, faces or precision fail, the first layer whose
output departs is named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from facenas.data.image import letterbox, read_image
from facenas.detector.face_detector import FaceDetector
from facenas.detector.postprocess import LEAST_LOGIT, Faces, find_faces
from facenas.devices.targets import Target, resolve_target, why_unavailable
from facenas.errors import InputError
from facenas.evaluation.departure import (
    Departure,
    RunLayers,
    first_departure,
    layer_names,
    layer_runner,
    onnx_layer_runner,
)
from facenas.evaluation.evaluate import Report, average_precisions, evaluate
from facenas.evaluation.evaluation_set import EvaluationSet
from facenas.evaluation.parity import (
    REFERENCE_MIN_SCORE,
    BoxParity,
    TensorParity,
    compare_faces,
    compare_tensors,
    relative_difference,
    with_logits_from,
)
from facenas.evaluation.wider import Evaluation
from facenas.exporters.artefact import Description
from facenas.exporters.describe import description_of

FloatArray = npt.NDArray[np.float32]
PARITY_PHOTOS = 32


class Runner(Protocol):
    """Anything that runs a network: the torch reference or a compiled model."""

    def run(self, image: FloatArray) -> Mapping[str, FloatArray]:
        """The outputs by name for float32 [1, 3, height, width]."""


# The same sums in another order: a thousand times less than what moves a box by a pixel.
FP32_MAX_ABS = 1e-4
# Relative differences of outputs. One rounding to n significant bits errs by 2^-(n+1) at most; over the forty layers of
# a detector the errors add like a random walk, about six times one of them. Then a factor of about four for outputs of
# which a large part cancels. fp16, 11 bits: 6 * 2^-12 = 0.15 %; bf16, 8 bits: 1.2 % (measured 0.9 %). int8 has 255 steps
# for a whole range that few values fill, errs by 1 to 2 % a layer, and was measured between 3 and 6 %.
RELATIVE = {"fp16": 0.006, "bf16": 0.04, "int8": 0.15}
# A box edge that moves by a twentieth of the box's side costs a partner at IoU 0.9; int8 moves some that far.
BOXES_MATCHED = {"fp32": 0.99, "fp16": 0.99, "bf16": 0.98, "int8": 0.9}
AP_DROPS = {"fp32": 0.005, "fp16": 0.005, "bf16": 0.005, "int8": 0.015}


@dataclass(frozen=True)
class Limits:
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

    `estimated_ms` stands for a measurement where the device is not here and its vendor's compiler estimates the file.
    """

    target: str
    predicted_ms: float | None = None
    measured_ms: float | None = None
    budget_ms: float | None = None
    provenance: str | None = None
    why_unpredicted: str | None = None
    estimated_ms: float | None = None

    @property
    def found_ms(self) -> float | None:
        """The measurement, else the estimate."""
        return self.estimated_ms if self.measured_ms is None else self.measured_ms


@dataclass(frozen=True)
class Gate:
    """One check: `passed` is None where it was not measured; `value` must not pass `limit`, both in `unit`."""

    name: str
    passed: bool | None
    value: float | None
    limit: float | None
    note: str = ""


@dataclass(frozen=True, eq=False)
class Verification:
    """All gates and what they were decided on."""

    artefact: Path
    reference: Path
    gates: tuple[Gate, ...]
    tensors: Mapping[str, TensorParity]
    boxes: BoxParity | None
    reference_ap: Mapping[str, float | None]
    artefact_ap: Mapping[str, float | None]
    ap_drop: float | None
    latency: LatencyCheck
    photos: int
    evaluation: Evaluation | None
    data: str
    departure: Departure | None = None

    @property
    def passed(self) -> bool:
        """No gate failed. Gates that were not measured do not fail here; see `all_measured`."""
        return all(gate.passed is not False for gate in self.gates)

    @property
    def all_measured(self) -> bool:
        """Every gate was tried, and no estimate stands for the measurement."""
        return self.latency.estimated_ms is None and all(gate.passed is not None for gate in self.gates)

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        latency = asdict(self.latency)
        return {
            "passed": self.passed,
            "artefact": str(self.artefact),
            "reference": str(self.reference),
            "data": self.data,
            "photos": self.photos,
            "tensor": {name: asdict(parity) for name, parity in self.tensors.items()},
            "boxes": None if self.boxes is None else asdict(self.boxes),
            "ap": {"reference": dict(self.reference_ap), "artefact": dict(self.artefact_ap), "drop": self.ap_drop},
            "latency": latency | {"within_percent": _percent_off(self.latency)},
            "gates": [asdict(gate) for gate in self.gates],
            "first_departure": None if self.departure is None else str(self.departure),
        }


class LetterboxedDetector:
    """The reference as a detector: the same letterbox, decoding and suppression around another network."""

    def __init__(self, runner: Runner, description: Description) -> None:
        self._runner, self._description = runner, description

    def outputs(self, image: npt.NDArray[np.uint8]) -> tuple[Mapping[str, FloatArray], float]:
        """The raw outputs for a photo, and the letterbox's scale."""
        size = self._description.input_size
        picture, scale = letterbox(image, size.width_px, size.height_px)
        return self._runner.run(self._description.preprocessing.normalise(picture)), scale

    def faces(
        self, outputs: Mapping[str, FloatArray], scale: float, image: npt.NDArray[np.uint8], min_score: float
    ) -> Faces:
        """The faces that these outputs say, suppressed as this detector's own description has it."""
        faces = find_faces(outputs, min_score, iou=self._description.nms_iou)
        return faces.rescaled(scale, image.shape[1], image.shape[0])

    def __call__(self, image: npt.NDArray[np.uint8], min_score: float) -> Faces:
        outputs, scale = self.outputs(image)
        return self.faces(outputs, scale, image, min_score)


def verify(
    artefact: Path,
    reference: Path,
    photos: EvaluationSet,
    latency: LatencyCheck,
    limits: Limits,
    report: Report,
    target: Target | None = None,
) -> Verification:
    """Put an exported file through all gates but measuring, which `latency` brings; `target` runs it (default: its own).

    Where this machine cannot run it, every gate is *not measured* and says why. Raises InputError for unusable files.
    """
    target = target or resolve_target(description_of(artefact).target)
    reason = why_unavailable(target)
    if reason is not None:
        return _unmeasured(artefact, reference, photos, latency, limits, f"device {target}: {reason}")
    detector = FaceDetector(artefact, target)
    description = detector.description
    runner, reference_description = _open_reference(reference, description)
    expected_detector = LetterboxedDetector(runner, reference_description)
    found_detector = LetterboxedDetector(detector.model, description)

    expected_outputs: list[Mapping[str, FloatArray]] = []
    found_outputs: list[Mapping[str, FloatArray]] = []
    expected_faces: list[Faces] = []
    found_faces: list[Faces] = []
    some = photos.photos[:: max(1, len(photos.photos) // PARITY_PHOTOS)][:PARITY_PHOTOS]
    for index, path in enumerate(some):
        image = read_image(path)
        for each, outputs, faces, least in (
            (expected_detector, expected_outputs, expected_faces, REFERENCE_MIN_SCORE),
            (found_detector, found_outputs, found_faces, REFERENCE_MIN_SCORE * 0.9),
        ):
            tensors, scale = each.outputs(image)
            outputs.append(tensors)
            faces.append(each.faces(tensors, scale, image, least))
        report(index + 1, len(some), "comparing tensors and faces")
    tensors_parity = compare_tensors(*_comparable(expected_outputs, found_outputs, description.precision))
    boxes = compare_faces(expected_faces, found_faces)

    reference_ap = average_precisions(evaluate(expected_detector, photos, report))
    evaluation = evaluate(found_detector, photos, report)
    artefact_ap = average_precisions(evaluation)
    drops = [before - (artefact_ap[name] or 0.0) for name, before in reference_ap.items() if before is not None]
    drop = round(max(drops), 5) if drops else None

    precision = description.precision
    least_matched, most_drop = _limits_of(precision, limits)
    scores = f"share with a partner; scores of partners differ by {boxes.max_score_difference:.2g} at most"
    parity_gates = (
        _tensor_gate(tensors_parity, precision),
        Gate("boxes", boxes.matched >= least_matched, boxes.matched, least_matched, scores),
        Gate("average precision", None if drop is None else drop <= most_drop, drop, most_drop, "largest drop"),
    )
    departure = None
    if any(gate.passed is False for gate in parity_gates):
        worst = read_image(some[_worst_photo(expected_outputs, found_outputs)])
        departure = _find_departure(artefact, reference, target, worst, (reference_description, description))
    return Verification(
        artefact,
        reference,
        (
            Gate("loads", True, None, None, f"input {description.input_size}, {len(tensors_parity)} outputs"),
            *parity_gates,
            *latency_gates(latency, limits),
        ),
        tensors_parity,
        boxes,
        reference_ap,
        artefact_ap,
        drop,
        latency,
        len(some),
        evaluation,
        photos.name,
        departure,
    )


def _comparable(
    expected: list[Mapping[str, FloatArray]], found: list[Mapping[str, FloatArray]], precision: str
) -> tuple[Sequence[Mapping[str, FloatArray]], Sequence[Mapping[str, FloatArray]]]:
    """int8 spends no steps on the logits of scores that nobody asks for, so they are not compared either."""
    if precision != "int8":
        return expected, found
    return with_logits_from(expected, LEAST_LOGIT), with_logits_from(found, LEAST_LOGIT)


def _limits_of(precision: str, limits: Limits) -> tuple[float, float]:
    """Least share of matched boxes and largest drop of average precision for an artefact of that precision."""
    matched = BOXES_MATCHED[precision] if limits.boxes_matched is None else limits.boxes_matched
    return matched, AP_DROPS[precision] if limits.ap_drop is None else limits.ap_drop


def _unmeasured(
    artefact: Path, reference: Path, photos: EvaluationSet, latency: LatencyCheck, limits: Limits, reason: str
) -> Verification:
    least_matched, most_drop = _limits_of(description_of(artefact).precision, limits)
    gates = (
        Gate("loads", None, None, None, f"not measured: {reason}"),
        Gate("tensors", None, None, None, "not measured"),
        Gate("boxes", None, None, least_matched, "not measured"),
        Gate("average precision", None, None, most_drop, "not measured"),
        *latency_gates(latency, limits),
    )
    return Verification(artefact, reference, gates, {}, None, {}, {}, None, latency, 0, None, photos.name)


def _worst_photo(expected: Sequence[Mapping[str, FloatArray]], found: Sequence[Mapping[str, FloatArray]]) -> int:
    def difference(index: int) -> float:
        both = (name for name in expected[index] if name in found[index])
        return max((relative_difference(expected[index][name], found[index][name]) for name in both), default=0.0)

    return max(range(len(expected)), key=difference)


def _find_departure(
    artefact: Path,
    reference: Path,
    target: Target,
    image: npt.NDArray[np.uint8],
    descriptions: tuple[Description, Description],
) -> Departure | None:
    """Bisect on one photo; None where the artefact's format keeps its layers inside."""
    names = layer_names(artefact)
    run = layer_runner(artefact, target, names)
    expected_run = _reference_layers(reference, descriptions[0], names)
    if run is None or expected_run is None:
        return None
    inputs = []
    for description in descriptions:
        picture, _ = letterbox(image, description.input_size.width_px, description.input_size.height_px)
        inputs.append(description.preprocessing.normalise(picture))
    limit = RELATIVE.get(descriptions[1].precision, FP32_MAX_ABS)
    return first_departure((inputs[0], expected_run), (inputs[1], run), names, limit)


def _reference_layers(path: Path, description: Description, names: Sequence[str]) -> RunLayers | None:
    if path.suffix != ".safetensors":
        return layer_runner(path, resolve_target(description.target), names)
    from facenas.exporters.onnx import onnx_of_checkpoint
    from facenas.training.checkpoint import load_checkpoint

    model = onnx_of_checkpoint(load_checkpoint(path), input_size=description.input_size, dynamic=False)
    return onnx_layer_runner(model.SerializeToString(), names)


def _tensor_gate(parities: Mapping[str, TensorParity], precision: str) -> Gate:
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


def latency_gates(latency: LatencyCheck, limits: Limits) -> tuple[Gate, Gate]:
    """Measured against predicted latency, and against the budget; or, where there is only that, the estimate."""
    off_percent = _percent_off(latency)
    agrees = None if off_percent is None else abs(off_percent) <= limits.latency_percent
    estimated = latency.measured_ms is None and latency.estimated_ms is not None
    how = "the compiler's estimate" if estimated else "measured"
    note = f"{how} against predicted, percent"
    if off_percent is None:
        note = f"not measured: {latency.why_unpredicted or 'no measurement'}"
    over, within = None, None
    if latency.found_ms is not None and latency.budget_ms is not None:
        # An estimate is the same each time, so it is allowed no tolerance.
        over = latency.budget_ms * (1 if estimated else 1 + limits.budget_percent / 100)
        within = latency.found_ms <= over
    budget_note = "not measured"
    if within is not None:
        budget_note = f"ms; budget and {limits.budget_percent:g} % for measuring"
        if estimated:
            budget_note = "ms, the compiler's estimate, not measured"
    return (
        Gate("latency as predicted", agrees, off_percent, limits.latency_percent, note),
        Gate("latency within budget", within, latency.found_ms if within is not None else None, over, budget_note),
    )


def _percent_off(latency: LatencyCheck) -> float | None:
    if latency.predicted_ms is None or latency.found_ms is None:
        return None
    return round(100 * (latency.found_ms / latency.predicted_ms - 1), 2)


def _open_reference(path: Path, description: Description) -> tuple[Runner, Description]:
    """A checkpoint (in torch) or another export (in its runtime), of the same architecture as the artefact."""
    if path.suffix != ".safetensors":
        reference = FaceDetector(path)
        _require_same(reference.description.detector, description, path)
        return reference.model, reference.description
    from facenas.exporters.artefact import describe
    from facenas.training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path)
    _require_same(checkpoint.detector, description, path)
    from facenas.detector.reference import TorchReference

    own = describe(checkpoint.detector, description.input_size, dynamic=False, origin=checkpoint.origin)
    return TorchReference(checkpoint), own


def _require_same(detector: Any, description: Description, path: Path) -> None:
    if detector != description.detector:
        raise InputError(
            f"the artefact is '{description.detector}', but {path} is '{detector}'; verify it against its own reference"
        )
