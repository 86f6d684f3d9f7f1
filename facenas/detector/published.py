"""Published detectors to stand beside, run from their own ONNX files as their authors run them.

What a file is, is read off its name. The photo is scaled in ratio into the file's input, top-left, the rest black
before normalisation; for Ultra-Light it is stretched. Files that leave their sides open (SCRFD) run at 640x640, the
size for which their outputs are stated. Where a size is given it is set, also in files of one size: whose shapes inside
follow from it (YuNet) give other outputs then, others are refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facenas.arrays import FloatArray
from facenas.detector.published_decoders import Decoder, decode_retinaface, decode_scrfd, decode_ultra, decode_yunet
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.exporters.onnx import load_onnx
from facenas.pipeline.faces import Faces
from facenas.pipeline.fit import Letterbox, Stretched
from facenas.pipeline.pipeline import Pipeline
from facenas.pipeline.postprocess import MAX_CANDIDATES
from facenas.pipeline.preprocess import Preprocessing
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.runtime import Load, load_model
from facenas.units import Size

_SIZES_AND_VERSIONS = re.compile("_640_640|-version|_FaceDetector")
_OPEN_SIZE = Size(640, 640)


@dataclass(frozen=True)
class Convention:
    """How a family of files wants its input, and how its outputs are read."""

    decoder: Decoder
    preprocessing: Preprocessing
    fit: type[Letterbox] | type[Stretched] = Letterbox


_SCRFD = Convention(decode_scrfd, Preprocessing("RGB", 127.5, 128))
_YUNET = Convention(decode_yunet, Preprocessing("BGR", 0, 1))
_RETINAFACE = Convention(decode_retinaface, Preprocessing("BGR", (104, 117, 123), 1))
_ULTRA = Convention(decode_ultra, Preprocessing("RGB", 127, 128, "stretched"), Stretched)
CONVENTIONS = {"scrfd": _SCRFD, "yunet": _YUNET, "retinaface": _RETINAFACE, "ultra": _ULTRA}


def family_of(path: Path) -> str | None:
    """The family that a file's name begins with, one of CONVENTIONS; None for another name."""
    return next((family for family in CONVENTIONS if path.name.lower().startswith(family)), None)


class Baseline:
    """A published detector; answers like a `FaceDetector`. `model` is the compiled network, `input_size` what it runs at."""

    def __init__(
        self, path: Path, input_size: Size | None = None, target: Target | None = None, load: Load = load_model
    ) -> None:
        """On `target` (default: this CPU), as `load` compiles it. Raises InputError for a file of another name, or one that
        cannot be loaded, or not at that size."""
        family = family_of(path)
        if family is None:
            raise InputError(f"{path.name} is of no family known here ({', '.join(CONVENTIONS)}); name it by its own")
        self.name = _SIZES_AND_VERSIONS.sub("", path.stem)
        convention = CONVENTIONS[family]
        self.model: CompiledModel = load(_ready(path, input_size), target or resolve_target("cpu"))
        self.input_size = self.model.timed_size()
        decode = partial(_decode, convention.decoder, self.input_size)
        self.pipeline = Pipeline(self.model, convention.fit(self.input_size), convention.preprocessing, decode=decode)
        try:  # once, to see that it is what its name says
            self(np.zeros((self.input_size.height_px, self.input_size.width_px, 3), np.uint8), 0.5)
        except (ValueError, IndexError) as error:
            raise InputError(
                f"{path} does not give what {family} detectors give ({error}); name it by its own"
            ) from error

    def __call__(self, photo: NDArray[np.uint8], min_score: float) -> Faces:
        """Faces of a uint8 RGB photo, best first, clipped to it as those of this project's own detectors are."""
        return self.pipeline(photo, min_score)


def _decode(decoder: Decoder, size: Size, outputs: Mapping[str, FloatArray], min_score: float) -> Faces:
    faces = decoder(list(outputs.values()), size)
    likely = np.flatnonzero(faces.scores >= min_score)
    return faces.take(likely[np.argsort(-faces.scores[likely], kind="stable")][:MAX_CANDIDATES])


def _ready(path: Path, input_size: Size | None) -> bytes:
    """The file's bytes as fast as they can be: its sides are those of `input_size`, or where it leaves them open 640, and
    weights are no longer listed as inputs, as old exporters list them; ONNX Runtime folds only what is constant."""
    size = input_size or _OPEN_SIZE
    model = load_onnx(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    for value in inputs:
        for side, length_px in zip(value.type.tensor_type.shape.dim[2:], (size.height_px, size.width_px), strict=True):
            if input_size is not None or not side.dim_value:
                side.dim_value = length_px
    if input_size is not None:  # what was inferred for another size
        del model.graph.value_info[:]
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return bytes(model.SerializeToString())


def baselines_in(folder: Path) -> list[Path]:
    """The files of a folder that this module can run, by name; SCRFD's files with landmarks are left to those without.

    Raises InputError where there is none.
    """
    paths = sorted(folder.glob("*.onnx"))
    known = [path for path in paths if family_of(path) and "_kps" not in path.stem]
    if not known:
        raise InputError(f"{folder} holds no .onnx file of {', '.join(CONVENTIONS)}; give the folder of the baselines")
    return known
