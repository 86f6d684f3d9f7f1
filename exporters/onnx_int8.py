"""int8 ONNX models: QuantizeLinear and DequantizeLinear pairs around what is to be computed in eight bits,

    q = clip(round(x / scale) + zero_point),   x' = (q - zero_point) * scale,

with the ranges of activations from calibration photos and those of weights per output channel. Where the pairs must
stand is a matter of the runtime, and a model made for one is slow or refused in another:

onnxruntime   unsigned activations with a zero point; biases in int32; whatever can is quantised, with the ranges and
              biases of `int8_ranges`. ReLUs vanish into the range, and every convolution becomes one QLinearConv.
tensorrt      symmetric activations, biases in floating point, half precision around: see `onnx_int8_tensorrt`.
tensorrt-8    the same with float32 around, for TensorRT before 10, whose builder chooses what is computed in half precision.
"""

import io
from collections.abc import Collection, Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import islice

import numpy as np
import onnx
from facenas.exporters.calibration_photos import CalibrationPhotos
from facenas.exporters.int8_equalise import EQUALISED_PHOTOS, equalised
from facenas.exporters.int8_ranges import (
    IMAGE_RANGE,
    Observed,
    Range,
    centred,
    corrected,
    layer_of,
    observe,
    steps_of,
)
from facenas.exporters.onnx import IN_MEMORY, read_description, redescribe

from facenas.arrays import FloatArray
from facenas.errors import InputError
from facenas.graph import IMAGE, Layer

INT8_TARGET = "cpu-int8"
DIALECTS = ("onnxruntime", "tensorrt", "tensorrt-8")


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A described fp32 model that wants bytes of photos as whole steps, and what calibration photos made of it."""

    model: onnx.ModelProto
    observed: Observed

    def quantised(self, kept: Collection[str] = ()) -> onnx.ModelProto:
        """The int8 model for ONNX Runtime; the layers `kept` stay in float32.

        ONNX Runtime quantises a convolution between two int8 tensors itself, after taking a ReLU for part of a range that
        begins at zero. So the range of a kept layer begins one step lower, which keeps its ReLU, and with it the layer.
        """
        ranges = {
            name: Range(min(each.low, -each.high / 254), each.high) if name in kept else each
            for name, each in self.observed.ranges.items()
        }
        return _onnxruntime_pairs(corrected(self.model, self.observed.means, kept), ranges, kept)


def can_be_kept(layer: Layer, outputs: Collection[str]) -> bool:
    """Whether `Calibrated.quantised` can keep a layer of a graph with these outputs (see there)."""
    return layer.operator.relu or layer.name in outputs


def calibrate(model: onnx.ModelProto, calibration: CalibrationPhotos) -> Calibrated:
    """Raises InputError for an unusable photo."""
    model = centred(model)
    description = read_description(model, IN_MEMORY)
    model = equalised(model, islice(calibration.images(description), EQUALISED_PHOTOS))
    return Calibrated(model, observe(model, calibration.images(description)))


def quantize_model(
    model: onnx.ModelProto,
    calibration: CalibrationPhotos,
    *,
    dialect: str = "onnxruntime",
    kept: Collection[str] = (),
) -> onnx.ModelProto:
    """The int8 model of a described fp32 one, for ONNX Runtime with the layers `kept` in float32.

    Raises InputError for an unknown dialect or an unusable photo.
    """
    _require_dialect(dialect)
    how = calibration.to_json() | {"dialect": dialect} | ({"kept_fp32": sorted(kept)} if kept else {})
    if dialect == "onnxruntime":
        calibrated = calibrate(model, calibration)
        model, quantised = calibrated.model, calibrated.quantised(kept)
    else:
        images = calibration.images(read_description(model, IN_MEMORY))
        quantised = insert_pairs(model, images, dialect, calibration.count)
    description = read_description(model, IN_MEMORY).as_exported("int8", INT8_TARGET, calibration=how)
    return redescribe(quantised, description)


def insert_pairs(model: onnx.ModelProto, images: Iterable[FloatArray], dialect: str, count: int = 1) -> onnx.ModelProto:
    """An int8 copy of an fp32 model with the ranges that `count` `images`, float32 [1, 3, height, width], give."""
    _require_dialect(dialect)
    if dialect != "onnxruntime":
        from facenas.exporters import onnx_int8_tensorrt

        return onnx_int8_tensorrt.insert_pairs(model, islice(images, count), half=dialect == "tensorrt")
    return Calibrated(model, observe(model, islice(images, count))).quantised()


def _require_dialect(dialect: str) -> None:
    if dialect not in DIALECTS:
        raise InputError(f"no int8 dialect '{dialect}'; there are {', '.join(DIALECTS)}")


def _onnxruntime_pairs(model: onnx.ModelProto, ranges: Mapping[str, Range], kept: Collection[str]) -> onnx.ModelProto:
    """An int8 copy of an fp32 model with the given `ranges` of activations; the layers `kept` stay in float32."""
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    copy = onnx.ModelProto()
    copy.CopyFrom(model)  # the quantiser changes what it is given
    nodes = [node.name for node in copy.graph.node]
    with redirect_stdout(io.StringIO()):
        quantiser = QDQQuantizer(
            copy,
            True,  # weights per channel
            False,  # all 8 bits of them
            QuantType.QInt8,
            QuantType.QUInt8,
            TensorsData(CalibrationMethod.MinMax, _of_all_tensors(copy, ranges)),
            nodes,
            [node.name for node in copy.graph.node if layer_of(node) in kept],
            sorted({node.op_type for node in copy.graph.node}),
            {},
        )
        quantiser.quantize_model()
    quantiser.model.topological_sort()
    quantised: onnx.ModelProto = quantiser.model.model
    return quantised


def _of_all_tensors(model: onnx.ModelProto, ranges: Mapping[str, Range]) -> dict[str, tuple[np.float32, np.float32]]:
    """As the quantiser wants them: of the image, of what a ReLU takes in, and of what is only repeated, too."""
    found = {IMAGE: IMAGE_RANGE, **ranges}
    for step in steps_of(model):
        found.setdefault(step.output, found.get(step.node.input[0], IMAGE_RANGE))
        found.setdefault(step.node.output[0], found[step.output])
    return {name: (np.float32(each.low), np.float32(each.high)) for name, each in found.items()}
