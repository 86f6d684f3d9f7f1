"""Ranges of activations: which values of each tensor an int8 network shall represent, from photos.

A range spans from the least to the largest value over all photos. Leaving out the most extreme 1e-5 to 1e-3 of the
values was tried and cost the shipped detector 0.1 to 0.9 points of average precision more. Only the logits of scores that
nobody asks for are left out of an output's range, so that its boxes get finer steps (0.3 to 0.4 points).
"""

from collections.abc import Iterable, Sequence

import onnx
from facenas.exporters.tflite_graph import Range

from facenas.arrays import FloatArray
from facenas.graph import SCORE_CHANNELS
from facenas.pipeline.postprocess import MIN_LOGIT

_ERROR_LEVEL = 3


def activation_ranges(model: onnx.ModelProto, names: Sequence[str], images: Iterable[FloatArray]) -> dict[str, Range]:
    """The range of each tensor of `names` over the images, float32 [1, 3, height, width] each.

    The model's outputs are taken for a detector's: [1, channels, height, width], score logits first.
    """
    import onnxruntime

    outputs = {output.name for output in model.graph.output}
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    for name in names:
        if name not in outputs:
            observed.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERROR_LEVEL
    session = onnxruntime.InferenceSession(observed.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ranges: dict[str, Range] = {}
    for image in images:
        observations = session.run(list(names), {model.graph.input[0].name: image})
        for name, values in zip(names, observations, strict=True):
            found = _output_range(values) if name in outputs else Range(float(values.min()), float(values.max()))
            before = ranges.get(name, found)
            ranges[name] = Range(min(before.low, found.low), max(before.high, found.high))
    return ranges


def _output_range(values: FloatArray) -> Range:
    """That of an output's values as they are, but for logits below MIN_LOGIT."""
    logits, others = values[:, SCORE_CHANNELS], values[:, SCORE_CHANNELS.stop :]
    low = min(max(float(logits.min()), MIN_LOGIT), float(others.min()))
    return Range(low, max(float(logits.max()), float(others.max())))
