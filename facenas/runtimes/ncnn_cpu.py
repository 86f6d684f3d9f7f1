"""ncnn on the CPU: phones' and small boards' usual runtime, here on this machine."""

import tempfile
from pathlib import Path

import ncnn
import numpy as np
import onnx

from facenas.arrays import FloatArray
from facenas.devices.target import Target
from facenas.errors import InputError
from facenas.exporters.ncnn import build_ncnn, weights_of, why_not_ncnn
from facenas.files import read_text
from facenas.graph import IMAGE, STRIDES
from facenas.runtimes.compiled_model import CompiledModel
from facenas.units import Size

_MAX_BYTES = 10_000_000


class NcnnModel(CompiledModel):
    """A .param file with its .bin, or an fp32 ONNX model, written for ncnn first. Raises InputError where ncnn cannot load
    it."""

    def __init__(self, model: Path | bytes, target: Target) -> None:
        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads, options.use_vulkan_compute = target.threads, False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = target.precision == "fp16"
        if isinstance(model, Path) and model.suffix == ".param":
            self._load(str(model), read_text(model, "model", _MAX_BYTES), weights_of(model))
            return
        name, content = ("the model", model) if isinstance(model, bytes) else (str(model), model.read_bytes())
        graph, weights = build_ncnn(_as_onnx(name, content), target.precision)
        with tempfile.TemporaryDirectory(prefix="facenas-") as folder:
            path = Path(folder, "model.bin")
            path.write_bytes(weights)
            self._load(name, graph, path)

    def _load(self, name: str, graph: str, weights: Path) -> None:
        if self._net.load_param_mem(graph) != 0:
            raise InputError(f"{name} is no graph that ncnn can load; export it again")
        if self._net.load_model(str(weights)) != 0:
            raise InputError(f"{name}: ncnn cannot load its weights {weights.name}; export it again")
        keys = dict(key.split("=") for key in graph.splitlines()[2].split()[5:])
        self.input_size = Size(int(keys["0"]), int(keys["1"])) if keys else None

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """The outputs by name for one image, float32 [1, 3, height, width]. Raises InputError for another shape."""
        size = self.input_size or Size(image.shape[-1], image.shape[-2])
        if image.shape != (1, 3, size.height_px, size.width_px):
            raise InputError(f"the model does not take an image of shape {list(image.shape)}; it takes {size}")
        planes = np.ascontiguousarray(image[0], np.float32)  # ncnn reads it where it is, so it must live on
        extractor = self._net.create_extractor()
        extractor.input(IMAGE, ncnn.Mat(planes))
        outputs = {}
        for stride in STRIDES:
            failed, values = extractor.extract(f"output_{stride}")
            if failed:
                raise InputError(f"ncnn cannot compute output_{stride} of the model; export it again")
            outputs[f"output_{stride}"] = np.array(values)[None]
        return outputs


def _as_onnx(name: str, content: bytes) -> onnx.ModelProto:
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_from_string(content)
    except (DecodeError, ValueError) as error:
        raise InputError(
            f"{name} is no ncnn or ONNX model ({error}); give a .param file made by `facenas export`"
        ) from error
    if reason := why_not_ncnn(model):
        raise InputError(f"{name} cannot be written for ncnn: {reason}")
    image = model.graph.input[0].type.tensor_type.shape if len(model.graph.input) == 1 else None
    if image is None or len(image.dim) != 4 or image.dim[1].dim_value != 3:
        raise InputError(f"{name} takes no image; a detector has one of shape [1, 3, height, width]")
    return model
