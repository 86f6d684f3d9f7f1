"""Verification: the gates that an artefact must pass before anybody relies on it.

In this order: it loads and has the promised outputs; its tensors equal the reference's; so do its faces; its average
precision has not dropped; its measured latency is what was predicted; and it is within the budget. A gate that could not
be tried is *not measured* (passed is null), never passed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from facenas.data.image import letterbox, read_image
from facenas.detector.face_detector import FaceDetector
from facenas.detector.postprocess import Faces, find_faces
from facenas.errors import InputError
from facenas.evaluation.evaluate import Report, average_precisions, evaluate
from facenas.evaluation.evaluation_set import EvaluationSet
from facenas.evaluation.parity import (
    REFERENCE_MIN_SCORE,
    BoxParity,
    TensorParity,
    compare_faces,
    compare_tensors,
)
from facenas.evaluation.wider import Evaluation
from facenas.exporters.artefact import Description

FloatArray = npt.NDArray[np.float32]
PARITY_PHOTOS = 32


class Runner(Protocol):
    """Anything that runs a network: the torch reference or a compiled model."""

    def run(self, image: FloatArray) -> Mapping[str, FloatArray]:
        """The outputs by name for float32 [1, 3, height, width]."""


@dataclass(frozen=True)
class Limits:
    """What the gates allow. `latency_percent`: measured against predicted; `budget_percent`: the measuring tolerance by
    which the measured latency may stand above the budget."""

    tensor_max_abs: float = 1e-4
    boxes_matched: float = 0.99
    ap_drop: float = 0.005
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
    boxes: BoxParity
    reference_ap: Mapping[str, float | None]
    artefact_ap: Mapping[str, float | None]
    ap_drop: float | None
    latency: LatencyCheck
    photos: int
    evaluation: Evaluation
    data: str

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
            "boxes": asdict(self.boxes),
            "ap": {"reference": dict(self.reference_ap), "artefact": dict(self.artefact_ap), "drop": self.ap_drop},
            "latency": latency | {"within_percent": _percent_off(self.latency)},
            "gates": [asdict(gate) for gate in self.gates],
        }


class _LetterboxedDetector:
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
) -> Verification:
    """Put an exported file through all gates but measuring, which `latency` brings. Raises InputError for unusable files."""
    detector = FaceDetector(artefact)
    description = detector.description
    runner, reference_description = _open_reference(reference, description)
    expected_detector = _LetterboxedDetector(runner, reference_description)
    found_detector = _LetterboxedDetector(detector.model, description)

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
    tensors_parity = compare_tensors(expected_outputs, found_outputs)
    boxes = compare_faces(expected_faces, found_faces)

    reference_ap = average_precisions(evaluate(expected_detector, photos, report))
    evaluation = evaluate(found_detector, photos, report)
    artefact_ap = average_precisions(evaluation)
    drops = [before - (artefact_ap[name] or 0.0) for name, before in reference_ap.items() if before is not None]
    drop = round(max(drops), 5) if drops else None

    gates = (
        Gate("loads", True, None, None, f"input {description.input_size}, {len(tensors_parity)} outputs"),
        _tensor_gate(tensors_parity, limits),
        Gate(
            "boxes", boxes.matched >= limits.boxes_matched, boxes.matched, limits.boxes_matched, "share with a partner"
        ),
        Gate(
            "average precision", None if drop is None else drop <= limits.ap_drop, drop, limits.ap_drop, "largest drop"
        ),
        *latency_gates(latency, limits),
    )
    return Verification(
        artefact,
        reference,
        gates,
        tensors_parity,
        boxes,
        reference_ap,
        artefact_ap,
        drop,
        latency,
        len(some),
        evaluation,
        photos.name,
    )


def _tensor_gate(parities: Mapping[str, TensorParity], limits: Limits) -> Gate:
    odd = [name for name, parity in parities.items() if parity.max_abs is None]
    if odd:
        note = f"output {odd[0]} is missing, of another shape or not finite"
        return Gate("tensors", False, None, limits.tensor_max_abs, note)
    worst = max(parity.max_abs or 0.0 for parity in parities.values())
    return Gate("tensors", worst <= limits.tensor_max_abs, worst, limits.tensor_max_abs, "largest absolute difference")


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
    """A checkpoint (in torch) or an ONNX file (in its runtime), of the same architecture as the artefact."""
    if path.suffix == ".onnx":
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
