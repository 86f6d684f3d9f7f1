"""A detector ready to use: an exported file in, faces out, in pixels of the given photo.

detector = FaceDetector("model.onnx")     # or the name of one that ships: "facenas-12ms"
faces = detector(photo)                   # uint8 RGB array or PIL image -> Faces
several = detector([photo, photo])        # a list of Faces

The file says of itself which target runs it and how to feed it, whatever its format.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import overload

import numpy as np
from PIL import Image

from facenas.data.image import Photo
from facenas.devices.cpu import cores
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.exporters.formats import description_of, format_of
from facenas.graph import STRIDES, output_channels
from facenas.pipeline.faces import Faces
from facenas.pipeline.fit import Letterbox, LongSide
from facenas.pipeline.pipeline import Pipeline
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.runtime import load_model, runtime_of
from facenas.zoo import model_path

PhotoLike = Photo | Image.Image
DEFAULT_MIN_SCORE = 0.3


class FaceDetector:
    """Finds faces with an exported file, or one of the detectors that ship (`FaceDetector("facenas-12ms")`); everything
    that it needs to know stands in the file.

    `target` runs it instead of the one that the file names. `long_side_px` replaces the file's own input size: every
    photo is scaled to that long side, in ratio (the `vga` protocol is 640). May be called from several threads at once.
    Raises InputError for a file that facenas did not export, that is damaged, or that this machine cannot run.
    """

    def __init__(self, path: Path | str, target: Target | None = None, long_side_px: int | None = None) -> None:
        path = model_path(Path(path))
        self.description = description_of(path)
        if long_side_px is None and self.description.dynamic:
            long_side_px = max(self.description.input_size.width_px, self.description.input_size.height_px)
        self.target = target or resolve_target(self.description.target)
        self.model = _load(path, self.target, open_size=long_side_px is not None)
        fit = Letterbox(self.description.input_size) if long_side_px is None else LongSide(long_side_px)
        turn = nullcontext() if runtime_of(self.target).reentrant else Lock()
        self.pipeline: Pipeline = replace(self.description.pipeline(self.model), fit=fit, turn=turn)
        self._require_outputs(path)

    @overload
    def __call__(self, photo: PhotoLike, min_score: float = ...) -> Faces: ...
    @overload
    def __call__(self, photo: Sequence[PhotoLike], min_score: float = ...) -> list[Faces]: ...
    def __call__(
        self, photo: PhotoLike | Sequence[PhotoLike], min_score: float = DEFAULT_MIN_SCORE
    ) -> Faces | list[Faces]:
        """Faces of a photo (uint8 RGB [height, width, 3] or a PIL image), best first, with scores >= `min_score`.

        For a list of photos, of any sizes, a list of Faces: the photos are shared out among the processor's cores.
        """
        if isinstance(photo, Sequence) and not _is_nested_numbers(photo):
            with ThreadPoolExecutor(cores()) as pool:
                return list(pool.map(lambda each: self.pipeline(_as_rgb(each), min_score), photo))
        return self.pipeline(_as_rgb(photo), min_score)

    def _require_outputs(self, path: Path) -> None:
        """Run once: the file must give what every detector gives."""
        size = self.description.input_size
        outputs = self.model.run(np.zeros((1, 3, size.height_px, size.width_px), np.float32))
        channels = output_channels(landmarks=self.description.detector.landmarks)
        for stride in STRIDES:
            name, shape = f"output_{stride}", (1, channels, size.height_px // stride, size.width_px // stride)
            if name not in outputs:
                raise InputError(f"{path} has no output '{name}', which every detector has; export it again")
            if outputs[name].shape != shape:
                found = list(outputs[name].shape)
                raise InputError(
                    f"{path} gives '{name}' as {found}, its description says {list(shape)}; export it again"
                )


def _load(path: Path, target: Target, *, open_size: bool) -> CompiledModel:
    """The file compiled for its target, with any input size where `open_size`."""
    if not open_size:
        return load_model(path, target)
    opened = format_of(path).opened
    if opened is None:
        raise InputError(f"{path} has one input size; evaluate it with --protocol own, detect without --long-side")
    with tempfile.TemporaryDirectory(prefix="facenas-") as folder:
        return load_model(opened(path, Path(folder)), target)


def _is_nested_numbers(value: object) -> bool:
    """Whether a list holds numbers all the way down, so is meant as one (unusable) photo."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return isinstance(value, int | float)


def _as_rgb(photo: PhotoLike | Sequence[object]) -> Photo:
    """The photo as uint8 RGB [height, width, 3]. Raises InputError for what is none."""
    image = np.asarray(photo.convert("RGB") if isinstance(photo, Image.Image) else photo)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(f"a photo must be uint8 RGB [height, width, 3], this is {image.dtype} {list(image.shape)}")
    return image
