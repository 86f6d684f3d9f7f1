"""Every format, one `Format` each: which function writes it, how a file of it describes itself without loading its runtime,
and what else can be made of such a file. What a file is, is told from its suffix here and nowhere else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facenas.errors import InputError, meant
from facenas.operators import Kind

if TYPE_CHECKING:
    import onnx
    from facenas.exporters.artefact import Artefact, Description
    from facenas.exporters.calibration_photos import CalibrationPhotos
    from facenas.exporters.openvino import AccuracyControl

    from facenas.pipeline.decoded import Decoding


@dataclass(frozen=True)
class ExportOptions:
    """`calibration`: photos for int8; `dialect`: for which runtime int8 ONNX is meant; `accuracy`: photos by which layers
    are taken back from int8 that cost too much; `runtime`: that engines are for, tensorrt or tensorrt-rtx; `decoding`: what
    the file's own decoder keeps, None for raw maps; `kept`: layers that int8 leaves in float32; `runtime_folder`: of the npm
    package onnxruntime-web, by default the nearest."""

    precision: str = "fp32"
    calibration: "CalibrationPhotos | None" = None
    dialect: str = "onnxruntime"
    accuracy: "AccuracyControl | None" = None
    runtime: str = "tensorrt"
    decoding: "Decoding | None" = None
    kept: Sequence[str] = ()
    runtime_folder: Path | None = None


@dataclass(frozen=True)
class Format:
    """`file_name`: the usual name of its file, whose suffix is the format's, with its folder where it is one of several;
    write(model, out, options) writes a described fp32 model; describe(path): what a file says of itself; precisions(path):
    by layer that of its weights, whatever the file says.

    opened(path, folder): the model with any input size, as bytes or as a file in `folder`; with_layers(path, names, folder):
    the model with these layers' outputs beside its own; undecoded(path, folder): one that decodes, with its raw maps for
    outputs; None where the format can have no such copy. `judged`: precisions in which `accuracy` is heeded; `keeps`: those in
    which `kept` is; `weights_suffix`: of the file beside it that holds the weights, where it is another.
    """

    name: str
    file_name: str
    write: Callable[["onnx.ModelProto", Path, ExportOptions], "Artefact"]
    describe: Callable[[Path], "Description"]
    precisions: Callable[[Path], Mapping[str, str]]
    opened: Callable[[Path, Path], Path | bytes] | None = None
    with_layers: Callable[[Path, Sequence[str], Path], Path | bytes] | None = None
    undecoded: Callable[[Path, Path], Path | bytes] | None = None
    judged: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    weights_suffix: str = ""

    def weights_of(self, path: Path) -> Path | None:
        """The file beside `path` that holds its weights, None where they are inside."""
        return path.with_suffix(self.weights_suffix) if self.weights_suffix else None

    def computes(self, path: Path) -> str:
        """The precision of most layers of a file."""
        from facenas.exporters.executed import most

        return most(self.precisions(path))

    @property
    def suffix(self) -> str:
        """The suffix of its files, such as `.onnx`."""
        return Path(self.file_name).suffix

    def path_at(self, out: Path | None) -> Path:
        """The file that an export to `out` writes: of one among several the folder may be given."""
        usual = Path(self.file_name)
        if out is None or (usual.parent == Path() or out.suffix):
            return out or usual
        return out / usual.name


def _write_onnx(model: "onnx.ModelProto", out: Path, options: ExportOptions) -> "Artefact":
    from facenas.exporters.onnx import export_onnx

    return export_onnx(_decoding(in_precision(model, options, options.dialect), options), out)


def _undecoded_onnx(path: Path, _: Path) -> bytes:
    from facenas.exporters.decode import without_decoder
    from facenas.exporters.onnx import load_onnx

    return bytes(without_decoder(load_onnx(path)).SerializeToString())


def _describe_onnx(path: Path) -> "Description":
    from facenas.exporters.onnx import load_onnx, read_description

    return read_description(load_onnx(path), path)


def _onnx_layers(path: Path) -> dict[str, str]:
    from facenas.exporters.executed import weights_by_onnx
    from facenas.exporters.onnx import load_onnx

    return weights_by_onnx(load_onnx(path))


def _openvino_layers(path: Path) -> dict[str, str]:
    """Its float32 weights are computed in bfloat16 where it is compiled for that."""
    from facenas.exporters.openvino import weight_precisions

    half = description_of(path).precision == "bf16"
    layers = weight_precisions(path)
    return {layer: "bf16" if half and kind == "fp32" else kind for layer, kind in layers.items()}


def _all_as_said(path: Path) -> dict[str, str]:
    """Of a format that its writer alone gives one precision, or that keeps its weights inside: what it says."""
    from facenas.graph import build_graph

    description = description_of(path)
    graph = build_graph(description.detector, description.input_size)
    return {layer.name: description.precision for layer in graph.layers if layer.operator.kind is not Kind.UPSAMPLE}


def _open_onnx(path: Path, _: Path) -> bytes:
    from facenas.exporters.onnx import load_onnx, open_sides

    return bytes(open_sides(load_onnx(path)).SerializeToString())


def _onnx_with_layers(path: Path, names: Sequence[str], _: Path) -> bytes:
    from facenas.exporters.onnx import load_onnx, with_layers

    return bytes(with_layers(load_onnx(path), names).SerializeToString())


def _write_openvino(model: "onnx.ModelProto", out: Path, options: ExportOptions) -> "Artefact":
    from facenas.exporters.openvino import export_openvino

    network, precision, calibration = _decoding(model, options), options.precision, options.calibration
    return export_openvino(
        network, out, precision=precision, calibration=calibration, accuracy=options.accuracy, kept=options.kept
    )


def _describe_openvino(path: Path) -> "Description":
    from facenas.exporters.openvino import read_description

    return read_description(path)


def _open_openvino(path: Path, folder: Path) -> Path:
    from facenas.exporters.openvino import write_opened

    return write_opened(path, folder)


def _openvino_with_layers(path: Path, names: Sequence[str], folder: Path) -> Path:
    from facenas.exporters.openvino import write_with_layers

    return write_with_layers(path, names, folder)


def _undecoded_openvino(path: Path, folder: Path) -> Path:
    from facenas.exporters.openvino import write_undecoded

    return write_undecoded(path, folder)


def _write_tensorrt(model: "onnx.ModelProto", out: Path, options: ExportOptions) -> "Artefact":
    from facenas.exporters.tensorrt import FLAVOURS_OF_RUNTIMES, export_tensorrt, int8_dialect, require_package

    package = require_package(FLAVOURS_OF_RUNTIMES[options.runtime])
    dialect = int8_dialect(f"{package.flavour} {package.version}")
    return export_tensorrt(in_precision(model, options, dialect), out, package)


def _describe_tensorrt(path: Path) -> "Description":
    from facenas.exporters.artefact import read_sidecar

    return read_sidecar(path)


def _write_tflite(model: "onnx.ModelProto", out: Path, options: ExportOptions) -> "Artefact":
    from facenas.exporters.tflite import export_tflite

    if options.calibration is None:
        raise InputError(f"no precision '{options.precision}' in this format; add --precision int8")
    return export_tflite(model, out, options.calibration)


def _describe_tflite(path: Path) -> "Description":
    from facenas.exporters.tflite import read_description

    return read_description(path)


def _write_ncnn(model: "onnx.ModelProto", out: Path, options: ExportOptions) -> "Artefact":
    from facenas.exporters.ncnn import export_ncnn

    return export_ncnn(model, out, options.precision)


def _describe_ncnn(path: Path) -> "Description":
    from facenas.exporters.ncnn import read_description

    return read_description(path)


def _open_ncnn(path: Path, folder: Path) -> Path:
    from facenas.exporters.ncnn import write_opened

    return write_opened(path, folder)


def _write_mnn(model: "onnx.ModelProto", out: Path, options: ExportOptions) -> "Artefact":
    from facenas.exporters.mnn import export_mnn

    return export_mnn(model, out, options.precision)


def _describe_mnn(path: Path) -> "Description":
    from facenas.exporters.artefact import read_sidecar

    return read_sidecar(path)


def _write_web(model: "onnx.ModelProto", out: Path, options: ExportOptions) -> "Artefact":
    from facenas.exporters.web import export_web

    return export_web(model, out, options.precision, options.runtime_folder)


def _write_web_gpu(model: "onnx.ModelProto", out: Path, options: ExportOptions) -> "Artefact":
    from facenas.exporters.web import WEBGPU, export_web

    return export_web(model, out, options.precision, options.runtime_folder, WEBGPU)


FORMATS: Mapping[str, Format] = {
    each.name: each
    for each in (
        Format(
            name="onnx",
            file_name="model.onnx",
            write=_write_onnx,
            describe=_describe_onnx,
            precisions=_onnx_layers,
            opened=_open_onnx,
            with_layers=_onnx_with_layers,
            undecoded=_undecoded_onnx,
            keeps=("int8",),
        ),
        Format(
            name="openvino",
            file_name="model.xml",
            write=_write_openvino,
            describe=_describe_openvino,
            precisions=_openvino_layers,
            opened=_open_openvino,
            with_layers=_openvino_with_layers,
            undecoded=_undecoded_openvino,
            judged=("int8",),
            keeps=("int8",),
            weights_suffix=".bin",
        ),
        Format("trt", "model.engine", _write_tensorrt, _describe_tensorrt, _all_as_said),
        Format("tflite", "model.tflite", _write_tflite, _describe_tflite, _all_as_said),
        Format("web", "web/model.onnx", _write_web, _describe_onnx, _onnx_layers, _open_onnx, _onnx_with_layers),
        Format(
            name="web-gpu",
            file_name="web-gpu/model.onnx",
            write=_write_web_gpu,
            describe=_describe_onnx,
            precisions=_onnx_layers,
            opened=_open_onnx,
            with_layers=_onnx_with_layers,
        ),
        Format(
            name="ncnn",
            file_name="model.ncnn.param",
            write=_write_ncnn,
            describe=_describe_ncnn,
            precisions=_all_as_said,
            opened=_open_ncnn,
            weights_suffix=".bin",
        ),
        Format("mnn", "model.mnn", _write_mnn, _describe_mnn, _all_as_said),
    )
}


_OTHER_NAMES = {"tensorrt": "trt", "engine": "trt", "litert": "tflite", "tf": "tflite", "ov": "openvino"}


def format_named(name: str) -> Format:
    """The format of that name, or of what other tools call it (`tensorrt`, `engine`: trt), in small or capital letters.
    Raises InputError that lists the names there are."""
    small = name.lower()
    found = FORMATS.get(_OTHER_NAMES.get(small, small))
    if found is None:
        known = ", ".join(FORMATS)
        raise InputError(f"no format '{name}'; there are {known}{meant(name, (*FORMATS, *_OTHER_NAMES))}")
    return found


def format_of(path: Path) -> Format:
    """The format of a file, from its suffix. Raises InputError for another suffix."""
    for each in FORMATS.values():
        if each.suffix == path.suffix.lower():
            return each
    suffixes = ", ".join(each.suffix for each in FORMATS.values())
    raise InputError(f"{path} is no model file ({suffixes}); give one made by `facenas export`")


def description_of(path: Path) -> "Description":
    """What the file says of itself. Raises InputError where it is absent, damaged, or not made by facenas."""
    return format_of(path).describe(path)


def export_model(
    model: "onnx.ModelProto", file_format: str, out: Path, options: ExportOptions | None = None
) -> "Artefact":
    """Write a described fp32 model as `file_format`, one of FORMATS. int8 needs a `calibration`.

    Raises InputError for a format or precision that there is not, and as the format's own function does.
    """
    return format_named(file_format).write(model, out, options or ExportOptions())


def _decoding(model: "onnx.ModelProto", options: ExportOptions) -> "onnx.ModelProto":
    """The same network with the decoder that is asked for."""
    if options.decoding is None:
        return model
    from facenas.exporters.decode import with_decoder

    return with_decoder(model, options.decoding)


def in_precision(model: "onnx.ModelProto", options: ExportOptions, dialect: str) -> "onnx.ModelProto":
    """The ONNX graph that carries the precision itself, for the formats that are made from such a graph."""
    match options.precision:
        case "fp32":
            return model
        case "fp16":
            from facenas.exporters.onnx_half import half_model

            return half_model(model)
        case "int8" if options.calibration is not None:
            from facenas.exporters.onnx_int8 import quantize_model

            return quantize_model(model, options.calibration, dialect=dialect, kept=options.kept)
        case _:
            raise InputError(f"no precision '{options.precision}' in this format; there are fp32, fp16, int8")
