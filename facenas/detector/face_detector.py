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

from facenas.data.image import Photo, photo_of
from facenas.devices.cpu import cores
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.exporters.formats import description_of, format_of
from facenas.given import given_model
from facenas.graph import STRIDES, output_channels
from facenas.pipeline.decoded import BOXES, LANDMARKS, SCORES
from facenas.pipeline.faces import Faces
from facenas.pipeline.fit import Letterbox, LongSide
from facenas.pipeline.pipeline import Pipeline
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.runtime import Load, load_model, runtime_of

PhotoLike = Photo | Image.Image
DEFAULT_MIN_SCORE = 0.3
LONG_SIDES_PX = (32, 8192)


class FaceDetector:
    """Finds faces with an exported file, that of a run folder, or one of the detectors that ship
    (`FaceDetector("facenas-12ms")`); everything that it needs to know stands in the file.

    `target` runs it instead of the one that the file names. `long_side_px` replaces the file's own input size: every
    photo is scaled to that long side, in ratio (the `vga` protocol is 640). `load` compiles the file, here or elsewhere.
    May be called from several threads at once. It can be copied and pickled: another process loads the file again. Raises
    InputError for a file that facenas did not export, that is damaged, or that this machine cannot run, and for a long
    side outside 32 to 8192.
    """

    def __init__(
        self,
        path: Path | str,
        target: Target | None = None,
        long_side_px: int | None = None,
        load: Load = load_model,
    ) -> None:
        path = given_model(path)
        if long_side_px is not None:
            require_long_side(long_side_px)
        self._made_of = (path.absolute(), target, long_side_px, load)
        self.description = description_of(path)
        if long_side_px is None and self.description.dynamic:
            long_side_px = max(self.description.input_size.width_px, self.description.input_size.height_px)
        self.target = target or resolve_target(self.description.target)
        if long_side_px is not None and self.description.decoding is not None:
            raise InputError(
                f"{path} decodes for one input size; evaluate it with --protocol own, detect without --long-side"
            )
        self.model = _load(path, self.target, load, open_size=long_side_px is not None)
        fit = Letterbox(self.description.input_size) if long_side_px is None else LongSide(long_side_px)
        turn = nullcontext() if runtime_of(self.target).reentrant else Lock()
        self.pipeline: Pipeline = replace(self.description.pipeline(self.model), fit=fit, turn=turn)
        self._require_outputs(path)

    def __reduce__(self) -> tuple[type["FaceDetector"], tuple[Path, Target | None, int | None, Load]]:
        return type(self), self._made_of

    @overload
    def __call__(self, photo: PhotoLike, min_score: float = ...) -> Faces: ...
    @overload
    def __call__(self, photo: Sequence[PhotoLike], min_score: float = ...) -> list[Faces]: ...
    def __call__(
        self, photo: PhotoLike | Sequence[PhotoLike], min_score: float = DEFAULT_MIN_SCORE
    ) -> Faces | list[Faces]:
        """Faces of a photo (uint8 RGB [height, width, 3], or a PIL image, which is turned as its EXIF orientation says), best
        first, with scores >= `min_score`.

        For a list of photos, of any sizes, a list of Faces: the photos are shared out among the processor's cores.
        Raises InputError for what is no photo, and for a `min_score` that does not lie between 0 and 1.
        """
        require_min_score(min_score)
        if isinstance(photo, Sequence) and not isinstance(photo, str | bytes) and not _is_nested_numbers(photo):
            with ThreadPoolExecutor(cores()) as pool:
                return list(pool.map(lambda each: self.pipeline(_as_rgb(each), min_score), photo))
        return self.pipeline(_as_rgb(photo), min_score)

    def _require_outputs(self, path: Path) -> None:
        """Run once: the file must give what every detector gives."""
        size = self.description.input_size
        outputs = self.model.run(np.zeros((1, 3, size.height_px, size.width_px), np.float32))
        landmarks = self.description.detector.landmarks
        if self.description.decoding is not None:
            missing = {BOXES, SCORES, *((LANDMARKS,) if landmarks else ())} - set(outputs)
            if missing:
                raise InputError(f"{path} decodes, but has no output '{min(missing)}'; export it again")
            return
        channels = output_channels(landmarks=landmarks)
        for stride in STRIDES:
            name, shape = f"output_{stride}", (1, channels, size.height_px // stride, size.width_px // stride)
            if name not in outputs:
                raise InputError(f"{path} has no output '{name}', which every detector has; export it again")
            if outputs[name].shape != shape:
                found = list(outputs[name].shape)
                raise InputError(
                    f"{path} gives '{name}' as {found}, its description says {list(shape)}; export it again"
                )


def _load(path: Path, target: Target, load: Load, *, open_size: bool) -> CompiledModel:
    """The file compiled for its target, with any input size where `open_size`."""
    if not open_size:
        return load(path, target)
    opened = format_of(path).opened
    if opened is None:
        raise InputError(f"{path} has one input size; evaluate it with --protocol own, detect without --long-side")
    with tempfile.TemporaryDirectory(prefix="facenas-") as folder:
        return load(opened(path, Path(folder)), target)


def _is_nested_numbers(value: object) -> bool:
    """Whether a list holds numbers all the way down, so is meant as one (unusable) photo."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return isinstance(value, int | float)


def _as_rgb(photo: PhotoLike | Sequence[object]) -> Photo:
    """The photo as uint8 RGB [height, width, 3]. Raises InputError for what is none."""
    if isinstance(photo, Image.Image):
        return photo_of(photo)
    try:
        image = np.asarray(photo)
    except (ValueError, TypeError) as error:
        raise InputError(f"a photo must be uint8 RGB [height, width, 3], not {type(photo).__name__}") from error
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        what = f"{image.dtype} {list(image.shape)}" if image.ndim else type(photo).__name__
        raise InputError(f"a photo must be uint8 RGB [height, width, 3], this is {what}")
    return image


def require_long_side(long_side_px: object) -> None:
    """Raises InputError where it is no number of pixels that a photo can be scaled to."""
    least, most = LONG_SIDES_PX
    if (
        isinstance(long_side_px, bool)
        or not isinstance(long_side_px, int | np.integer)
        or not least <= long_side_px <= most
    ):
        raise InputError(f"a long side of {long_side_px} px cannot be used; give a whole number from {least} to {most}")


def require_min_score(min_score: object) -> None:
    """Raises InputError where it is no score that can be asked for."""
    if isinstance(min_score, bool) or not isinstance(min_score, int | float | np.floating) or not 0 < min_score < 1:
        raise InputError(f"a least score of {min_score!r} cannot be used; give a number between 0 and 1")
