"""LiteRT (TensorFlow Lite) on the CPU: runs the int8 files that are made for NPUs, too.

What is timed is the network alone, as elsewhere: folding the image is preprocessing, as normalising it is.
"""

import time
from pathlib import Path

import numpy as np

from facenas.arrays import FloatArray, IntArray
from facenas.devices.target import Target
from facenas.errors import InputError, MissingPackageError
from facenas.exporters.tflite_file import TfliteFile
from facenas.exporters.tflite_graph import FILE_IDENTIFIER, fold_image, timing_stand_in
from facenas.runtimes.compiled_model import CompiledModel, example_image
from facenas.units import Size

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError as error:
    raise MissingPackageError(
        "TensorFlow Lite files need ai-edge-litert; install it with: pip install 'facenas[npu]'"
    ) from error


class LiteRtModel(CompiledModel):
    """An int8 .tflite file in one interpreter, or with `timing_only` an fp32 ONNX model, quantised with made-up ranges.
    Raises InputError where LiteRT cannot load it."""

    def __init__(self, model: Path | bytes, target: Target, *, timing_only: bool = False) -> None:
        name = "the model" if isinstance(model, bytes) else str(model)
        content = model if isinstance(model, bytes) else model.read_bytes()
        if content[4:8] != FILE_IDENTIFIER:
            if not timing_only:
                raise InputError(f"LiteRT runs .tflite files made by `facenas export`; {name} is none")
            content = timing_stand_in(content)[0]
        self._content = content
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=target.threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            first_line = str(error).strip().splitlines()[0][:200]
            raise InputError(f"{name} cannot be loaded by LiteRT: {first_line}; export it again") from error
        inputs = self._interpreter.get_input_details()
        if len(inputs) != 1 or inputs[0]["dtype"] != np.int8 or len(inputs[0]["shape"]) != 4:
            raise InputError(f"{name} does not take one int8 image; give a .tflite file made by `facenas export`")
        self._input = inputs[0]["index"]
        self._outputs = self._interpreter.get_output_details()
        _, height, width, _ = map(int, inputs[0]["shape"])
        self.input_size = Size(2 * width, 2 * height)

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """The outputs by name for one image, float32 [1, 3, height, width]. Raises InputError for another shape."""
        size = self.timed_size()
        if image.shape != (1, 3, size.height_px, size.width_px):
            raise InputError(f"the model does not take an image of shape {list(image.shape)}; it takes {size}")
        self._interpreter.set_tensor(self._input, fold_image(image))
        self._invoke()
        outputs = {}
        for detail in self._outputs:
            scale, zero_point = detail["quantization"]
            values = self._interpreter.get_tensor(detail["index"]).astype(np.float32)
            outputs[detail["name"]] = np.ascontiguousarray(((values - zero_point) * scale).transpose(0, 3, 1, 2))
        return outputs

    def computed_in(self) -> dict[str, str]:
        """By layer, the type in which its convolution is computed: LiteRT takes that of the file's tensors."""
        return {
            operator.output_name.partition("/")[0]: operator.output_type
            for operator in TfliteFile(self._content).operators
            if operator.kind.endswith("CONV_2D")
        }

    def time(self, runs: int, warm_up: int = 1, input_size: Size | None = None) -> IntArray:
        """Nanoseconds of each of `runs` runs, int64 [runs]."""
        self._interpreter.set_tensor(self._input, fold_image(example_image(self.timed_size(input_size))))
        for _ in range(warm_up):
            self._invoke()
        times = np.empty(runs, np.int64)
        for index in range(runs):
            start = time.perf_counter_ns()
            self._invoke()
            times[index] = time.perf_counter_ns() - start
        return times

    def _invoke(self) -> None:
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"LiteRT cannot run the model: {str(error).strip()[:200]}; export it again") from error
