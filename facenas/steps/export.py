"""Export: from a checkpoint, or an untrained architecture, to the file that a runtime loads."""

from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from facenas.architecture import Architecture
from facenas.checkpoint import load_weights
from facenas.detector.face_detector import DEFAULT_MIN_SCORE
from facenas.devices.target import MODELLED_NAMES, Target
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.evaluation.accuracy_control import accuracy_control
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.evaluation.protocols import EVALUATION_MIN_SCORE
from facenas.exporters import formats
from facenas.exporters.artefact import Artefact
from facenas.exporters.calibration_photos import DEFAULT_COUNT, CalibrationPhotos, choose_calibration
from facenas.exporters.formats import FORMATS, export_model, format_named, in_precision
from facenas.exporters.onnx import IN_MEMORY, onnx_of_checkpoint, onnx_untrained, read_description
from facenas.exporters.openvino import AccuracyControl
from facenas.files import require_no_input
from facenas.given import given_checkpoint
from facenas.latency.this_machine import Calibrate
from facenas.pipeline.decoded import Decoding
from facenas.progress import SILENT, Progress
from facenas.runtimes.runtime import load_model, runtime_of
from facenas.steps.boards import board_of, build_there
from facenas.steps.repair import repair
from facenas.units import DEFAULT_INPUT, Size, as_size

_FEW_PHOTOS = 32  # as many as the gates compare
_FLAT = 4.0  # standard deviation of the pixels, of 255


@dataclass(frozen=True)
class ExportSettings:
    """`input_size`: by default the checkpoint's; `dynamic`: batch, height and width stay open.

    int8 takes its ranges from `calibration_count` photos of the folder `calibration` (default: synthetic ones), chosen
    with `seed`; `labelled`: photos by which OpenVINO keeps the average precision; `dialect`: the runtime that int8 ONNX
    is for, onnxruntime, tensorrt or (before version 10) tensorrt-8; `device`: the target that an engine is for, by default
    this machine's TensorRT; `decode`: the file answers with faces instead of raw maps; `repair`: where the int8 file fails the
    gates on the photos `labelled`, layers stay in float32, by tables that are made this machine's first as `calibrate` says;
    `runtime_folder`: web: of the npm package onnxruntime-web.
    """

    input_size: str | Size | None = None
    dynamic: bool = False
    calibration: Path | str | None = None
    calibration_count: int = DEFAULT_COUNT
    seed: int = 0
    labelled: Path | str | None = None
    dialect: str = "onnxruntime"
    device: str | None = None
    decode: bool = False
    repair: bool = False
    calibrate: Calibrate = Calibrate.ONCE
    runtime_folder: Path | str | None = None


def export(
    model: Path | str | Architecture,
    format: str = "onnx",
    precision: str | None = None,
    *,
    settings: ExportSettings = ExportSettings(),
    out: Path | str | None = None,
    progress: Progress = SILENT,
) -> Artefact:
    """Export `model`: a checkpoint, the folder of a run or training, a name of the zoo, or an `Architecture` (untrained, for
    latency only).

    `format`: onnx, openvino, trt, tflite, ncnn, mnn, or web and web-gpu, which write a folder; `precision`: by default the
    device's, else fp32; `out`: the file, by default `model` with the format's suffix. An engine is built on the GPU that runs
    it, also on a board elsewhere; of one that does not answer the ONNX file is written instead, and `progress` is told what to
    type there.
    Raises InputError for a format, precision or device that there is not, an unusable checkpoint, or too few photos.
    """
    format = format_named(format).name
    if settings.decode and FORMATS[format].undecoded is None:
        can = " and ".join(each.name for each in FORMATS.values() if each.undecoded is not None)
        raise InputError(f"--decode: a file of format {format} cannot suppress boxes itself; {can} can")
    board = target = None
    if settings.device is not None:
        target = _engine_target(settings.device, format, precision)
        precision = target.precision
        if target.elsewhere or target.name in MODELLED_NAMES:
            board = board_of(target, as_size(settings.input_size or DEFAULT_INPUT), progress)
            settings = replace(settings, dialect=board.dialect)
            format = format if board.answers else "onnx"
    precision = precision or "fp32"
    _require_judged(settings, FORMATS[format], precision)
    path = FORMATS[format].path_at(None if out is None else Path(out))
    if board is not None:
        path = path.with_suffix(FORMATS[format].suffix)
    if path.suffix.lower() != FORMATS[format].suffix:
        raise InputError(
            f"--out {path}: a file of format {format} ends in {FORMATS[format].suffix}, or no command reads it"
        )
    if not isinstance(model, Architecture):
        require_no_input(path, [given_checkpoint(model)])
    network = _as_onnx(model, settings)
    photos = None
    if precision == "int8":
        photos = _calibration(network, settings, progress, trained=not isinstance(model, Architecture))
    options = _options(network, format, precision, photos, settings, progress)
    if board is not None and board.answers:
        assert target is not None
        return build_there(target, in_precision(network, options, board.dialect), path, progress)
    artefact = export_model(network, format, path, options)
    if board is not None:
        progress.note(board.what_to_type(path, precision))
    return artefact


def _options(
    network: onnx.ModelProto,
    file_format: str,
    precision: str,
    photos: CalibrationPhotos | None,
    settings: ExportSettings,
    progress: Progress,
) -> formats.ExportOptions:
    """What the format's writer is told; layers that int8 costs too much are found here, or by NNCF as it writes."""
    accuracy: AccuracyControl | None = None
    kept: tuple[str, ...] = ()
    decoding = Decoding(EVALUATION_MIN_SCORE) if settings.decode else None
    labelled = None if settings.labelled is None else load_evaluation_set(Path(settings.labelled))
    if labelled is not None and settings.repair and photos is not None:
        kept = repair(
            network, photos, labelled, file_format=file_format, calibrate_tables=settings.calibrate, progress=progress
        )
    elif labelled is not None:
        accuracy = accuracy_control(labelled, replace(read_description(network, IN_MEMORY), decoding=decoding))
    runtime = "tensorrt" if settings.device is None else resolve_target(settings.device).runtime
    folder = None if settings.runtime_folder is None else Path(settings.runtime_folder)
    return formats.ExportOptions(precision, photos, settings.dialect, accuracy, runtime, decoding, kept, folder)


def _require_judged(settings: ExportSettings, file_format: formats.Format, precision: str) -> None:
    """Raises InputError where labelled photos are given to a format that has no use for them, or asked for and not given."""
    if settings.repair:
        if precision not in file_format.keeps or settings.dialect != "onnxruntime":
            raise InputError(
                f"--repair: layers of a file of format {file_format.name} in {precision} cannot be kept in float32; it is for "
                "--format onnx or openvino, --precision int8"
            )
        if settings.labelled is None:
            raise InputError("--repair judges by labelled photos; give them with --labelled")
    elif settings.labelled is not None and precision not in file_format.judged:
        raise InputError("--labelled is for --format openvino --precision int8, or for --repair; leave it out")


def _engine_target(device: str, format: str, precision: str | None) -> Target:
    """The target that an engine is for. Raises InputError for one that has no engines, or computes another precision."""
    target = resolve_target(device)
    if format != "trt" or "trt" not in runtime_of(target).formats.values():
        raise InputError(
            f"--device '{device}' with --format {format}: only --format trt is built for a device of TensorRT"
        )
    if precision not in (None, target.precision):
        raise InputError(f"device '{device}' computes {target.precision}, not {precision}; leave --precision out")
    return target


def _calibration(
    network: onnx.ModelProto, settings: ExportSettings, progress: Progress, *, trained: bool
) -> CalibrationPhotos:
    folder = None if settings.calibration is None else Path(settings.calibration)
    photos = choose_calibration(folder, settings.calibration_count, settings.seed)
    if folder is None:
        progress.note(
            f"calibrating on {photos.count} synthetic photos; for real faces give real ones with --calibration"
        )
    for line in _doubts(photos, network, trained=trained):
        progress.note(line)
    return photos


def _doubts(photos: CalibrationPhotos, network: onnx.ModelProto, *, trained: bool) -> list[str]:
    """Lines about calibration photos that say too little: too few, flat, or without a face that the network finds."""
    lines = [f"left out: {problem}" for problem in photos.problems]
    if photos.folder is None:
        return lines
    if photos.count < _FEW_PHOTOS:
        lines.append(f"ranges from {photos.count} photos vary by chance; {DEFAULT_COUNT} are usual")
    description = read_description(network, IN_MEMORY)
    pipeline = description.pipeline(load_model(network.SerializeToString(), resolve_target("cpu")))
    flat = faces = 0
    for photo in photos.pictures(description.input_size):
        flat += bool(photo.std() < _FLAT)
        faces += len(pipeline(photo, DEFAULT_MIN_SCORE)) if trained else 1
    if 2 * flat > photos.count:
        lines.append(
            f"{flat} of {photos.count} calibration photos show hardly anything; the int8 file may find no face"
        )
    if not faces:
        lines.append(
            f"the network finds no face in the {photos.count} calibration photos, so that the ranges are of none; give photos"
            " with faces"
        )
    return lines


def _as_onnx(model: Path | str | Architecture, settings: ExportSettings) -> onnx.ModelProto:
    size = None if settings.input_size is None else as_size(settings.input_size)
    if isinstance(model, Architecture):
        return onnx_untrained(model, input_size=size or DEFAULT_INPUT, dynamic=settings.dynamic)
    checkpoint = load_weights(given_checkpoint(model))
    return onnx_of_checkpoint(checkpoint, input_size=size, dynamic=settings.dynamic)
