"""Which runtime compiles a model for which target. Each is imported only when it is asked for."""

from pathlib import Path

from facenas.devices.target import Target
from facenas.devices.targets import require_available
from facenas.errors import InputError
from facenas.runtimes.compiled_model import CompiledModel


def load_model(model: Path | bytes, target: Target, *, timing_only: bool = False) -> CompiledModel:
    """Compile an ONNX file (or, for OpenVINO, an .xml file) or the bytes of an ONNX model for a target.

    With `timing_only`, a float32 model stands for the one of the target's precision that it would become.
    Raises InputError for what is no usable model, MissingPackageError where the target's runtime is not installed.
    """
    require_available(target)
    if isinstance(model, Path) and not model.is_file():
        raise InputError(f"no model at {model}; check the path")
    match target.runtime:
        case "onnxruntime":
            from facenas.runtimes.onnxruntime_cpu import OnnxRuntimeModel, as_int8

            if target.precision == "int8":
                model = as_int8(model, timing_only=timing_only)
            return OnnxRuntimeModel(model, target)
        case "openvino":
            from facenas.runtimes.openvino_cpu import OpenVinoModel

            return OpenVinoModel(model, target, timing_only=timing_only)
        case "ai-edge-litert":
            from facenas.runtimes.litert_cpu import LiteRtModel

            return LiteRtModel(model, target)
        case "ethos-u-vela":
            from facenas.runtimes.vela import VelaModel

            return VelaModel(model, target, timing_only=timing_only)
        case "tensorrt":
            from facenas.runtimes.tensorrt_gpu import TensorRtModel

            return TensorRtModel(model, target, timing_only=timing_only)
        case "torch":
            from facenas.runtimes.torch_cuda import TorchCudaModel

            return TorchCudaModel(model, target)
        case _:
            raise InputError(f"device '{target}' has the runtime {target.runtime}, which runs no model here")
