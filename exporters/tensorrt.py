"""Export to a TensorRT engine, by the same lines for TensorRT 8.5 to 11 and TensorRT-RTX.

The precision is that of the ONNX graph that is given: float32, float16, or int8 with QuantizeLinear and DequantizeLinear
in TensorRT's dialect. The engine file is TensorRT's own, byte for byte, so that trtexec, DeepStream and Triton load it
too; what it only works with (GPU, driver, TensorRT) stands with its description in the JSON file beside it, and
elsewhere it is refused with words before TensorRT meets it. TensorRT-RTX builds without a GPU what any RTX GPU then
finishes when it loads it, so its engines are bound to the version alone; no TensorRT takes them, so it is used only where
a target asks for it (`cuda-tensorrt-rtx-*`).
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import onnx
from facenas.exporters.artefact import Artefact, Description, artefact_of, read_sidecar, write_sidecar
from facenas.exporters.onnx import read_description

from facenas.errors import InputError, MissingPackageError
from facenas.files import write_atomic
from facenas.on_device.cuda_driver import Cuda, CudaError, Gpu
from facenas.on_device.tensorrt_engine import Package, TensorRtError, build, find_package, unsupported

FLAVOURS_OF_RUNTIMES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
_SUFFIXES = {"fp32": "", "fp16": "-fp16", "int8": "-int8"}
REBUILD = "export it here: facenas export --format trt"
_GPU_FIELDS = ("gpu", "compute_capability", "driver")
_ALWAYS_FIELDS = ("flavour", "version")


def require_package(flavour: str = "tensorrt") -> Package:
    """The installed TensorRT of a flavour. Raises MissingPackageError that says what to install, InputError for one that is
    too old or cannot be imported."""
    try:
        package = find_package(flavour)
        if package is not None:
            return package
        other = flavour == "tensorrt" and find_package("tensorrt_rtx") is not None
    except TensorRtError as error:
        raise InputError(str(error)) from error
    if flavour == "tensorrt_rtx":
        raise MissingPackageError("TensorRT-RTX is not installed; install it with: pip install 'facenas[trt-rtx]'")
    raise MissingPackageError(
        "TensorRT is not installed; install it with: pip install 'facenas[tensorrt]' (on a Jetson it comes with JetPack; "
        "for a board elsewhere: --device NAME)"
        + ("; a TensorRT-RTX is, for RTX GPUs alone: --device cuda-tensorrt-rtx" if other else "")
    )


def target_name(flavour: str, precision: str) -> str:
    """The target on this machine that runs engines of a flavour in a precision."""
    return f"cuda-tensorrt{'-rtx' if flavour == 'tensorrt_rtx' else ''}{_SUFFIXES[precision]}"


def int8_dialect(version: str) -> str:
    """The dialect of int8 graphs that a version of TensorRT (10.3.0, or a fingerprint's `tensorrt 10.3.0`) takes best."""
    major = version.rpartition(" ")[2].partition(".")[0]
    return "tensorrt-8" if major.isdigit() and int(major) < 10 and "rtx" not in version else "tensorrt"


def precision_of(model: onnx.ModelProto) -> str:
    """`int8` where the graph quantises, `fp16` where a convolution's weights are float16, else `fp32`."""
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return "int8"
    half = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    return "fp16" if half else "fp32"


def why_not_tensorrt(model: onnx.ModelProto, package: Package) -> str | None:
    """None where a TensorRT takes every operator, else each that it does not take with the parser's reason."""
    nodes = model.graph.node
    reasons = []
    for index, reason in unsupported(package, model.SerializeToString()):
        known = 0 <= index < len(nodes)
        named = f"operator {nodes[index].op_type} '{nodes[index].name or index}': " if known else ""
        reasons.append(named + " ".join(reason.split())[:200])
    return "; ".join(dict.fromkeys(reasons)) or None


def timing_cache_path(package: Package, gpu: Gpu) -> Path:
    """Where TensorRT's timings are kept for the next build: $XDG_CACHE_HOME or ~/.cache, a file for each GPU and version."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    named = "-".join(re.findall(r"[a-z0-9]+", f"{gpu.name} sm {gpu.compute_capability}".lower()))
    return folder / "facenas" / f"{package.flavour}-{package.version}-{named}.timing-cache"


def build_plan(package: Package, model: bytes, precision: str, gpu: Gpu | None, *, detailed: bool = False) -> bytes:
    """The engine of an ONNX model, built with the timings of earlier builds on this GPU. Raises TensorRtError."""
    if package.flavour != "tensorrt" or gpu is None:
        return build(package, model, precision, detailed=detailed).plan
    kept = timing_cache_path(package, gpu)
    cache = kept.read_bytes() if kept.is_file() else b""
    built = build(package, model, precision, timing_cache=cache, detailed=detailed)
    if built.timing_cache != cache:
        with suppress(InputError):  # without a place for it the next build only takes longer
            write_atomic(kept, built.timing_cache)
    return built.plan


def export_tensorrt(model: onnx.ModelProto, out: Path, package: Package) -> Artefact:
    """Write the engine that a package builds of a described ONNX model, and its description beside it.

    Raises InputError where an operator is not supported, the model leaves its size open or the builder fails.
    """
    shape = model.graph.input[0].type.tensor_type.shape.dim
    if not all(dimension.HasField("dim_value") for dimension in shape):
        raise InputError("an engine has one input size; export without --dynamic")
    reason = why_not_tensorrt(model, package)
    if reason is not None:
        raise InputError(f"TensorRT {package.version} cannot take this model: {reason}")
    precision = precision_of(model)
    content = model.SerializeToString()
    cuda = _cuda_that_builds(package)
    gpu = None if cuda is None else cuda.gpu()
    built_with = stamp(package, content, gpu)
    try:
        plan = build_plan(package, content, precision, gpu)
    except (TensorRtError, CudaError) as error:
        raise InputError(f"TensorRT {package.version} cannot build the engine: {_first_line(error)}") from error
    return write_engine(plan, model, out, target_name(package.flavour, precision), built_with)


def write_engine(
    plan: bytes, model: onnx.ModelProto, out: Path, target: str, built_with: Mapping[str, str]
) -> Artefact:
    """Write the engine that was built of a described ONNX model, here or elsewhere, for a target, and its description."""
    before = read_description(model, out)
    described = before.as_exported(precision_of(model), target, built_with=built_with, calibration=before.calibration)
    write_atomic(out, plan)
    write_sidecar(out, described)
    return artefact_of(out, "trt", described, built_with["flavour"], _operator_counts(model), built_with["version"])


def _cuda_that_builds(package: Package) -> Cuda | None:
    """The GPU on which TensorRT builds; None for TensorRT-RTX, which needs none. Raises InputError where none answers."""
    if package.flavour != "tensorrt":
        return None
    try:
        return Cuda()
    except CudaError as error:
        raise InputError(
            f"TensorRT builds an engine on the GPU that will run it, and here {error}; export on that machine, or for a "
            "board elsewhere: --device NAME"
        ) from error


def stamp(package: Package, model: bytes, gpu: Gpu | None) -> dict[str, str]:
    """What an engine made here of this ONNX model only works with; for TensorRT-RTX no GPU is named."""
    found = {"flavour": package.flavour, "version": package.version, "onnx_sha256": hashlib.sha256(model).hexdigest()}
    if gpu is not None:
        found |= {"gpu": gpu.name, "compute_capability": gpu.compute_capability, "driver": gpu.driver}
    return found


def trtexec_line(onnx_name: str, engine_name: str, precision: str, version: str) -> str:
    """What a board types whose TensorRT is of that version, so that the engine is the one that was profiled.

    From 10 on the graph's own types hold (11 knows nothing else and has no flag for it); before, flags permit precisions.
    """
    major = int(version.partition(".")[0])
    flags = {"fp32": (), "fp16": ("--fp16",), "int8": ("--int8", "--fp16")}[precision] if major < 10 else ()
    strong = ("--stronglyTyped",) if major == 10 else ()
    words = (f"--onnx={onnx_name}", *flags, *strong, "--noTF32", f"--saveEngine={engine_name}")
    return " ".join(("/usr/src/tensorrt/bin/trtexec", *words))


def why_elsewhere(built_with: Mapping[str, str], package: Package, gpu: Gpu) -> str | None:
    """None where an engine so stamped belongs to this TensorRT and GPU, else what differs, in words."""
    here = {
        "flavour": package.flavour,
        "version": package.version,
        "gpu": gpu.name,
        "compute_capability": gpu.compute_capability,
        "driver": gpu.driver,
    }
    return stamp_differences(built_with, here, "here")


def stamp_differences(built_with: Mapping[str, str], runs_it: Mapping[str, str], where: str) -> str | None:
    """In words, in what an engine's stamp differs from what is to run it `where` (here, there); None where it belongs there."""
    fields = (*_ALWAYS_FIELDS, *(name for name in _GPU_FIELDS if name in built_with))
    differing = [name for name in fields if built_with.get(name) != runs_it[name]]
    words = (
        f"{name.replace('_', ' ')} {built_with.get(name, 'unknown')}, {where} {runs_it[name]}" for name in differing
    )
    return "; ".join(words) or None


def read_engine(path: Path, package: Package, gpu: Gpu) -> tuple[Description, bytes]:
    """The description and the plan of an engine file that was built for this machine.

    Raises InputError where it was built for another, was cut off, or has no description beside it.
    """
    description = read_sidecar(path)
    reason = why_elsewhere(description.built_with, package, gpu)
    if reason is not None:
        raise InputError(f"{path} was built elsewhere ({reason}); engines are not portable, {REBUILD}")
    return description, path.read_bytes()


def _operator_counts(model: onnx.ModelProto) -> dict[str, int]:
    """How many convolutions the graph asks for in which precision; TensorRT keeps to it (strongly typed)."""
    nodes = model.graph.node
    dequantized = {name for node in nodes if node.op_type == "DequantizeLinear" for name in node.output}
    half = {tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
    counts: Counter[str] = Counter()
    for node in nodes:
        if node.op_type == "Conv":
            quantized = set(node.input[:2]) <= dequantized
            counts[f"Conv {'int8' if quantized else 'fp16' if node.input[1] in half else 'fp32'}"] += 1
    return dict(counts)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
