"""From a photo to a network input: letterbox, then (value - mean) / standard deviation. The same for every runtime.

The numbers travel with every exported model, so that `facenas detect --model` needs no flags.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facenas.arrays import FloatArray
from facenas.errors import InputError

MEAN = 127.5
STANDARD_DEVIATION = 128.0
_LARGEST = 1e6


@dataclass(frozen=True)
class Preprocessing:
    """How a photo becomes the network's input: colours in `colour_order`, (value - mean) / standard_deviation, placed
    top-left in the input, the rest filled with black (0 before normalisation). `mean`: of all channels, or of each."""

    colour_order: str = "RGB"
    mean: float | tuple[float, float, float] = MEAN
    standard_deviation: float = STANDARD_DEVIATION
    letterbox: str = "top-left, black"

    def __post_init__(self) -> None:
        if self.colour_order not in ("RGB", "BGR"):
            raise InputError(f"colour order '{self.colour_order}' must be RGB or BGR")
        numbers = [*self.mean, self.standard_deviation] if isinstance(self.mean, list | tuple) else [self.mean]
        if any(
            isinstance(each, bool) or not isinstance(each, int | float) for each in [*numbers, self.standard_deviation]
        ):
            raise InputError(f"mean {self.mean} and standard deviation {self.standard_deviation} must be numbers")
        if len(numbers) not in (1, 4) or not all(abs(each) <= _LARGEST for each in numbers):
            raise InputError(f"mean {self.mean} must be one number, or one for each of three colours")
        if not 0 < self.standard_deviation <= _LARGEST:
            raise InputError(f"standard deviation {self.standard_deviation} must be more than zero")

    def normalise(self, picture: npt.NDArray[np.uint8]) -> FloatArray:
        """uint8 RGB [height, width, 3] of the input's size -> float32 [1, 3, height, width]."""
        height, width, channels = picture.shape
        planes = np.empty((1, channels, height, width), np.float32)
        means = np.broadcast_to(np.asarray(self.mean, np.float32), channels)
        # Plane by plane, each while it is in the cache.
        for index in range(channels):
            source = channels - 1 - index if self.colour_order == "BGR" else index
            np.subtract(picture[:, :, source], means[index], out=planes[0, index])
            planes[0, index] *= np.float32(1 / self.standard_deviation)
        return planes

    def to_json(self) -> dict[str, Any]:
        """Plain values for an artefact's metadata."""
        return asdict(self)
