"""Why this machine's GPU cannot be used, in words: no driver, no TensorRT, a PyTorch without CUDA."""

import importlib.util
import re
from pathlib import Path

from facenas.devices.target import Target
from facenas.errors import FacenasError

CUDA_TORCH = "pip install torch --index-url https://download.pytorch.org/whl/cu128"


def _why_no_gpu() -> str | None:
    from facenas.on_device.cuda_driver import Cuda, CudaError

    try:
        Cuda()
    except CudaError as error:
        return str(error)
    return None


def why_no_tensorrt(target: Target) -> str | None:
    """None where this machine runs TensorRT, else the reason in words."""
    from facenas.exporters.tensorrt import FLAVOURS_OF_RUNTIMES, require_package

    try:
        require_package(FLAVOURS_OF_RUNTIMES[target.runtime])
    except FacenasError as error:
        return str(error)
    return _why_no_gpu()


def why_no_cuda_torch(_: Target) -> str | None:
    """A PyTorch for the CPU alone is a package of the same name; its version file says so without importing it."""
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    if re.search(r"^cuda\b[^=]*= *None", text, re.MULTILINE):
        return f"this PyTorch is built for the CPU alone; install one with CUDA: {CUDA_TORCH} --force-reinstall"
    return _why_no_gpu()
