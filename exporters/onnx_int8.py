"""int8 ONNX models: QuantizeLinear and DequantizeLinear pairs around what is to be computed in eight bits,

    q = clip(round(x / scale) + zero_point),   x' = (q - zero_point) * scale,

with the ranges of activations from calibration photos and those of weights per output channel. Where the pairs must
stand is a matter of the runtime, and a model made for one is slow or refused in another:

onnxruntime   unsigned activations with a zero point; biases in int32; whatever can is quantised. ReLUs vanish into the
              range, and every convolution becomes one QLinearConv.
tensorrt      symmetric activations, biases in floating point, half precision around: see `onnx_int8_tensorrt`.
tensorrt-8    the same with float32 around, for TensorRT before 10, whose builder chooses what is computed in half precision.
"""

import io
import tempfile
from collections.abc import Iterable
from contextlib import redirect_stdout
from itertools import islice
from pathlib import Path

import onnx
from facenas.exporters.calibration_photos import CalibrationPhotos
from facenas.exporters.onnx import IN_MEMORY, read_description, redescribe

from facenas.arrays import FloatArray
from facenas.errors import InputError
from facenas.graph import IMAGE

INT8_TARGET = "cpu-int8"
DIALECTS = ("onnxruntime", "tensorrt", "tensorrt-8")


def quantize_model(
    model: onnx.ModelProto, calibration: CalibrationPhotos, *, dialect: str = "onnxruntime"
) -> onnx.ModelProto:
    """The int8 model of a described fp32 one. Raises InputError for an unknown dialect or an unusable photo."""
    description = read_description(model, IN_MEMORY)
    quantised = insert_pairs(model, calibration.images(description), dialect, calibration.count)
    described = description.as_exported("int8", INT8_TARGET, calibration=calibration.to_json() | {"dialect": dialect})
    return redescribe(quantised, described)


def insert_pairs(model: onnx.ModelProto, images: Iterable[FloatArray], dialect: str, count: int = 1) -> onnx.ModelProto:
    """An int8 copy of an fp32 model with the ranges that `count` `images`, float32 [1, 3, height, width], give."""
    if dialect not in DIALECTS:
        raise InputError(f"no int8 dialect '{dialect}'; there are {', '.join(DIALECTS)}")
    if dialect != "onnxruntime":
        from facenas.exporters import onnx_int8_tensorrt

        return onnx_int8_tensorrt.insert_pairs(model, islice(images, count), half=dialect == "tensorrt")
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    source = onnx.ModelProto()
    source.CopyFrom(model)  # the quantiser empties what it is given
    # Our models are simplified and have their shapes; without this mark the quantiser logs advice to do so.
    onnx.helper.set_model_props(source, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with tempfile.TemporaryDirectory(prefix="facenas-") as folder, redirect_stdout(io.StringIO()):
        path = Path(folder, "int8.onnx")
        quantize_static(
            source,
            str(path),
            _Reader(images, count),
            quant_format=QuantFormat.QDQ,
            weight_type=QuantType.QInt8,
            per_channel=True,
            activation_type=QuantType.QUInt8,
        )
        return onnx.load(str(path))


class _Reader:
    """The photos as ONNX Runtime's quantiser asks for them: all, or the next few."""

    def __init__(self, images: Iterable[FloatArray], count: int) -> None:
        self._images = iter(images)
        self._count = count
        self._next = self._images

    def __len__(self) -> int:
        return self._count

    def set_range(self, start_index: int, end_index: int) -> None:
        """The quantiser asks for one stretch after another."""
        self._next = islice(self._images, end_index - start_index)

    def get_next(self) -> dict[str, FloatArray] | None:
        """What the network is fed for the next photo; None after the last."""
        image = next(self._next, None)
        return None if image is None else {IMAGE: image}
