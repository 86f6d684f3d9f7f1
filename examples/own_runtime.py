"""An exported detector in a runtime that facenas does not know, here OpenCV's: python own_runtime.py MODEL.onnx PHOTO.jpg

The file says how it is fed and read; all that is asked of a runtime is `run`, from an image to the outputs by name. So the
faces are those of `facenas detect`. (docs/runtimes.md shows how a runtime is added to facenas itself, to be profiled, too.)
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from facenas.exporters.formats import description_of
from PIL import Image


class OpenCv:
    """Runs an ONNX file in OpenCV."""

    def __init__(self, path: Path) -> None:
        self.network = cv2.dnn.readNetFromONNX(str(path))
        self.names = self.network.getUnconnectedOutLayersNames()

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Float32 [1, 3, height, width] to the outputs by name."""
        self.network.setInput(image)
        return dict(zip(self.names, self.network.forward(self.names), strict=True))


model = Path(sys.argv[1])
find = description_of(model).pipeline(OpenCv(model))
for face in find(np.asarray(Image.open(sys.argv[2]).convert("RGB")), min_score=0.3):
    print(f"{face.score:.3f}", *(f"{side:.1f}" for side in face.box))
