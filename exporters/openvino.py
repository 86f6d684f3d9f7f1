"""Export to OpenVINO: an .xml file with the graph, the description and the SHA-256 of the .bin file with the weights.

fp32 and bf16 are the same file but for their description: OpenVINO computes float32 weights in the precision that it is
told when it compiles. int8 is NNCF's post-training quantisation, and where labelled photos are given NNCF takes the
layers back that cost the most average precision, until the drop is within the limit.
"""

import hashlib
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
from facenas.exporters.artefact import (
    METADATA_KEY,
    Artefact,
    Description,
    artefact_of,
    description_from_metadata,
)
from facenas.exporters.calibration_photos import CalibrationPhotos
from facenas.exporters.decode import PREFIX
from facenas.exporters.executed import executed_by_openvino, weights_by_openvino
from facenas.exporters.onnx import read_description as read_onnx_description

from facenas.arrays import FloatArray
from facenas.devices.cpu import why_no_bfloat16
from facenas.errors import InputError, MissingPackageError
from facenas.files import read_bytes, sha256_of, write_atomic
from facenas.graph import IMAGE, STRIDES

TARGETS = {"fp32": "cpu-openvino", "bf16": "cpu-openvino-bf16", "int8": "cpu-openvino-int8"}
WEIGHTS_KEY = "facenas_weights_sha256"
_RUN_TIME_INFORMATION = "rt_info"

Run = Callable[[FloatArray], dict[str, FloatArray]]
_MAX_GRAPH_BYTES = 100_000_000


@dataclass(frozen=True, eq=False)
class AccuracyControl:
    """Labelled photos for NNCF to judge layers by.

    image(i): what the network is fed for photo i of `count`, float32 [1, 3, height, width]; average_precision: that of
    a network, given as the function that runs it, on all of them; max_drop: how much of it int8 may cost.
    """

    count: int
    image: Callable[[int], FloatArray]
    average_precision: Callable[[Run], float]
    max_drop: float


def why_not_openvino(model: onnx.ModelProto) -> str | None:
    """None where OpenVINO reads every operator, else the reason in words."""
    import openvino

    try:
        openvino.Core().read_model(model.SerializeToString())
    except RuntimeError as error:
        words = str(error).partition("To facilitate")[0]
        return " ".join((words.partition("Summary:")[2] or words).split())[-300:]
    return None


def export_openvino(
    model: onnx.ModelProto,
    out: Path,
    *,
    precision: str,
    calibration: CalibrationPhotos | None = None,
    accuracy: AccuracyControl | None = None,
    kept: Collection[str] = (),
) -> Artefact:
    """Write `out` (.xml) and the weights beside it (.bin) of a described fp32 model; int8 needs a calibration, and leaves the
    layers `kept` in float32.

    Raises InputError where OpenVINO cannot read the model, this machine lacks the precision, or nothing can be written
    at `out`; MissingPackageError where NNCF is needed and absent.
    """
    import openvino

    if precision not in TARGETS:
        raise InputError(f"OpenVINO on the CPU has no precision '{precision}'; there are {', '.join(TARGETS)}")
    if out.suffix != ".xml":
        raise InputError(
            f"an OpenVINO file ends in .xml, not '{out.suffix}'; give --out {out.with_suffix('.xml').name}"
        )
    target = TARGETS[precision]
    if precision == "bf16" and (words := why_no_bfloat16()):
        raise InputError(f"device '{target}' cannot be used here: {words}")
    reason = why_not_openvino(model)
    if reason is not None:
        raise InputError(f"OpenVINO cannot read the model: {reason}; export another format")
    description = read_onnx_description(model, out).as_exported(precision, target)
    network = openvino.Core().read_model(model.SerializeToString())
    if precision == "int8":
        if calibration is None:
            raise InputError("int8 needs photos to take the ranges from; give --calibration DIR")
        images = list(calibration.images(description))
        network = _quantise(network, images, accuracy, kept)
        how = calibration.to_json() | ({"kept_fp32": sorted(kept)} if kept else {})
        description = description.as_exported(precision, target, calibration=how)
    _write(network, out, description)
    operators = _executed(out, precision)
    return artefact_of(out, "openvino", description, "openvino", operators, weights=weights_of(out))


def _quantise(network: Any, images: list[FloatArray], accuracy: AccuracyControl | None, kept: Collection[str]) -> Any:
    nncf = _require_nncf()
    dataset = nncf.Dataset(images)
    with redirect_stdout(sys.stderr):  # NNCF draws its progress where our results go
        scope = _ignored(nncf, network, kept)
        if accuracy is None:
            return nncf.quantize(network, dataset, subset_size=len(images), ignored_scope=scope)
        return nncf.quantize_with_accuracy_control(
            network,
            dataset,
            nncf.Dataset(range(accuracy.count), accuracy.image),
            lambda compiled, _: (accuracy.average_precision(_runner(compiled)), None),
            max_drop=accuracy.max_drop,
            subset_size=len(images),
            ignored_scope=scope,
        )


def _ignored(nncf: Any, network: Any, kept: Collection[str]) -> Any:
    """What stays in float32 whatever it costs: the nodes of a decoder, where there is one, and of the layers `kept`."""
    names = [operation.get_friendly_name() for operation in network.get_ops()]
    ignored = [name for name in names if name.startswith(PREFIX) or name.partition("/")[0] in kept]
    return nncf.IgnoredScope(names=ignored, validate=False) if ignored else None


def _runner(compiled: Any) -> Run:
    request = compiled.create_infer_request()
    names = [output.any_name for output in compiled.outputs]

    def run(image: FloatArray) -> dict[str, FloatArray]:
        results = request.infer({IMAGE: image}, share_inputs=True)
        return {name: np.array(values) for name, values in zip(names, results.values(), strict=True)}

    return run


def _require_nncf() -> Any:
    import logging

    try:
        import nncf
    except ImportError as error:
        raise MissingPackageError(
            "int8 for OpenVINO needs the package nncf; install it with: pip install 'facenas[int8]'"
        ) from error
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf


def _write(network: Any, out: Path, description: Description) -> None:
    """Two files that only work together: the new weights wait beside the old ones until the new graph is there, so that at any
    moment either the old pair is whole or reading (`_weights_hash`) completes the new one."""

    with tempfile.TemporaryDirectory(prefix="facenas-") as folder:
        xml, weights = Path(folder, "model.xml"), Path(folder, "model.bin")
        _serialize(network, xml, weights)
        content = weights.read_bytes()
        network.set_rt_info(description.to_metadata()[METADATA_KEY], METADATA_KEY)
        network.set_rt_info(hashlib.sha256(content).hexdigest(), WEIGHTS_KEY)
        _serialize(network, xml, weights)
        graph = xml.read_bytes()
    write_atomic(_waiting(weights_of(out)), content)
    write_atomic(out, graph)
    _waiting(weights_of(out)).replace(weights_of(out))


def _serialize(network: Any, xml: Path, weights: Path) -> None:
    import openvino

    try:
        openvino.serialize(network, str(xml), str(weights))
    except RuntimeError as error:
        raise InputError(
            f"cannot write temporary files in {xml.parent} ({_first_line(error)}); free its disk"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _waiting(weights: Path) -> Path:
    """Where new weights wait for their graph."""
    return weights.with_name(f".{weights.name}.next")


def _weights_hash(weights: Path, wanted: str | None) -> str:
    """The SHA-256 of the weights; those that an export which was killed has left waiting take their place first."""
    waiting = _waiting(weights)
    if (not weights.is_file() or sha256_of(weights) != wanted) and waiting.is_file() and sha256_of(waiting) == wanted:
        with suppress(OSError):
            waiting.replace(weights)
    return sha256_of(weights)


def weights_of(path: Path) -> Path:
    """The file with the weights of the graph at `path`."""
    return path.with_suffix(".bin")


def write_opened(path: Path, folder: Path) -> Path:
    """A copy in `folder` of the file at `path` that takes any height and width; its path."""
    import openvino

    network = openvino.Core().read_model(str(path))
    network.reshape([1, 3, -1, -1])
    copy = folder / path.name
    openvino.serialize(network, str(copy), str(weights_of(copy)))
    return copy


def write_with_layers(path: Path, names: Sequence[str], folder: Path) -> Path:
    """A copy in `folder` of the file at `path` that gives the outputs of layers beside its own; its path."""
    import openvino

    network = openvino.Core().read_model(str(path))
    outputs = {name for output in network.outputs for name in output.get_names()}
    tensors = (output for operation in network.get_ops() for output in operation.outputs())
    present = {name for output in tensors for name in output.get_names()}
    network.add_outputs([name for name in names if name in present - outputs])
    copy = folder / path.name
    openvino.serialize(network, str(copy), str(weights_of(copy)))
    return copy


def weight_precisions(path: Path) -> dict[str, str]:
    """By layer, what the file's convolutions compute in, from their weights."""
    import openvino

    return weights_by_openvino(openvino.Core().read_model(str(path)))


def write_undecoded(path: Path, folder: Path) -> Path:
    """A copy in `folder` of the file at `path`, which decodes, with its raw maps for outputs; its path."""
    import openvino

    network = openvino.Core().read_model(str(path))
    tensors = [output for operation in network.get_ops() for output in operation.outputs()]
    maps = [
        next(output for output in tensors if f"output_{stride}" in output.get_names())  # as `decode` left it
        for stride in STRIDES
    ]
    copy = folder / path.name
    openvino.serialize(openvino.Model(maps, network.get_parameters()), str(copy), str(weights_of(copy)))
    return copy


def _executed(path: Path, precision: str) -> dict[str, int]:
    import openvino

    hint = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    return executed_by_openvino(openvino.Core().compile_model(str(path), "CPU", hint))


def read_description(path: Path) -> Description:
    """What an .xml file says of itself. Raises InputError where it is damaged, not ours, or its weights are not its own."""
    if not path.is_file():
        raise InputError(f"no model at {path}; check the path")
    try:
        root = ElementTree.fromstring(read_bytes(path, "model", _MAX_GRAPH_BYTES))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{path} is no whole OpenVINO file ({error}); export or copy it again") from error
    entries = dict(_entries(root))
    description = description_from_metadata(entries, path)
    weights = weights_of(path)
    if not weights.is_file() and not _waiting(weights).is_file():
        raise InputError(f"{path} has no weights {weights.name} beside it; copy both, or export it again")
    if _weights_hash(weights, entries.get(WEIGHTS_KEY)) != entries.get(WEIGHTS_KEY):
        raise InputError(f"{weights} does not hold the weights of {path.name}: cut off or replaced; export it again")
    return description


def _entries(root: ElementTree.Element) -> Iterator[tuple[str, str]]:
    information = root.find(_RUN_TIME_INFORMATION)
    for entry in information if information is not None else ():
        yield entry.tag, entry.get("value", "")
