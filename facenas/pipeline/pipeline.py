"""A photo's way to faces, the only one: fit, normalise, run, decode, suppress, rescale.

Detecting, evaluating, verifying (both sides) and published detectors all go it; they differ in the fields of `Pipeline`.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from facenas.arrays import FloatArray
from facenas.data.image import Photo
from facenas.pipeline.faces import Faces
from facenas.pipeline.fit import Fitted
from facenas.pipeline.postprocess import NMS_IOU, Decode, decode, find_faces
from facenas.pipeline.preprocess import Preprocessing


class Runner(Protocol):
    """Anything that runs a network: a compiled model, the torch reference."""

    def run(self, image: FloatArray, /) -> Mapping[str, FloatArray]:
        """The outputs by name for float32 [1, 3, height, width]."""


class Fit(Protocol):
    """A photo as a picture of a size that the network takes."""

    def __call__(self, photo: Photo, /) -> Fitted: ...


@dataclass(frozen=True)
class Pipeline:
    """`turn` is held from running to decoded, for a runner that threads may only use one after another."""

    runner: Runner
    fit: Fit
    preprocessing: Preprocessing
    nms_iou: float = NMS_IOU
    decode: Decode = decode
    turn: AbstractContextManager[object] = field(default_factory=nullcontext)

    def network_input(self, photo: Photo) -> tuple[FloatArray, Fitted]:
        """What the network is fed, float32 [1, 3, height, width], for uint8 RGB [height, width, 3]."""
        fitted = self.fit(photo)
        return self.preprocessing.normalise(fitted.picture), fitted

    def outputs(self, photo: Photo) -> tuple[Mapping[str, FloatArray], Fitted]:
        """The network's raw outputs by name."""
        network_input, fitted = self.network_input(photo)
        return self.runner.run(network_input), fitted

    def faces(self, outputs: Mapping[str, FloatArray], fitted: Fitted, min_score: float) -> Faces:
        """The faces that outputs say, with scores >= `min_score`, best first, in pixels of the photo."""
        return find_faces(outputs, min_score, self.nms_iou, self.decode).rescaled(fitted)

    def __call__(self, photo: Photo, min_score: float) -> Faces:
        """The faces of a uint8 RGB photo."""
        network_input, fitted = self.network_input(photo)
        with self.turn:
            return self.faces(self.runner.run(network_input), fitted, min_score)
