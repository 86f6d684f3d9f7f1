"""A detector ready to use: an exported file in, faces out, in pixels of the given photo.

detector = FaceDetector("model.onnx")
faces = detector(photo)          # uint8 RGB array or PIL image -> Faces
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from facenas.data.image import letterbox, scale_image
from facenas.detector.postprocess import Faces, find_faces
from facenas.devices.runtimes import load_model
from facenas.devices.targets import Target, resolve_target
from facenas.errors import InputError
from facenas.exporters.onnx import load_onnx, open_sides, read_description
from facenas.graph import STRIDES
from facenas.units import Size

DEFAULT_MIN_SCORE = 0.3
_STRIDE_PX = 32


class FaceDetector:
    """Finds faces with an exported ONNX file; everything that it needs to know stands in the file.

    `long_side_px` replaces the file's own input size: every photo is scaled to that long side, in ratio (the `vga`
    protocol is 640). Raises InputError for a file that facenas did not export.
    """

    def __init__(self, path: Path | str, target: Target | None = None, long_side_px: int | None = None) -> None:
        path = Path(path)
        if path.suffix.lower() != ".onnx":
            raise InputError(f"{path} is no .onnx file; give one made by `facenas export`")
        model = load_onnx(path)
        self.description = read_description(model, path)
        _require_outputs(model, path)
        self._long_side_px = long_side_px
        if self._long_side_px is None and self.description.dynamic:
            self._long_side_px = max(self.description.input_size.width_px, self.description.input_size.height_px)
        content = model if self._long_side_px is None else open_sides(model)
        self.model = load_model(content.SerializeToString(), target or resolve_target("cpu"))

    def __call__(self, photo: Any, min_score: float = DEFAULT_MIN_SCORE) -> Faces:
        """Faces of a photo (uint8 RGB [height, width, 3] or a PIL image), best first, with scores >= `min_score`."""
        image = _as_rgb(photo)
        picture, scale = self._fit(image)
        outputs = self.model.run(self.description.preprocessing.normalise(picture))
        faces = find_faces(outputs, min_score, iou=self.description.nms_iou)
        return faces.rescaled(scale, image.shape[1], image.shape[0])

    def _fit(self, image: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], float]:
        size = self.description.input_size
        if self._long_side_px is None:
            return letterbox(image, size.width_px, size.height_px)
        return fit_long_side(image, self._long_side_px)


def fit_long_side(image: npt.NDArray[np.uint8], long_side_px: int) -> tuple[npt.NDArray[np.uint8], float]:
    """Scale a photo to a long side in ratio, and fill right and bottom with black up to multiples of 32.

    Returns the picture and the scale, as `letterbox` does.
    """
    height, width = image.shape[:2]
    scale = long_side_px / max(height, width)
    scaled_width, scaled_height = max(1, round(width * scale)), max(1, round(height * scale))
    sides = (-(-side // _STRIDE_PX) * _STRIDE_PX for side in (scaled_height, scaled_width))
    picture = np.zeros((*sides, 3), np.uint8)
    picture[:scaled_height, :scaled_width] = scale_image(image, scaled_width, scaled_height)
    return picture, scale


def _require_outputs(model: onnx.ModelProto, path: Path) -> None:
    found = {output.name for output in model.graph.output}
    for stride in STRIDES:
        if f"output_{stride}" not in found:
            raise InputError(f"{path} has no output 'output_{stride}', which every detector has; export it again")


def _as_rgb(photo: Any) -> npt.NDArray[np.uint8]:
    """The photo as uint8 RGB [height, width, 3]."""
    image = np.asarray(photo.convert("RGB") if hasattr(photo, "convert") else photo)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(f"a photo must be uint8 RGB [height, width, 3], this is {image.dtype} {list(image.shape)}")
    return image


def described_size(path: Path) -> Size:
    """The input size that an exported file was made for."""
    return read_description(load_onnx(path), path).input_size
