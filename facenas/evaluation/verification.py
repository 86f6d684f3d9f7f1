"""Verification: the gates that an artefact must pass before anybody relies on it.

In this order: it loads and has the promised outputs; its tensors equal the reference's; so do its faces; its average
precision has not dropped; its measured latency is what was predicted; and it is within the budget. What is allowed follows
from what the file really computes, whatever its description says. A gate that could not be tried is *not measured* (passed is
null), never passed. Where tensors, faces or precision fail, the first layer whose output departs is named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from facenas.arrays import FloatArray
from facenas.data.image import Photo, read_image
from facenas.detector.face_detector import FaceDetector
from facenas.devices.fingerprint import Fingerprint
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.evaluation.chance import drop_error
from facenas.evaluation.decoder_check import check_decoder, decoder_gate, open_raw
from facenas.evaluation.departure import (
    Departure,
    RunLayers,
    first_departure,
    layer_names,
    layer_runner,
    onnx_layer_runner,
)
from facenas.evaluation.end_to_end import EndToEnd
from facenas.evaluation.evaluation_set import EvaluationSet
from facenas.evaluation.fallbacks import fallback_gates
from facenas.evaluation.gates import (
    FP32_MAX_ABS,
    RELATIVE,
    Gate,
    LatencyCheck,
    Precision,
    Tolerances,
    boxes_gate,
    gate_rows,
    latency_gates,
    precision_gate,
    tensor_gate,
    tolerances_of,
)
from facenas.evaluation.parity import (
    REFERENCE_MIN_SCORE,
    BoxParity,
    TensorParity,
    compare_faces,
    compare_tensors,
    relative_difference,
    with_logits_from,
)
from facenas.evaluation.protocols import evaluate
from facenas.evaluation.wider import Evaluation
from facenas.exporters.artefact import Description
from facenas.exporters.formats import description_of, format_of
from facenas.pipeline.faces import Faces
from facenas.pipeline.pipeline import Pipeline, Runner
from facenas.pipeline.postprocess import MIN_LOGIT
from facenas.progress import SILENT, Progress
from facenas.runtimes.runtime import Load, load_model, why_unavailable
from facenas.shown import Rows, Shown

PARITY_PHOTOS = 32


@dataclass(frozen=True, eq=False, repr=False)
class Verification(Shown):
    """All gates and what they were decided on: parity of the tensors and boxes on so many `photos` of `data`.

    `first_departure`: words for the first layer whose output departs; `device`: what ran the file, as far as it was run;
    `sha256`: of the files that were judged, `artefact`, `weights` (where they lie beside it) and `reference`; `end_to_end`:
    what a user waits for. `evaluation` stays out of verify.json.
    """

    artefact: Path
    reference: Path
    data: str
    photos: int
    tensor: Mapping[str, TensorParity]
    boxes: BoxParity | None
    ap: Precision
    latency: LatencyCheck
    gates: tuple[Gate, ...]
    first_departure: str | None = None
    evaluation: Evaluation | None = None
    device: Fingerprint | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    end_to_end: EndToEnd | None = None

    @property
    def passed(self) -> bool:
        """No gate failed, and at least one was measured. Others that were not do not fail here; see `all_measured`."""
        return self.any_measured and all(gate.passed is not False for gate in self.gates)

    @property
    def any_measured(self) -> bool:
        """Whether any gate was tried."""
        return any(gate.passed is not None for gate in self.gates)

    @property
    def all_measured(self) -> bool:
        """Every gate was tried, and no estimate stands for the measurement."""
        return self.latency.estimated_ms is None and all(gate.passed is not None for gate in self.gates)

    def line(self) -> str:
        """The verdict: what failed, or else what passed and what nobody has measured."""
        failed = [gate.name for gate in self.gates if gate.passed is False]
        if failed:
            return "FAILED: " + ", ".join(failed)
        if not self.any_measured:
            return "NOT PASSED: nothing could be measured here"
        untried = [gate.name for gate in self.gates if gate.passed is None]
        return "passed, but not measured: " + ", ".join(untried) if untried else "passed"

    def shown(self) -> tuple[Rows, ...]:
        """All gates with value and limit."""
        return (gate_rows(self.gates),)

    @property
    def words(self) -> str:
        """Below the gates: the first layer that departs, the average precisions, and the verdict."""
        lines = [] if self.first_departure is None else [self.first_departure]
        for name, figures in (("reference", self.ap.reference), ("artefact", self.ap.artefact)):
            text = "  ".join(f"{setting} {value:.4f}" for setting, value in figures.items() if value is not None)
            if text:
                lines.append(f"average precision of the {name} on {self.data}: {text}")
        if self.end_to_end is not None:
            lines.append(self.end_to_end.words())
        return "\n".join([*lines, *filter(None, [self.latency.words()]), self.line()])

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        latency = asdict(self.latency)
        return {
            "passed": self.passed,
            "artefact": str(self.artefact),
            "reference": str(self.reference),
            "data": self.data,
            "photos": self.photos,
            "tensor": {name: asdict(parity) for name, parity in self.tensor.items()},
            "boxes": None if self.boxes is None else asdict(self.boxes),
            "ap": asdict(self.ap),
            "latency": latency | {"within_percent": self.latency.off_percent},
            "gates": [asdict(gate) for gate in self.gates],
            "first_departure": self.first_departure,
            "device": None if self.device is None else self.device.to_json(),
            "sha256": dict(self.sha256),
            **({} if self.end_to_end is None else {"end_to_end": self.end_to_end.to_json()}),
        }


def verify(
    artefact: Path,
    reference: Path,
    photos: EvaluationSet,
    latency: LatencyCheck,
    tolerances: Tolerances,
    progress: Progress = SILENT,
    target: Target | None = None,
    load: Load = load_model,
) -> Verification:
    """Put an exported file through all gates but measuring, which `latency` brings; `target` runs it (default: its own), as
    `load` compiles it.

    Where neither this machine nor `load` can run it, every gate is *not measured* and says why. Raises InputError for unusable
    files.
    """
    target = target or resolve_target(description_of(artefact).target)
    if load is load_model and (reason := why_unavailable(target)) is not None:
        return _unmeasured(artefact, reference, photos, latency, tolerances, f"device {target}: {reason}")
    detector = FaceDetector(artefact, target, load=load)
    description, computed = detector.description, format_of(artefact).computes(artefact)
    runner, reference_description = _open_reference(reference, description)
    expected_pipeline, found_pipeline = reference_description.pipeline(runner), description.pipeline(detector.model)
    raw_pipeline = found_pipeline
    if description.decoding is not None:
        raw_model, raw_description = open_raw(artefact, target, load)
        raw_pipeline = raw_description.pipeline(raw_model)

    compared, expected, found = _answers(photos, expected_pipeline, raw_pipeline, progress)
    tensors = compare_tensors(*_comparable(expected.outputs, found.outputs, computed))
    boxes = compare_faces(expected.faces, found.faces)

    expected_evaluation = evaluate(expected_pipeline, photos, progress)
    evaluation = evaluate(found_pipeline, photos, progress)
    precision = _precision(expected_evaluation, evaluation)

    gates = _parity_gates(tensors, boxes, precision, computed, tolerances)
    gates = (*gates, *_decoder_gates(description, found_pipeline, raw_pipeline, compared))
    gates = (*gates, *fallback_gates(artefact, description, detector.model, target))
    departure = None
    if any(gate.passed is False for gate in gates):
        worst = read_image(compared[_worst_photo(expected.outputs, found.outputs)])
        descriptions = reference_description, replace(description, precision=computed)
        departure = _find_departure(artefact, reference, worst, descriptions, target, load)
    return Verification(
        artefact,
        reference,
        photos.name,
        len(compared),
        tensors,
        boxes,
        precision,
        latency,
        (_loads_gate(description, computed, len(tensors)), *gates, *latency_gates(latency, tolerances)),
        None if departure is None else str(departure),
        evaluation,
    )


def _loads_gate(description: Description, computed: str, outputs: int) -> Gate:
    says = description.precision
    odd = "" if computed == says else f"; says {says}, computes and is judged as {computed}"
    return Gate("loads", True, None, None, f"input {description.input_size}, {outputs} outputs{odd}")


def _decoder_gates(description: Description, own: Pipeline, raw: Pipeline, photos: Sequence[Path]) -> tuple[Gate, ...]:
    """That of a file that decodes itself."""
    if description.decoding is None:
        return ()
    parity = check_decoder(own, raw, [read_image(path) for path in photos], description.decoding.min_score)
    return (decoder_gate(parity),)


@dataclass(frozen=True)
class _Answers:
    """What one side says about some photos: its raw outputs, and the faces with scores >= `least_score` in them."""

    pipeline: Pipeline
    least_score: float
    outputs: list[Mapping[str, FloatArray]] = field(default_factory=list)
    faces: list[Faces] = field(default_factory=list)

    def add(self, photo: Photo) -> None:
        outputs, fitted = self.pipeline.outputs(photo)
        self.outputs.append(outputs)
        self.faces.append(self.pipeline.faces(outputs, fitted, self.least_score))


def _answers(
    photos: EvaluationSet, reference: Pipeline, artefact: Pipeline, progress: Progress
) -> tuple[list[Path], _Answers, _Answers]:
    """What both sides say about some photos, evenly from all, that can be read. Raises InputError where none can be."""
    some = photos.photos[:: max(1, len(photos.photos) // PARITY_PHOTOS)][:PARITY_PHOTOS]
    expected, found = _Answers(reference, REFERENCE_MIN_SCORE), _Answers(artefact, REFERENCE_MIN_SCORE * 0.9)
    compared = []
    for index, path in enumerate(some):
        try:
            photo = read_image(path)
        except InputError as error:  # told once more, and counted, by the evaluation of all photos
            progress.note(f"left out: {error}")
            continue
        compared.append(path)
        expected.add(photo)
        found.add(photo)
        progress(index + 1, len(some), "comparing tensors and faces")
    if not compared:
        raise InputError(f"none of the photos of {photos.name} that were tried can be read; check the files")
    return compared, expected, found


def _precision(reference: Evaluation, artefact: Evaluation) -> Precision:
    """Of both on the same photos."""
    before, after = reference.average_precisions, artefact.average_precisions
    error = drop_error(reference.by_photo, artefact.by_photo)
    return Precision(before, after, largest_drop(before, after), error, artefact.images)


def largest_drop(reference_ap: Mapping[str, float | None], artefact_ap: Mapping[str, float | None]) -> float | None:
    """Of the average precisions that the reference has, by how much the artefact's are lower at most."""
    drops = [before - (artefact_ap[name] or 0.0) for name, before in reference_ap.items() if before is not None]
    return round(max(drops), 5) if drops else None


def _parity_gates(
    tensors: Mapping[str, TensorParity], boxes: BoxParity, ap: Precision, precision: str, tolerances: Tolerances
) -> tuple[Gate, ...]:
    least_matched, most_drop = tolerances_of(precision, tolerances)
    return tensor_gate(tensors, precision), boxes_gate(boxes, least_matched), precision_gate(ap, most_drop, precision)


def _comparable(
    expected: list[Mapping[str, FloatArray]], found: list[Mapping[str, FloatArray]], precision: str
) -> tuple[Sequence[Mapping[str, FloatArray]], Sequence[Mapping[str, FloatArray]]]:
    """int8 spends no steps on the logits of scores that nobody asks for, so they are not compared either."""
    if precision != "int8":
        return expected, found
    return with_logits_from(expected, MIN_LOGIT), with_logits_from(found, MIN_LOGIT)


def _unmeasured(
    artefact: Path, reference: Path, photos: EvaluationSet, latency: LatencyCheck, tolerances: Tolerances, reason: str
) -> Verification:
    least_matched, most_drop = tolerances_of(description_of(artefact).precision, tolerances)
    gates = (
        Gate("loads", None, None, None, f"not measured: {reason}"),
        Gate("tensors", None, None, None, "not measured"),
        Gate("boxes", None, None, least_matched, "not measured"),
        Gate("average precision", None, None, most_drop, "not measured"),
        *latency_gates(latency, tolerances),
    )
    return Verification(artefact, reference, photos.name, 0, {}, None, Precision({}, {}, None), latency, gates)


def _worst_photo(expected: Sequence[Mapping[str, FloatArray]], found: Sequence[Mapping[str, FloatArray]]) -> int:
    def difference(index: int) -> float:
        both = (name for name in expected[index] if name in found[index])
        return max((relative_difference(expected[index][name], found[index][name]) for name in both), default=0.0)

    return max(range(len(expected)), key=difference)


def _find_departure(
    artefact: Path,
    reference: Path,
    photo: Photo,
    descriptions: tuple[Description, Description],
    target: Target,
    load: Load,
) -> Departure | None:
    """Layer by layer on one photo, on the target and in the reference's runtime; None where a format keeps its layers
    inside."""
    names = layer_names(artefact)
    run = layer_runner(artefact, target, names, load)
    expected_run = _reference_layers(reference, descriptions[0], names)
    if run is None or expected_run is None:
        return None
    inputs = [description.network_input(photo) for description in descriptions]
    limit = RELATIVE.get(descriptions[1].precision, FP32_MAX_ABS)
    scaled = descriptions[1].precision == "int8"
    return first_departure((inputs[0], expected_run), (inputs[1], run), names, limit, scaled_channels=scaled)


def _reference_layers(path: Path, description: Description, names: Sequence[str]) -> RunLayers | None:
    if path.suffix != ".safetensors":
        return layer_runner(path, resolve_target(description.target), names)
    from facenas.checkpoint import load_weights
    from facenas.exporters.onnx import onnx_of_checkpoint

    model = onnx_of_checkpoint(load_weights(path), input_size=description.input_size, dynamic=False)
    return onnx_layer_runner(model, names)


def require_same_architecture(path: Path, description: Description) -> None:
    """Raises InputError where a reference is of another architecture than the artefact, or cannot be read."""
    if path.suffix == ".safetensors":
        from facenas.checkpoint import load_weights

        _require_same(load_weights(path).detector, description, path)
    else:
        _require_same(description_of(path).detector, description, path)


def _open_reference(path: Path, description: Description) -> tuple[Runner, Description]:
    """A checkpoint (in torch) or another export (in its runtime), of the same architecture as the artefact."""
    if path.suffix != ".safetensors":
        _require_same(description_of(path).detector, description, path)
        return open_raw(path, resolve_target(description_of(path).target))
    from facenas.checkpoint import load_weights
    from facenas.exporters.artefact import describe

    checkpoint = load_weights(path)
    _require_same(checkpoint.detector, description, path)
    from facenas.networks.reference import TorchReference

    own = describe(checkpoint.detector, description.input_size, dynamic=False, origin=checkpoint.origin)
    return TorchReference(checkpoint), own


def _require_same(detector: Any, description: Description, path: Path) -> None:
    if detector != description.detector:
        raise InputError(
            f"the artefact is '{description.detector}', but {path} is '{detector}'; verify it against its own reference"
        )
