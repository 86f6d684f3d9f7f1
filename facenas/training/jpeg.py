"""What a JPEG file does to a picture, as arithmetic on a batch: the loss without the file.

    Y, Cb, Cr of 8x8 pixels -> cosine transform -> divided by the quality's table, rounded, multiplied -> back

with the colours at half the resolution, as baseline JPEG files commonly have them. The tables are those of the standard (ITU-T
T.81, annex K), scaled by quality as libjpeg does.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facenas.arrays import FloatArray

_BLOCK = 8
_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99, *(99,) * 32),
)
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def through_jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """float32 [m, size, size, 3] in 0..255, whole numbers, as JPEG files of these qualities (int64 [m], 1 to 100) give back;
    the size is a multiple of 16."""
    device = images.device
    scale = torch.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    to_ycc = torch.tensor(_TO_YCC, dtype=torch.float32, device=device)
    planes = (images @ to_ycc.T).permute(0, 3, 1, 2).round()
    light = _quantised(planes[:, :1] - 128, _LUMINANCE, scale) + 128
    colour = functional.avg_pool2d(planes[:, 1:], 2).round()
    colour = functional.interpolate(_quantised(colour, _CHROMINANCE, scale), scale_factor=2.0, mode="bilinear")
    to_rgb = torch.tensor(np.linalg.inv(_TO_YCC), dtype=torch.float32, device=device)
    return (torch.cat([light, colour], dim=1).permute(0, 2, 3, 1) @ to_rgb.T).round().clamp(0, 255)


def _quantised(planes: Tensor, table: tuple[int, ...], scale: Tensor) -> Tensor:
    """[m, channels, size, size] with the blocks' cosine coefficients rounded to multiples of the scaled table."""
    count, channels, height, width = planes.shape
    base = torch.tensor(table, device=planes.device).view(_BLOCK, _BLOCK)
    steps = ((base * scale[:, None, None] + 50) // 100).clamp(1, 255).float()[:, None, None, None]
    cosines = torch.from_numpy(_cosines()).to(planes.device)
    blocks = planes.reshape(count, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).transpose(3, 4)
    coefficients = (cosines @ blocks @ cosines.T / steps).round() * steps
    return (cosines.T @ coefficients @ cosines).transpose(3, 4).reshape(count, channels, height, width)


@lru_cache(maxsize=1)
def _cosines() -> FloatArray:
    """float32 [8, 8]: the orthonormal cosine transform, a row a frequency."""
    row, column = np.arange(_BLOCK)[:, None], np.arange(_BLOCK)
    matrix = np.cos(np.pi * (2 * column + 1) * row / (2 * _BLOCK)) * np.sqrt(2 / _BLOCK)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float32)
