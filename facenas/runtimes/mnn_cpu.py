"""MNN on the CPU, here on this machine.

Its Winograd convolutions take large tiles by default, which cost three decimals (differences of 1e-3 where ONNX Runtime has
1e-6); they get the small ones. A session overwrites its input while it runs.
"""

import tempfile
from pathlib import Path

import numpy as np

from facenas.arrays import FloatArray
from facenas.devices.target import Target
from facenas.errors import InputError
from facenas.exporters.mnn import converted, unheard
from facenas.graph import IMAGE
from facenas.runtimes.compiled_model import CompiledModel
from facenas.units import Size

with unheard():
    import MNN

_WINOGRAD_MEMORY, _SMALL_TILES = 3, 0  # a hint of MNN's and its value
_PRECISIONS = {"fp32": "high", "fp16": "low"}


class MnnModel(CompiledModel):
    """A .mnn file, or an fp32 ONNX model, converted first. Raises InputError where MNN cannot load it."""

    def __init__(self, model: Path | bytes, target: Target) -> None:
        name = "the model" if isinstance(model, bytes) else str(model)
        content = model if isinstance(model, bytes) else model.read_bytes()
        if not (isinstance(model, Path) and model.suffix == ".mnn"):
            content = converted(content, target.precision)
        settings = {"backend": "CPU", "numThread": target.threads, "precision": _PRECISIONS[target.precision]}
        with tempfile.TemporaryDirectory(prefix="facenas-") as folder, unheard():
            path = Path(folder, "model.mnn")
            path.write_bytes(content)
            try:
                self._net = MNN.Interpreter(str(path))
            except Exception as error:  # MNN raises nothing narrower
                raise InputError(f"{name} is no file that MNN can load; export it again") from error
            self._net.setSessionHint(_WINOGRAD_MEMORY, _SMALL_TILES)
            self._session = self._net.createSession(settings)
        shape = self._net.getSessionInput(self._session, IMAGE).getShape()
        self.input_size = Size(shape[3], shape[2])

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """The outputs by name for one image, float32 [1, 3, height, width]. Raises InputError for another shape."""
        size = self.timed_size()
        if image.shape != (1, 3, size.height_px, size.width_px):
            raise InputError(f"the model does not take an image of shape {list(image.shape)}; it takes {size}")
        planes = np.ascontiguousarray(image, np.float32)
        given = MNN.Tensor(planes.shape, MNN.Halide_Type_Float, planes, MNN.Tensor_DimensionType_Caffe)
        self._net.getSessionInput(self._session, IMAGE).copyFrom(given)
        self._net.runSession(self._session)
        outputs = {}
        for name, output in self._net.getSessionOutputAll(self._session).items():
            taken = MNN.Tensor(output, MNN.Tensor_DimensionType_Caffe)
            output.copyToHostTensor(taken)
            outputs[name] = np.array(taken.getNumpyData(), np.float32)  # a copy: the tensor's own memory goes with it
        return outputs
