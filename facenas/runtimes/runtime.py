"""Every runtime, one `Runtime` each: what it is called, how a model is loaded, and all that is peculiar to it.

A runtime is a module with a `CompiledModel`, a record here, and a line in `facenas.devices.target.NAMED_TARGETS` for each
device that has it; docs/runtimes.md shows the three. Modules are imported only when they are asked for.

`session_drift` says by how much whole sessions of measuring shift, as a share of a latency, by precision. From profiles and
four later sessions on three days, one machine with 2 virtual cores: all networks of a session took longer or shorter
together, on ONNX Runtime by -1.9 to +2.0 %, on OpenVINO by -1.8 to +7.0 % in float32, by -1.9 to +4.2 % in bfloat16, by
-4.1 to +6.8 % in int8. With these numbers the intervals held 9 of 10 of all those latencies. GPUs have ONNX Runtime's
until theirs are measured; estimates do not drift.
"""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from facenas.devices.cpu import cores, why_no_bfloat16
from facenas.devices.fingerprint import Fingerprint
from facenas.devices.own_devices import add_command
from facenas.devices.target import MODELLED_NAMES, Target
from facenas.errors import InputError, MissingPackageError
from facenas.on_device.tensorrt_engine import FLAVOURS
from facenas.operators import Kind, Operator
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.elsewhere import (
    Elsewhere,
    litert_stand_in,
    ncnn_stand_in,
    onnxruntime_layers,
    onnxruntime_nodes,
    onnxruntime_stand_in,
    openvino_layers,
    tensorrt_layers,
    tensorrt_nodes,
    tensorrt_stand_in,
)
from facenas.runtimes.fingerprints import of_an_npu, of_tensorrt, of_this_cpu, of_this_gpu
from facenas.runtimes.gpu_here import CUDA_TORCH, why_no_cuda_torch, why_no_tensorrt

Load = Callable[[Path | bytes, Target], CompiledModel]
"""`load_model`, or what stands for it where a device elsewhere runs the file."""


@dataclass(frozen=True)
class Runtime:
    """`name`: the package, as targets, tables and fingerprints write it; `modules`: any of them is imported, none where it
    is no Python package and `why_not` looks for it; `install`: what to type where none is there; `formats`: by precision, the
    exporters' format whose files it runs.

    load(model, target, timing_only) compiles; why_not(target) says in words why this machine cannot, its package apart;
    `reentrant`: threads may run one model at once; `estimates`: its times are a vendor's estimates, nothing is measured;
    `block_px`: how many pixels of a row it computes at once (facenas/latency/input_sizes.py), where it tells layers;
    `on_gpu`: a device elsewhere is what its board is, not what its CPU is; `falls_back`: by precision, of which operators it is
    known that they are computed in another.
    """

    name: str
    modules: tuple[str, ...]
    install: str
    load: Callable[[Path | bytes, Target, bool], CompiledModel]
    session_drift: Mapping[str, float]
    formats: Mapping[str, str]
    fingerprint: Callable[[Target], Fingerprint] = of_this_cpu
    why_not: Callable[[Target], str | None] = lambda target: None
    tells_layers: bool = True
    block_px: int = 1
    estimates: bool = False
    reentrant: bool = False
    on_gpu: bool = False
    elsewhere: Elsewhere | None = None
    falls_back: Mapping[str, Callable[[Operator], bool]] = field(default_factory=dict)


def _load_onnxruntime(model: Path | bytes, target: Target, timing_only: bool) -> CompiledModel:
    from facenas.runtimes.onnxruntime_cpu import OnnxRuntimeModel, as_int8

    return OnnxRuntimeModel(as_int8(model, timing_only=timing_only) if target.precision == "int8" else model, target)


def _load_openvino(model: Path | bytes, target: Target, timing_only: bool) -> CompiledModel:
    from facenas.runtimes.openvino_cpu import OpenVinoModel

    return OpenVinoModel(model, target, timing_only=timing_only)


def _load_litert(model: Path | bytes, target: Target, timing_only: bool) -> CompiledModel:
    from facenas.runtimes.litert_cpu import LiteRtModel

    return LiteRtModel(model, target, timing_only=timing_only)


def _load_ncnn(model: Path | bytes, target: Target, timing_only: bool) -> CompiledModel:
    from facenas.runtimes.ncnn_cpu import NcnnModel

    return NcnnModel(model, target)


def _load_mnn(model: Path | bytes, target: Target, timing_only: bool) -> CompiledModel:
    from facenas.runtimes.mnn_cpu import MnnModel

    return MnnModel(model, target)


def _load_web(model: Path | bytes, target: Target, timing_only: bool) -> CompiledModel:
    from facenas.runtimes.onnxruntime_web import OnnxRuntimeWebModel, wasm_page

    return OnnxRuntimeWebModel(model, wasm_page(target.threads))


def _load_web_gpu(model: Path | bytes, target: Target, timing_only: bool) -> CompiledModel:
    from facenas.runtimes.onnxruntime_web import OnnxRuntimeWebModel
    from facenas.runtimes.web_gpu import gpu_page

    return OnnxRuntimeWebModel(model, gpu_page())


def _web_fingerprint(target: Target) -> Fingerprint:
    from facenas.runtimes.onnxruntime_web import fingerprint_of

    return fingerprint_of(target)


def _why_no_browser(target: Target) -> str | None:
    from facenas.runtimes.onnxruntime_web import why_not_here

    return why_not_here(target)


def _web_gpu_fingerprint(target: Target) -> Fingerprint:
    from facenas.runtimes.web_gpu import fingerprint_of

    return fingerprint_of(target)


def _why_no_web_gpu(target: Target) -> str | None:
    from facenas.runtimes.web_gpu import why_not_here

    return why_not_here(target)


def _load_vela(model: Path | bytes, target: Target, timing_only: bool) -> CompiledModel:
    from facenas.runtimes.vela import VelaModel

    return VelaModel(model, target, timing_only=timing_only)


def _load_tensorrt(model: Path | bytes, target: Target, timing_only: bool) -> CompiledModel:
    from facenas.runtimes.tensorrt_gpu import TensorRtModel

    return TensorRtModel(model, target, timing_only=timing_only)


def _load_torch(model: Path | bytes, target: Target, timing_only: bool) -> CompiledModel:
    from facenas.runtimes.torch_cuda import TorchCudaModel

    return TorchCudaModel(model, target)


def _why_no_precision(target: Target) -> str | None:
    return why_no_bfloat16() if target.precision == "bf16" else None


RUNTIMES: Mapping[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        Runtime(
            name="onnxruntime",
            modules=("onnxruntime",),
            install="pip install onnxruntime",
            load=_load_onnxruntime,
            session_drift={"fp32": 0.012, "int8": 0.012},
            formats={"fp32": "onnx", "int8": "onnx"},
            reentrant=True,
            elsewhere=Elsewhere(onnxruntime_layers, onnxruntime_nodes, onnxruntime_stand_in),
            falls_back={"fp16": lambda operator: True},
        ),
        Runtime(
            name="openvino",
            modules=("openvino",),
            install="pip install openvino",
            load=_load_openvino,
            session_drift={"fp32": 0.07, "bf16": 0.035, "int8": 0.07},
            formats={"fp32": "openvino", "bf16": "openvino", "int8": "openvino"},
            why_not=_why_no_precision,
            elsewhere=Elsewhere(openvino_layers),
            falls_back={"int8": lambda operator: operator.kind is Kind.DEPTHWISE},
        ),
        Runtime(
            name="ai-edge-litert",
            modules=("ai_edge_litert",),
            install="pip install 'facenas[npu]'",
            load=_load_litert,
            session_drift={"int8": 0.012},
            formats={"int8": "tflite"},
            tells_layers=False,
            elsewhere=Elsewhere(stand_in=litert_stand_in),
        ),
        Runtime(
            name="ncnn",
            modules=("ncnn",),
            install="pip install 'facenas[ncnn]'",
            load=_load_ncnn,
            session_drift={"fp32": 0.012, "fp16": 0.012},
            formats={"fp32": "ncnn", "fp16": "ncnn"},
            tells_layers=False,
            reentrant=True,
            elsewhere=Elsewhere(stand_in=ncnn_stand_in),
        ),
        Runtime(
            name="MNN",
            modules=("MNN",),
            install="pip install 'facenas[mnn]'",
            load=_load_mnn,
            session_drift={"fp32": 0.012, "fp16": 0.012},
            formats={"fp32": "mnn", "fp16": "mnn"},
            tells_layers=False,
        ),
        Runtime(
            name="onnxruntime-web",
            modules=(),
            install="npm install onnxruntime-web",
            load=_load_web,
            session_drift={"fp32": 0.035},
            formats={"fp32": "web"},
            fingerprint=_web_fingerprint,
            why_not=_why_no_browser,
            tells_layers=False,
        ),
        Runtime(
            name="onnxruntime-webgpu",
            modules=(),
            install="npm install onnxruntime-web",
            load=_load_web_gpu,
            session_drift={"fp32": 0.035},
            formats={"fp32": "web-gpu"},
            fingerprint=_web_gpu_fingerprint,
            why_not=_why_no_web_gpu,
            tells_layers=False,
        ),
        Runtime(
            name="ethos-u-vela",
            modules=("ethosu",),
            install="pip install 'facenas[npu]'",
            load=_load_vela,
            session_drift={"int8": 0.0},
            formats={"int8": "tflite"},
            fingerprint=of_an_npu,
            estimates=True,
            block_px=2,
        ),
        Runtime(
            name="tensorrt",
            modules=FLAVOURS["tensorrt"],
            install="pip install 'facenas[tensorrt]'",
            load=_load_tensorrt,
            session_drift={"fp32": 0.012, "fp16": 0.012, "int8": 0.012},
            formats={"fp32": "trt", "fp16": "trt", "int8": "trt"},
            fingerprint=of_tensorrt,
            why_not=why_no_tensorrt,
            on_gpu=True,
            elsewhere=Elsewhere(tensorrt_layers, tensorrt_nodes, tensorrt_stand_in),
        ),
        Runtime(
            name="tensorrt-rtx",
            modules=FLAVOURS["tensorrt_rtx"],
            install="pip install 'facenas[trt-rtx]'",
            load=_load_tensorrt,
            session_drift={"fp32": 0.012, "fp16": 0.012, "int8": 0.012},
            formats={"fp32": "trt", "fp16": "trt", "int8": "trt"},
            fingerprint=of_tensorrt,
            why_not=why_no_tensorrt,
            on_gpu=True,
        ),
        Runtime(
            name="torch",
            modules=("torch",),
            install=CUDA_TORCH,
            load=_load_torch,
            session_drift={"fp32": 0.012, "fp16": 0.012},
            formats={},
            fingerprint=of_this_gpu,
            why_not=why_no_cuda_torch,
            on_gpu=True,
        ),
    )
}


def runtime_of(target: Target) -> Runtime:
    """The record of a target's runtime."""
    return RUNTIMES[target.runtime]


def load_model(model: Path | bytes, target: Target, *, timing_only: bool = False) -> CompiledModel:
    """Compile a file, an ONNX one or of the runtime's own format, or the bytes of an ONNX model for a target.

    With `timing_only`, a float32 model stands for the one of the target's precision that it would become.
    Raises InputError for what is no usable model, MissingPackageError where the target's runtime is not installed.
    """
    require_available(target)
    if isinstance(model, Path) and not model.is_file():
        raise InputError(f"no model at {model}; check the path")
    return runtime_of(target).load(model, target, timing_only)


def read_fingerprint(target: Target) -> Fingerprint:
    """The fingerprint of this machine running `target`; its runtime must be installed."""
    return runtime_of(target).fingerprint(target)


@dataclass(frozen=True)
class _Unavailable:
    words: str
    missing_package: bool = False


def why_unavailable(target: Target) -> str | None:
    """None where this machine can run the target, else the reason in words."""
    reason = _unavailable(target)
    return None if reason is None else reason.words


def require_available(target: Target) -> None:
    """Raises MissingPackageError or InputError with the reason where this machine cannot run the target."""
    reason = _unavailable(target)
    if reason is not None:
        kind = MissingPackageError if reason.missing_package else InputError
        raise kind(f"device '{target}' cannot be used here: {reason.words}")


def _unavailable(target: Target) -> _Unavailable | None:
    if target.elsewhere:
        return _Unavailable(f"it is elsewhere; say where, for good: {add_command(target)}")
    if target.name in MODELLED_NAMES:
        return _Unavailable(
            "a board that is modelled, not measured, and not here; it predicts and searches, but runs nothing"
        )
    runtime = runtime_of(target)
    if runtime.modules and not any(importlib.util.find_spec(module) for module in runtime.modules):
        words = f"the package '{runtime.name}' is not installed; install it with: {runtime.install}"
        return _Unavailable(words, missing_package=True)
    if reason := runtime.why_not(target):
        return _Unavailable(reason)
    if target.threads > cores():
        return _Unavailable(f"{target.threads} threads are more than the {cores()} cores that this process may use")
    return None
