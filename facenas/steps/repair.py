"""Repair: an int8 file whose gates fail gets the layers back in float32 that lose most, at the least latency.

What a layer loses is measured in ONNX Runtime: with it alone in int8, the mean squared error of the outputs on some calibration
photos, in the cells that see a face. `facenas.latency.kept_layers` then chooses exactly against the tables of both precisions,
for ever less noise, and the first choice whose file passes the gates of average precision and boxes on labelled photos is it:
an average precision of some hundred photos moves by .002 by chance, so that there is nothing to bisect.
"""

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from facenas.arrays import BoolArray, FloatArray
from facenas.data.image import Photo
from facenas.devices.target import NAMED_TARGETS, Target
from facenas.devices.targets import resolve_target
from facenas.errors import BudgetError
from facenas.evaluation.evaluation_set import EvaluationSet
from facenas.evaluation.gates import Gate, Precision, Tolerances, boxes_gate, precision_gate, tolerances_of
from facenas.evaluation.parity import REFERENCE_MIN_SCORE, compare_faces, with_logits_from
from facenas.evaluation.protocols import EVALUATION_MIN_SCORE, evaluate
from facenas.evaluation.verification import largest_drop
from facenas.exporters.calibration_photos import CalibrationPhotos
from facenas.exporters.formats import FORMATS, ExportOptions, description_of, export_model
from facenas.exporters.int8_ranges import layer_of
from facenas.exporters.onnx import IN_MEMORY, read_description
from facenas.exporters.onnx_int8 import Calibrated, calibrate, can_be_kept
from facenas.graph import IMAGE, SCORE_CHANNELS, Graph, build_graph
from facenas.latency.kept_layers import Kept, LayerCosts, choose_kept
from facenas.latency.predictor import OperatorCosts
from facenas.latency.table import LatencyTable
from facenas.latency.this_machine import Calibrate
from facenas.pipeline.faces import Faces
from facenas.pipeline.pipeline import Pipeline
from facenas.pipeline.postprocess import MIN_LOGIT
from facenas.progress import SILENT, Progress
from facenas.runtimes.compiled_model import CompiledModel, example_image
from facenas.runtimes.runtime import load_model, runtime_of
from facenas.steps.tables import open_tables
from facenas.units import Size, in_ms

_FLOAT_TARGET = "cpu"
_NOISE_PHOTOS = 16
_FACE_LOGIT = float(np.log(EVALUATION_MIN_SCORE / (1 - EVALUATION_MIN_SCORE)))
_LEVELS = 16
_TIMED_SIZE = Size(640, 480)
_RUNS = 10
_NEVER_US = 1e6  # so much dearer that nobody chooses it


@dataclass(frozen=True, eq=False)
class _Judge:
    """The gates of a network's faces on labelled photos; `expected`: what float32 finds in them, and its precision. Choices are
    compared by their drops as they are, whatever chance has in them."""

    photos: EvaluationSet
    tolerances: Tolerances
    expected: list[Faces]
    reference_ap: Mapping[str, float | None]

    def gates(self, pipeline: Pipeline, progress: Progress) -> tuple[Gate, Gate]:
        found, ap = _faces_of(pipeline, self.photos, REFERENCE_MIN_SCORE * 0.9, progress)
        least_matched, most_drop = tolerances_of("int8", self.tolerances)
        precision = Precision(self.reference_ap, ap, largest_drop(self.reference_ap, ap))
        return precision_gate(precision, most_drop, "int8"), boxes_gate(
            compare_faces(self.expected, found), least_matched
        )


def repair(
    model: onnx.ModelProto,
    calibration: CalibrationPhotos,
    photos: EvaluationSet,
    tolerances: Tolerances = Tolerances(),
    file_format: str = "onnx",
    calibrate_tables: Calibrate = Calibrate.ONCE,
    progress: Progress = SILENT,
) -> tuple[str, ...]:
    """The layers of a described fp32 model to keep in float32 in its int8 file of a format; none where it passes.
    `calibrate_tables`: whether the tables are made this machine's first.

    Raises TableError where no tables tell what layers take, BudgetError where not even float32 passes.
    """
    description = read_description(model, IN_MEMORY)
    reference = description.pipeline(load_model(model.SerializeToString(), resolve_target(_FLOAT_TARGET)))
    judge = _Judge(photos, tolerances, *_faces_of(reference, photos, REFERENCE_MIN_SCORE, progress))
    calibrated = calibrate(model, calibration)
    names = _targets(file_format)

    def passes(kept: Collection[str]) -> bool:
        if file_format == "onnx":  # calibrated once
            content: Path | bytes = calibrated.quantised(kept).SerializeToString()
            pipeline = read_description(calibrated.model, IN_MEMORY).pipeline(
                load_model(content, resolve_target(names[0]))
            )
        else:
            pipeline = _exported(model, file_format, ExportOptions("int8", calibration, kept=tuple(kept)))
        gates = judge.gates(pipeline, progress)
        values = ", ".join(f"{gate.name} {gate.value:.4f}" for gate in gates if gate.value is not None)
        progress.note(f"{len(kept)} layers in float32: {values}")
        return all(gate.passed is not False for gate in gates)

    if passes(()):
        return ()
    graph = build_graph(description.detector, description.input_size)
    tables = open_tables(
        names, [], [description.input_size], description.detector, calibrate=calibrate_tables, progress=progress
    )
    costs = _costs(graph, [tables[name] for name in names], calibrated, calibration, progress)
    kept = least_that_passes(graph, costs, passes)
    progress.note(
        f"kept in float32: {', '.join(kept.layers)}; predicted {in_ms(kept.latency_us / 1e3)} without the offset"
    )
    return kept.layers


def _targets(file_format: str) -> tuple[str, str]:
    """What runs int8 files of a format on this machine's CPU, and float32 ones."""
    by_precision = {
        target.precision: target.name
        for target in reversed(NAMED_TARGETS)
        if runtime_of(target).formats.get(target.precision) == file_format and not runtime_of(target).estimates
    }
    return by_precision["int8"], by_precision["fp32"]


def _exported(model: onnx.ModelProto, file_format: str, options: ExportOptions) -> Pipeline:
    """The faces of a file that lies nowhere any more once it is loaded."""
    with tempfile.TemporaryDirectory(prefix="facenas-") as folder:
        path = Path(folder, FORMATS[file_format].file_name)
        export_model(model, file_format, path, options)
        description = description_of(path)
        network = load_model(path, resolve_target(description.target))
        network.run(example_image(description.input_size))  # some runtimes read the weights no earlier
        return description.pipeline(network)


def least_that_passes(graph: Graph, costs: LayerCosts, passes: Callable[[Collection[str]], bool]) -> Kept:
    """Of the optima for ever less noise, which take ever longer, the first that passes. Raises BudgetError where none does."""
    total = sum(costs.noise.values())
    tried: set[tuple[str, ...]] = set()
    for level in range(_LEVELS + 1):
        kept = choose_kept(graph, costs, total * (1 - level / _LEVELS))
        if kept.layers not in tried and passes(kept.layers):
            return kept
        tried.add(kept.layers)
    raise BudgetError("even with all layers in float32 that can be a gate fails; take fp32, or more calibration photos")


def _faces_of(
    pipeline: Pipeline, photos: EvaluationSet, min_score: float, progress: Progress
) -> tuple[list[Faces], Mapping[str, float | None]]:
    """The faces of each photo that can be read with scores from `min_score` on, and the average precisions of all."""
    found: list[Faces] = []

    def detect(photo: Photo, least: float) -> Faces:
        faces = pipeline(photo, least)
        found.append(faces.take(np.flatnonzero(faces.scores >= min_score)))
        return faces

    evaluation = evaluate(detect, photos, progress)
    return found, evaluation.average_precisions


def _costs(
    graph: Graph,
    tables: Sequence[LatencyTable],
    calibrated: Calibrated,
    calibration: CalibrationPhotos,
    progress: Progress,
) -> LayerCosts:
    int8_us, float_us = (
        {layer.name: costs.cost(layer.operator).latency_us for layer in graph.layers}
        for costs in (OperatorCosts(table, graph.input_size) for table in tables)
    )
    by_value_us = conversion_us_by_value(resolve_target(tables[1].target))
    conversion_us = {
        layer.name: by_value_us
        * (layer.operator.out_channels * layer.operator.out_height_px * layer.operator.out_width_px)
        for layer in graph.layers
    }
    few = replace(calibration, count=min(_NOISE_PHOTOS, calibration.count))
    images = list(few.images(read_description(calibrated.model, IN_MEMORY)))
    noise = noise_by_layer(calibrated, images, progress)
    for layer in graph.layers:
        if not can_be_kept(layer, graph.outputs):
            float_us[layer.name], noise[layer.name] = int8_us[layer.name] + _NEVER_US, 0.0
    return LayerCosts(int8_us, float_us, conversion_us, noise)


def noise_by_layer(calibrated: Calibrated, images: list[FloatArray], progress: Progress = SILENT) -> dict[str, float]:
    """By layer, the mean squared error of the outputs in cells that see a face, where it alone is computed in int8."""

    def outputs(model: onnx.ModelProto) -> list[Mapping[str, FloatArray]]:
        network: CompiledModel = load_model(model.SerializeToString(), resolve_target(_FLOAT_TARGET))
        return list(with_logits_from([network.run(image) for image in images], MIN_LOGIT))

    expected = outputs(calibrated.model)
    sees_face = [{name: _sees_face(values) for name, values in each.items()} for each in expected]
    layers = list(dict.fromkeys(layer_of(node) for node in calibrated.model.graph.node))
    noise = {}
    for index, layer in enumerate(layers):
        found = outputs(calibrated.quantised([name for name in layers if name != layer]))
        total, count = 0.0, 0
        for ours, theirs, seen in zip(expected, found, sees_face, strict=True):
            for name, cells in seen.items():
                difference = (ours[name] - theirs[name])[0][:, cells]
                total, count = total + float((difference**2).sum()), count + difference.size
        noise[layer] = total / max(1, count)
        progress(index + 1, len(layers), "measuring what int8 costs each layer")
    return noise


def _sees_face(output: FloatArray) -> BoolArray:
    """Where some anchor of a map [1, channels, rows, columns] has a score that evaluations look at."""
    return np.asarray((output[0, SCORE_CHANNELS] >= _FACE_LOGIT).any(axis=0), np.bool_)


def conversion_us_by_value(target: Target) -> float:
    """Microseconds that the target's runtime takes here to turn one value of float32 into int8, or back; the mean of both."""
    sides = (1, 3, _TIMED_SIZE.height_px, _TIMED_SIZE.width_px)
    pair = [
        helper.make_node("QuantizeLinear", [IMAGE, "scale", "zero"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["x"], name="x"),
    ]
    constants = [
        numpy_helper.from_array(np.array(1 / 128, np.float32), "scale"),
        numpy_helper.from_array(np.array(128, np.uint8), "zero"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in (IMAGE, "x")]
    model = helper.make_model(
        helper.make_graph(pair, "conversion", ends[:1], ends[1:], constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    times_ns = load_model(model.SerializeToString(), target).time(_RUNS)
    return float(np.quantile(times_ns, 0.2)) / 1e3 / 2 / int(np.prod(sides))
